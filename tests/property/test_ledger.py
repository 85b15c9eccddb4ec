"""Any order of events: no task is lost, none is done twice, budgets hold, and it always ends."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from halluc_ray.engine.context import ShardTask
from halluc_ray.engine.ledger import INFRA_BUDGET, MAX_BACKOFF_S, TASK_BUDGET, WINDOW, Ledger, useful_actors
from halluc_ray.errors import HallucRayError, WorkerLost
from halluc_ray.records import Shard, ShardSource

ACTORS = ["one", "two", "three"]
NOTHING = HallucRayError("no")


def task_of(number, system, *, generates=False):
    source = ShardSource("f", number // 3, number // 3 + 1, number % 3, number % 3 + 1)
    return ShardTask(
        system, Shard(f"{number:032x}", source), frozenset({"count-1", "generate-1"} if generates else {"count-1"})
    )


class AnyOrder(RuleBasedStateMachine):
    """Drives a ledger as a driver may, and keeps books of its own."""

    @initialize(number=st.integers(1, 9), systems=st.integers(1, 2), alone=st.sets(st.integers(0, 1)), data=st.data())
    def start(self, number, systems, alone, data):
        asked = data.draw(st.lists(st.booleans(), min_size=number * systems, max_size=number * systems))
        places = [(k, s) for s in range(systems) for k in range(number)]
        tasks = [task_of(k, s, generates=generates) for (k, s), generates in zip(places, asked, strict=True)]
        self.tasks = {task.key: task for task in tasks}
        self.alone = {task.key for task in tasks if task.generates and task.system in alone}
        self.abandoned = set()
        bases = data.draw(st.dictionaries(st.integers(0, 1), st.sampled_from(["", "x", "y"])))
        self.ledger = Ledger(tasks, alone=dict.fromkeys(alone, 1000.0), bases=bases)
        self.now = 0.0
        self.held = {name: [] for name in ACTORS}  # tasks in the order they were given
        self.finished = set()
        self.task_faults = dict.fromkeys(self.tasks, 0)
        self.infra_faults = dict.fromkeys(self.tasks, 0)
        self.ready_at = dict.fromkeys(self.tasks, 0.0)
        self.retries = {"task": 0, "infra": 0}

    def settled(self, key):
        return key in self.finished or key in self.ledger.given_up

    @rule(actor=st.sampled_from(ACTORS))
    def take(self, actor):
        task = self.ledger.take(actor, self.now)
        if task is None:
            return
        assert not self.settled(task.key)
        assert all(task.key not in keys for keys in self.held.values())
        assert self.now >= self.ready_at[task.key]
        if task.key in self.alone:
            others = {key for name, keys in self.held.items() if name != actor for key in keys if not self.settled(key)}
            assert not [key for key in others & self.alone if key[0] == task.system]
            assert task.system not in self.abandoned
        self.held[actor].append(task.key)

    @rule(actor=st.sampled_from(ACTORS), at=st.integers(0, 5))
    def finish(self, actor, at):
        if not self.held[actor]:
            return
        key = self.held[actor].pop(at % len(self.held[actor]))
        assert self.ledger.finish(key, actor, self.now) is (key not in self.finished)
        self.finished.add(key)

    @rule(actor=st.sampled_from(ACTORS), number=st.integers(0, 8))
    def hear_a_stale_report(self, actor, number):
        key = (0, f"{number:032x}")
        if key in self.finished:
            assert not self.ledger.finish(key, actor, self.now)
            self.ledger.fail(key, actor, NOTHING, infra=False, now=self.now)
            assert key not in self.ledger.given_up

    @rule(actor=st.sampled_from(ACTORS), infra=st.booleans())
    def fail(self, actor, infra):
        if not self.held[actor]:
            return
        key = self.held[actor].pop(0)
        was_settled = self.settled(key)
        self.ledger.fail(key, actor, NOTHING, infra=infra, now=self.now)
        if not was_settled:
            self.charge(key, infra=infra)

    @rule(actor=st.sampled_from(ACTORS))
    def lose(self, actor):
        lost, self.held[actor] = self.held[actor], []
        settled = {key for key in lost if self.settled(key)}
        self.ledger.lose(actor, WorkerLost("gone"), self.now)
        for key in lost[:1]:
            if key not in settled:
                self.charge(key, infra=True)

    def charge(self, key, *, infra):
        (self.infra_faults if infra else self.task_faults)[key] += 1
        spent = self.task_faults[key] >= TASK_BUDGET or self.infra_faults[key] >= INFRA_BUDGET
        spent |= key in self.alone and key[0] in self.abandoned
        assert (key in self.ledger.given_up) is spent
        if not spent and all(key not in keys for keys in self.held.values()):
            tries = self.task_faults[key] + self.infra_faults[key]
            self.ready_at[key] = self.now + min(MAX_BACKOFF_S, 0.5 * 2 ** (tries - 1))
            self.retries["infra" if infra else "task"] += 1

    @rule(system=st.integers(0, 1))
    def abandon(self, system):
        given_up, held = self.ledger.given_up.keys(), {key for keys in self.held.values() for key in keys}
        self.ledger.abandon(system, NOTHING)
        self.abandoned.add(system)
        waited = {key for key in self.alone - held - self.finished if key[0] == system}
        assert self.ledger.given_up.keys() == given_up | waited

    @rule(seconds=st.sampled_from([0.1, 1.0, 31.0, 5000.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule(actor=st.sampled_from(ACTORS))
    def copy_what_is_overdue(self, actor):
        for key, holder in self.ledger.overdue(self.now):
            assert key in self.held[holder]
            assert not self.settled(key)
            holders = [name for name, keys in self.held.items() if key in keys]
            task = self.ledger.copy(key, actor, self.now)
            assert (task is None) is (actor in holders or len(holders) > 1 or key in self.alone)
            if task is not None:
                self.held[actor].append(key)

    @precondition(lambda self: hasattr(self, "ledger"))
    @invariant()
    def books_agree(self):
        in_flight = {key for keys in self.held.values() for key in keys if not self.settled(key)}
        assert self.ledger.in_flight == len(in_flight)
        assert self.ledger.waiting == sum(not self.settled(key) for key in self.tasks) - len(in_flight)
        assert self.ledger.retries == self.retries
        assert self.ledger.done == len(self.finished)
        assert self.ledger.open is any(not self.settled(key) for key in self.tasks)
        assert not self.finished & self.ledger.given_up.keys()

    def teardown(self):
        """Whatever happened, patient actors bring it to an end in a bounded number of steps."""
        if not hasattr(self, "ledger"):
            return
        for actor in ACTORS:
            self.lose(actor)
        steps = 0
        while self.ledger.open:
            self.now += MAX_BACKOFF_S
            task = self.ledger.take("patient", self.now)
            assert task is not None, "a task is neither done, nor given up, nor waiting"
            assert self.ledger.finish(task.key, "patient", self.now)
            self.finished.add(task.key)
            steps += 1
            assert steps <= len(self.tasks)
        assert self.finished | self.ledger.given_up.keys() == self.tasks.keys()
        assert not self.finished & self.ledger.given_up.keys()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_only_what_was_running_is_charged_for_a_lost_actor():
    """An actor that a poison shard kills again and again takes no other shard down with it."""
    poison, innocent = task_of(0, 0), task_of(1, 0)
    ledger, now = Ledger([poison, innocent]), 0.0
    while poison.key not in ledger.given_up:
        now += MAX_BACKOFF_S
        first = ledger.take("one", now)
        if first.key == innocent.key:
            ledger.finish(first.key, "one", now)
            first = ledger.take("one", now)
        second = ledger.take("one", now)
        assert second is None or second.key == innocent.key
        ledger.lose("one", WorkerLost("killed"), now)
    assert innocent.key not in ledger.given_up


def test_neighbours_of_a_row_group_go_to_the_actor_that_decoded_it():
    ledger = Ledger([task_of(k, 0) for k in range(6)])
    groups = {}
    for actor in ("one", "two", "one", "two", "one", "two"):
        groups.setdefault(actor, set()).add(ledger.take(actor, 0.0).group)
    assert groups == {"one": {("f", 0)}, "two": {("f", 1)}}
    assert ledger.take("three", 0.0) is None


def test_a_task_that_can_not_work_is_given_up_with_its_last_error():
    task = task_of(0, 0)
    ledger = Ledger([task])
    for attempt in range(TASK_BUDGET):
        assert ledger.take("one", 100.0 * attempt).key == task.key
        ledger.fail(task.key, "one", HallucRayError(f"try {attempt}"), infra=False, now=100.0 * attempt)
    assert not ledger.open
    assert str(ledger.given_up[task.key]) == f"try {TASK_BUDGET - 1}"


def turns_of(actors, tasks, bases):
    """The systems that each actor works on in turn, each taking a task while the others work on theirs."""
    ledger = Ledger(tasks, bases=bases)
    turns = {actor: [] for actor in actors}
    while ledger.open:
        taken = [(actor, task) for actor in actors if (task := ledger.take(actor, 0.0)) is not None]
        for actor, task in taken:
            ledger.finish(task.key, actor, 0.0)
            turns[actor] += [task.system] if turns[actor][-1:] != [task.system] else []
    return turns


def test_an_actor_reads_a_base_once_for_all_systems_on_it():
    tasks = [task_of(k, system, generates=True) for system in range(4) for k in range(5)]
    bases = {0: "small", 1: "large", 2: "small", 3: "large"}
    assert turns_of(["one"], tasks, bases) == {"one": [0, 2, 1, 3]}
    assert turns_of(["one", "two"], tasks, bases) == {"one": [0, 2, 1, 3], "two": [0, 2, 1, 3]}
    assert turns_of(["one"], tasks, {}) == {"one": [0, 1, 2, 3]}


def test_an_actor_stays_with_the_base_that_it_holds():
    """What comes back late is done by whoever holds its base, though another waits before it."""
    tasks = [task_of(k, system, generates=True) for system in range(2) for k in range(3)]
    ledger = Ledger(tasks, bases={0: "small", 1: "large"})
    mine = ledger.take("one", 0.0)
    for _ in range(2):
        ledger.finish(ledger.take("two", 0.0).key, "two", 0.0)
    other = ledger.take("two", 0.0)
    assert (mine.system, other.system) == (0, 1)
    ledger.fail(mine.key, "one", NOTHING, infra=True, now=0.0)
    assert ledger.take("one", MAX_BACKOFF_S).key == mine.key
    assert ledger.take("two", MAX_BACKOFF_S).system == 1


def test_an_endpoint_is_asked_by_one_actor_and_the_others_go_on_behind_its_tasks():
    endpoint = [task_of(k, 0, generates=True) for k in range(WINDOW + 50)]
    local = [task_of(k, 1, generates=True) for k in range(2)]
    ledger = Ledger([*endpoint, *local], alone={0: 1.0})
    assert [ledger.take("one", 0.0).system for _ in range(2)] == [0, 0]
    assert [ledger.take("two", 0.0).system for _ in range(2)] == [1, 1]
    assert ledger.take("two", 0.0) is None
    ledger.lose("one", WorkerLost("gone"), 0.0)
    assert ledger.take("two", 0.0).system == 0


def test_what_follows_from_an_endpoint_s_answers_is_done_by_all():
    ledger = Ledger([task_of(k, 0) for k in range(2)], alone={0: 1.0})
    assert [ledger.take(actor, 0.0).system for actor in ("one", "two")] == [0, 0]


def test_a_slow_endpoint_is_waited_for_as_long_as_it_may_take():
    task = task_of(0, 0, generates=True)
    ledger = Ledger([task], alone={0: 1e5})
    ledger.take("one", 0.0)
    assert not ledger.overdue(1.9e5)
    assert ledger.overdue(2.1e5) == [(task.key, "one")]
    assert ledger.copy(task.key, "two", 2.1e5) is None


def test_actors_are_started_for_what_can_be_done_at_once():
    endpoint, local = [task_of(k, 0, generates=True) for k in range(9)], [task_of(k, 1) for k in range(3)]
    counted = [task_of(k, 0) for k in range(4)]
    assert useful_actors(endpoint, alone={0}) == 1
    assert useful_actors([*endpoint, *local], alone={0}) == 4
    assert useful_actors([*endpoint, *counted], alone={0}) == 5
    assert useful_actors(local, alone={0}) == 3

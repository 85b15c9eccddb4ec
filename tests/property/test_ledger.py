"""Any order of events: no task is lost, none is done twice, budgets hold, and it always ends."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from halluc_ray.engine.context import ShardTask
from halluc_ray.engine.ledger import INFRA_BUDGET, MAX_BACKOFF_S, TASK_BUDGET, Ledger
from halluc_ray.errors import HallucRayError, WorkerLost
from halluc_ray.records import Shard, ShardSource

ACTORS = ["one", "two", "three"]
NOTHING = HallucRayError("no")


def task_of(number, system):
    source = ShardSource("f", number // 3, number // 3 + 1, number % 3, number % 3 + 1)
    return ShardTask(system, Shard(f"{number:032x}", source), frozenset({"count"}))


class AnyOrder(RuleBasedStateMachine):
    """Drives a ledger as a driver may, and keeps books of its own."""

    @initialize(number=st.integers(1, 9), systems=st.integers(1, 2))
    def start(self, number, systems):
        self.tasks = {task.key: task for task in (task_of(k, s) for s in range(systems) for k in range(number))}
        self.ledger = Ledger(list(self.tasks.values()))
        self.now = 0.0
        self.held = {name: [] for name in ACTORS}  # tasks in the order they were given
        self.finished = set()
        self.task_faults = dict.fromkeys(self.tasks, 0)
        self.infra_faults = dict.fromkeys(self.tasks, 0)
        self.ready_at = dict.fromkeys(self.tasks, 0.0)

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
        assert (key in self.ledger.given_up) is spent
        if not spent and all(key not in keys for keys in self.held.values()):
            tries = self.task_faults[key] + self.infra_faults[key]
            self.ready_at[key] = self.now + min(MAX_BACKOFF_S, 0.5 * 2 ** (tries - 1))

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
            assert (task is None) is (actor in holders or len(holders) > 1)
            if task is not None:
                self.held[actor].append(key)

    @precondition(lambda self: hasattr(self, "ledger"))
    @invariant()
    def books_agree(self):
        in_flight = {key for keys in self.held.values() for key in keys if not self.settled(key)}
        assert self.ledger.in_flight == len(in_flight)
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

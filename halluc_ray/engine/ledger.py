"""Who does what next: tasks, retries, leases. A pure state machine; time comes in as an argument.

Two retry budgets per task. TASK: the shard's own fault, small. INFRA: an actor, a node or the store
went away, large, with back-off. A lease that outlives its limit gets a second copy elsewhere; the
commit marker decides which one counts. Reports of tasks that are done are dropped. Outputs of an
`alone` system are made by one actor at a time, and by no copy, and may be abandoned together. Called
by the driver; knows neither Ray nor stores.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from halluc_ray.engine.context import ShardTask

TASK_BUDGET = 2
INFRA_BUDGET = 8
MIN_LEASE_S = 900.0
LEASE_FACTOR = 8.0
BACKOFF_S = 0.5
MAX_BACKOFF_S = 30.0

WINDOW = 256
"""How far `take` looks along the queue: bounds its cost on long ones."""

TaskKey = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Failed:
    """A try that failed.

    Attributes:
        budget: that was charged, `task` or `infra`.
        tries, allowed: failures on that budget, and how many end the task.
        wait_s: until the next try, in seconds; None: the task is given up.
    """

    task: ShardTask
    actor: str
    error: Exception
    budget: str
    tries: int
    allowed: int
    wait_s: float | None


@dataclass(slots=True)
class _State:
    task: ShardTask
    holders: dict[str, float] = field(default_factory=dict)  # actor -> when its lease began
    task_failures: int = 0
    infra_failures: int = 0
    not_before: float = 0.0


def useful_actors(tasks: Sequence[ShardTask], *, alone: Collection[int]) -> int:
    """Most actors that can work at once: one for each system that is asked alone, one for any other task."""
    shared = {task.system for task in tasks if task.generates and task.system in alone}
    return len(shared) + sum(task.system not in shared or not task.generates for task in tasks)


def _by_base(tasks: Sequence[ShardTask], bases: Mapping[int, str]) -> list[ShardTask]:
    """Tasks in their order, but those of one base together, where its first one stands."""
    first: dict[str | int, int] = {}
    for task in tasks:
        first.setdefault(bases.get(task.system) or task.system, len(first))
    return sorted(tasks, key=lambda task: first[bases.get(task.system) or task.system])


class Ledger:
    """Tasks of one run.

    Args:
        tasks: what is missing, in the order to do it: a system after another, in corpus order.
        alone: system whose outputs one actor at a time may make -> seconds that a row of it may take.
        bases: system -> name of the network that is read for it; those of one base are done one after another.
        on_failure: told of each try that failed, but for those of tasks that are settled.
    """

    def __init__(
        self,
        tasks: Sequence[ShardTask],
        *,
        alone: Mapping[int, float] | None = None,
        bases: Mapping[int, str] | None = None,
        on_failure: Callable[[Failed], None] = lambda failed: None,
    ) -> None:
        self._on_failure = on_failure
        self._alone = dict(alone or {})
        self._bases = dict(bases or {})
        self._held_base: dict[str, str] = {}  # actor -> the network that it read last
        self._abandoned: dict[int, Exception] = {}
        self._states = {task.key: _State(task) for task in _by_base(tasks, self._bases)}
        self._waiting: deque[TaskKey] = deque(self._states)
        self._running: set[TaskKey] = set()
        self._done: set[TaskKey] = set()
        self._given_up: dict[TaskKey, Exception] = {}
        self._durations: deque[float] = deque(maxlen=64)
        self._last_group: dict[str, tuple[str, int]] = {}
        self._queues: dict[str, list[TaskKey]] = {}  # actor -> what it holds, in the order it works on it
        self._retries = {"task": 0, "infra": 0}

    @property
    def open(self) -> bool:
        """There is work left that may still succeed."""
        return len(self._done) + len(self._given_up) < len(self._states)

    @property
    def in_flight(self) -> int:
        """Tasks that some actor holds."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Tasks that no actor holds and that are not settled."""
        return len(self._states) - len(self._done) - len(self._given_up) - len(self._running)

    @property
    def retries(self) -> dict[str, int]:
        """Budget -> failures that were charged to it and after which the task is tried again."""
        return dict(self._retries)

    @property
    def done(self) -> int:
        """Tasks finished."""
        return len(self._done)

    @property
    def given_up(self) -> dict[TaskKey, Exception]:
        """Tasks whose budgets are spent, with the last error."""
        return dict(self._given_up)

    @property
    def lease_s(self) -> float:
        """How long a task may be held before another actor gets a copy, in seconds."""
        return (
            max(MIN_LEASE_S, LEASE_FACTOR * statistics.median(self._durations)) if self._durations else 2 * MIN_LEASE_S
        )

    def take(self, actor: str, now: float) -> ShardTask | None:
        """The next task for an actor: a neighbour of its last row group, else the first that waits.

        A task is started in the systems' order, so that an actor changes models rarely, and one whose
        network the actor holds goes first; where other actors hold a group, an idle one steals from it.
        """
        closed = self._held_alone_by_others(actor)
        allowed = (key for key in self._waiting if key[0] not in closed or not self._is_alone(key))
        ready = [key for key in islice(allowed, WINDOW) if self._states[key].not_before <= now]
        if not ready:
            return None
        key = self._choose(actor, ready)
        self._waiting.remove(key)
        self._lease(key, actor, now)
        return self._states[key].task

    def _is_alone(self, key: TaskKey) -> bool:
        return key[0] in self._alone and self._states[key].task.generates

    def _held_alone_by_others(self, actor: str) -> set[int]:
        """Systems whose outputs another actor is making."""
        if not self._alone:
            return set()
        return {key[0] for key in self._running if self._is_alone(key) and self._states[key].holders.keys() - {actor}}

    def _choose(self, actor: str, ready: Sequence[TaskKey]) -> TaskKey:
        held = self._held_base.get(actor)
        system = next((key[0] for key in ready if held and self._bases.get(key[0]) == held), ready[0][0])
        same = [key for key in ready if key[0] == system]
        mine = self._last_group.get(actor)
        for key in same:
            if self._states[key].task.group == mine:
                return key
        others = {group for name, group in self._last_group.items() if name != actor}
        for key in same:
            if self._states[key].task.group not in others:
                return key
        return same[0]

    def _lease(self, key: TaskKey, actor: str, now: float) -> None:
        self._states[key].holders[actor] = now
        self._queues.setdefault(actor, []).append(key)
        self._running.add(key)
        self._last_group[actor] = self._states[key].task.group
        base = self._bases.get(key[0])
        if base and self._states[key].task.generates:
            self._held_base[actor] = base

    def _release(self, key: TaskKey, actor: str) -> float | None:
        """End a lease; when it began, or None where there was none."""
        began = self._states[key].holders.pop(actor, None)
        if began is not None:
            self._queues[actor].remove(key)
        return began

    def finish(self, key: TaskKey, actor: str, now: float) -> bool:
        """Record success; False where the task was done already and the report is stale."""
        began = self._release(key, actor)
        if key in self._done:
            return False
        if began is not None:
            self._durations.append(now - began)
        self._given_up.pop(key, None)
        self._done.add(key)
        self._running.discard(key)
        if key in self._waiting:
            self._waiting.remove(key)
        return True

    def fail(self, key: TaskKey, actor: str, error: Exception, *, infra: bool, now: float) -> None:
        """Record a failure: another try later, or the end of the task."""
        state = self._states[key]
        self._release(key, actor)
        if key in self._done or key in self._given_up:
            return
        if infra:
            state.infra_failures += 1
        else:
            state.task_failures += 1
        if not state.holders:
            self._running.discard(key)
        wait_s: float | None = 0.0
        spent = state.task_failures >= TASK_BUDGET or state.infra_failures >= INFRA_BUDGET
        if spent or (self._is_alone(key) and key[0] in self._abandoned):
            self._give_up(key, error)
            wait_s = None
        elif not state.holders and key not in self._waiting:
            tries = state.infra_failures + state.task_failures
            wait_s = min(MAX_BACKOFF_S, BACKOFF_S * 2 ** (tries - 1))
            state.not_before = now + wait_s
            self._retries["infra" if infra else "task"] += 1
            self._waiting.append(key)
        budget, failures, allowed = ("task", state.task_failures, TASK_BUDGET)
        if infra:
            budget, failures, allowed = ("infra", state.infra_failures, INFRA_BUDGET)
        self._on_failure(Failed(state.task, actor, error, budget, failures, allowed, wait_s))

    def abandon(self, system: int, error: Exception) -> None:
        """No more outputs of an `alone` system: what waits is given up, what is held when it fails."""
        self._abandoned[system] = error
        for key in [key for key in self._waiting if key[0] == system and self._is_alone(key)]:
            self._waiting.remove(key)
            self._give_up(key, error)

    def _give_up(self, key: TaskKey, error: Exception) -> None:
        self._running.discard(key)
        self._given_up[key] = error

    def lose(self, actor: str, error: Exception, now: float) -> list[TaskKey]:
        """An actor went away. Returns what it held: the task that it worked on fails on the INFRA budget.

        Those that waited behind it go back uncharged, so that a shard that kills its actors takes
        no other down with it.
        """
        held = list(self._queues.get(actor, ()))
        for position, key in enumerate(held):
            if position == 0:
                self.fail(key, actor, error, infra=True, now=now)
            else:
                self._return(key, actor)
        self._queues.pop(actor, None)
        self._last_group.pop(actor, None)
        self._held_base.pop(actor, None)
        return held

    def _return(self, key: TaskKey, actor: str) -> None:
        self._release(key, actor)
        if key in self._done or key in self._given_up or self._states[key].holders:
            return
        self._running.discard(key)
        if self._is_alone(key) and key[0] in self._abandoned:
            self._give_up(key, self._abandoned[key[0]])
        elif key not in self._waiting:
            self._waiting.appendleft(key)

    def overdue(self, now: float, *, factor: float = 1.0) -> list[tuple[TaskKey, str]]:
        """(task, actor) of leases that outlived `factor` times the limit."""
        usual = self.lease_s
        return [
            (key, actor)
            for key in sorted(self._running)
            for actor, began in self._states[key].holders.items()
            if now - began > factor * max(usual, self._slowest_s(key))
        ]

    def _slowest_s(self, key: TaskKey) -> float:
        """How long a shard of an `alone` system may take, behind another one; 0 for others."""
        if not self._is_alone(key):
            return 0.0
        return 2 * self._alone[key[0]] * self._states[key].task.shard.source.num_rows

    def copy(self, key: TaskKey, actor: str, now: float) -> ShardTask | None:
        """A second copy of an overdue task for another actor; None where it has one already, or may have none."""
        holders = self._states[key].holders
        if actor in holders or len(holders) > 1 or self._is_alone(key):
            return None
        self._lease(key, actor, now)
        return self._states[key].task

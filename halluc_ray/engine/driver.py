"""Run a plan on Ray: hand tasks to actors, hear what became of them, replace what dies.

Sees counts, never rows. The store is the truth: a task that is tried again finds there what an earlier
try committed. Every wait is bounded. Called by `evaluation`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from halluc_ray.engine.context import ShardReport, ShardTask, SystemPlan
from halluc_ray.engine.events import Events
from halluc_ray.engine.ledger import Failed, Ledger, useful_actors
from halluc_ray.engine.placement import Placement, Room, reserve
from halluc_ray.engine.plan import Plan
from halluc_ray.engine.tally import Tally
from halluc_ray.engine.versions import place_here, versions_here
from halluc_ray.engine.worker import HallucRayWorker, Seat
from halluc_ray.errors import (
    BadRow,
    EndpointUnavailable,
    HallucRayError,
    InputChanged,
    ModelError,
    NumericsMismatch,
    QuotaSpent,
    RunIncomplete,
    SpecError,
    VersionMismatch,
    WorkerLost,
)
from halluc_ray.logs import reason_of
from halluc_ray.records.metrics import bounded

QUEUE_DEPTH = 2
TICK_S = 0.2
SIT_S = 900.0
DRAIN_S = 20.0
SHOW_TROUBLE_S = 10.0
MAX_TROUBLE_CHARACTERS = 200
MAX_LOST_IN_A_ROW = 20
"""Actors lost without a task done in between: then no more are started."""

_FATAL = (InputChanged, BadRow, SpecError)
"""What stops the run at once: no other shard can do better."""

_FOREIGN = ("failed to import on the worker", "error raised in its creation task")
"""What Ray says of an actor whose node has no package, or another one that our call does not fit."""
_ERROR_LINE = re.compile(r"^\s*(\w*(?:Error|Exception): .*)$", re.MULTILINE)


@dataclass(slots=True)
class _Actor:
    name: str
    handle: Any
    sitting: Any
    asked_at: float
    room: Room
    seat: Seat | None = None
    sat_at: float = 0.0
    ended_at: float | None = None
    tasks: dict[Any, ShardTask] = field(default_factory=dict)
    done: int = 0


@dataclass(frozen=True, slots=True)
class Driven:
    """What became of the tasks.

    Attributes:
        computed: tasks finished by this command.
        given_up: (system, shard) -> last error.
        actors: seat and tasks done, for every actor that ever sat.
        seconds: summed over tasks, by phase.
    """

    computed: int
    given_up: Mapping[tuple[int, str], Exception]
    actors: list[dict[str, Any]]
    seconds: Mapping[str, float]


class Driver:
    """Drives the tasks of one plan over a pool of actors.

    Args:
        plan: the plan.
        tasks: what is missing.
        placement: how many actors, and what each asks for.
        nonce: object that each actor must see in its store.
        tally: told of every finished task.
        on_tick: called several times a second.
    """

    def __init__(
        self,
        plan: Plan,
        tasks: list[ShardTask],
        *,
        placement: Placement,
        nonce: str,
        tally: Tally,
        on_tick: Callable[[], None],
    ) -> None:
        seconds = ((k, system.resolved.alone_s_per_row) for k, system in enumerate(plan.context.systems))
        alone = {k: per_row for k, per_row in seconds if per_row is not None}
        bases = {k: system.resolved.base for k, system in enumerate(plan.context.systems)}
        names = [system.spec.name or f"by {system.resolved.name_from}" for system in plan.context.systems]
        self._events = Events(names, num_tasks=len(tasks))
        self._ledger = Ledger(tasks, alone=alone, bases=bases, on_failure=self._stumble)
        self._tally = tally
        self._on_tick = on_tick
        wanted = plan.context.spec.engine.actors
        self._num_actors = min(placement.slots if wanted == "auto" else wanted, useful_actors(tasks, alone=alone))
        self._placement = placement
        self._remote = ray.remote(HallucRayWorker)
        self._run_id = plan.run_id
        self._task_names = [_task_name(system) for system in plan.context.systems]
        self._arguments = (versions_here(), place_here(), [ray.put(plan.context)], nonce)
        self._actors: dict[str, _Actor] = {}
        self._seats: list[_Actor] = []
        self._starts = 0
        self._lost_in_a_row = 0
        self._last_loss: Exception | None = None
        self._start_after = 0.0
        self._stumbled_at = float("-inf")
        self._seconds: dict[str, float] = {}

    def run(self) -> Driven:
        """Drive until every task is done or given up.

        Raises:
            HallucRayError: what no retry can mend: a changed corpus, a node that does not see the store.
            RunIncomplete: `on_tick` asked to stop; what was being committed is.
        """
        try:
            while self._ledger.open:
                self._staff()
                self._hand_out()
                self._listen()
                self._mind_leases()
                self._meter()
                self._on_tick()
                self._events.progress(self._tally.progress())
        except (KeyboardInterrupt, SystemExit, RunIncomplete):
            self._drain()
            raise
        finally:
            for actor in self._actors.values():
                _end(actor)
            self._actors.clear()
            self._meter()
        return self.driven()

    def driven(self) -> Driven:
        """What became of the tasks so far."""
        actors = [{**{name: getattr(a.seat, name) for name in Seat.__slots__}, "shards": a.done} for a in self._seats]
        return Driven(self._ledger.done, self._ledger.given_up, actors, self._seconds)

    def _staff(self) -> None:
        """Keep as many actors as there is work for."""
        now = time.monotonic()
        while len(self._actors) < self._num_actors and now >= self._start_after:
            if self._lost_in_a_row >= MAX_LOST_IN_A_ROW:
                if not self._actors:
                    raise WorkerLost(
                        f"{self._lost_in_a_row} actors were lost one after another, and no shard was done in between; "
                        f"the last: {self._last_loss}; look at the Ray logs of the nodes"
                    )
                return
            name = f"actor-{self._starts}"
            room = reserve(self._placement)
            remote = self._remote.options(max_restarts=0, max_task_retries=0, **room.options)
            label = f"{name}, run {self._run_id[:8]}"
            handle = remote.remote(*self._arguments, label=label, log_level=self._events.level)
            self._actors[name] = _Actor(name, handle, handle.sit.remote(), now, room)
            self._starts += 1

    def _hand_out(self) -> None:
        now = time.monotonic()
        for actor in self._actors.values():
            while actor.seat is not None and len(actor.tasks) < QUEUE_DEPTH:
                task = self._ledger.take(actor.name, now)
                if task is None:
                    break
                self._give(actor, task)

    def _give(self, actor: _Actor, task: ShardTask) -> None:
        actor.tasks[actor.handle.run.options(name=self._task_names[task.system]).remote(task)] = task
        self._events.leased(task, actor.name)

    def _listen(self) -> None:
        waited = {ref: actor for actor in self._actors.values() for ref in actor.tasks}
        waited |= {actor.sitting: actor for actor in self._actors.values() if actor.seat is None}
        if not waited:
            time.sleep(TICK_S)
            return
        ready, _ = ray.wait(list(waited), num_returns=len(waited), timeout=0)
        if not ready:
            ready, _ = ray.wait(list(waited), num_returns=1, timeout=TICK_S)
        for ref in ready:
            actor = waited[ref]
            if actor.name in self._actors:
                self._hear(actor, ref)
        if any(actor.seat is not None for actor in self._actors.values()):
            return  # the others may wait for room: the cluster is full, or still growing
        late = [a for a in self._actors.values() if time.monotonic() - a.asked_at > SIT_S]
        for actor in late:
            self._lose(actor, WorkerLost(f"an actor did not start within {SIT_S:.0f} s: is there room for it?"))

    def _hear(self, actor: _Actor, ref: Any) -> None:
        try:
            said = ray.get(ref, timeout=60)
        except RayActorError as error:
            if ref is actor.sitting:
                _refuse_foreign(actor.name, error)
            self._lose(actor, WorkerLost(f"{actor.name} died: {error}"))
            return
        except RayError as error:
            if ref is actor.sitting:
                _refuse_foreign(actor.name, error)
            self._settle(actor, actor.tasks.pop(ref, None), WorkerLost(f"{actor.name}: {error}"))
            return
        if ref is actor.sitting:
            seat, trouble = said
            if trouble is not None:
                self._tally.vitals.stumble(trouble)
                if not _may_pass(trouble):
                    raise trouble
                self._lose(actor, trouble)
                return
            actor.seat, actor.sat_at = seat, time.monotonic()
            self._seats.append(actor)
            self._tally.vitals.sit(actor.name)
            self._tally.message = ""
            self._events.seated(actor.name, seat, seconds=actor.sat_at - actor.asked_at)
            return
        self._settle(actor, actor.tasks.pop(ref), said.error, said)

    def _settle(
        self, actor: _Actor, task: ShardTask | None, error: Exception | None, report: ShardReport | None = None
    ) -> None:
        now = time.monotonic()
        if task is not None and report is not None:
            self._events.heard(task, report, actor.name)
        if task is None:
            self._lose(actor, error or WorkerLost(actor.name))
        elif error is None and report is not None:
            if self._ledger.finish(task.key, actor.name, now):
                actor.done += 1
                self._lost_in_a_row = 0
                if now - self._stumbled_at > SHOW_TROUBLE_S:
                    self._tally.message = ""
                self._tally.finish(task, report, actor=actor.name)
                for phase, seconds in report.seconds.items():
                    self._seconds[phase] = self._seconds.get(phase, 0.0) + seconds
        elif isinstance(error, NumericsMismatch):
            self._num_actors -= 1
            self._lose(actor, error)
            if not self._num_actors:
                raise error
        elif isinstance(error, WorkerLost):
            self._lose(actor, error)
        elif error is not None:
            self._tally.vitals.stumble(error)
            if isinstance(error, _FATAL):
                raise error
            if isinstance(error, QuotaSpent):
                self._abandon(task, error)
            self._ledger.fail(task.key, actor.name, error, infra=_may_pass(error), now=now)
            if isinstance(error, EndpointUnavailable) and task.key in self._ledger.given_up:
                self._abandon(task, error)
            if isinstance(error, ModelError) and not error.retryable and task.key in self._ledger.given_up:
                raise error

    def _abandon(self, task: ShardTask, error: Exception) -> None:
        self._ledger.abandon(task.system, error)
        self._events.abandoned(task, error)

    def _stumble(self, failed: Failed) -> None:
        self._events.failed(failed)
        self._show_trouble(failed.error)

    def _show_trouble(self, error: Exception) -> None:
        """Let whoever watches know why nothing comes; what succeeds a little later takes it back."""
        self._stumbled_at = time.monotonic()
        self._tally.message = f"last trouble: {reason_of(error)}"[:MAX_TROUBLE_CHARACTERS]

    def _lose(self, actor: _Actor, error: Exception) -> None:
        self._actors.pop(actor.name, None)
        self._tally.vitals.leave(actor.name)
        _end(actor)
        now = time.monotonic()
        self._events.lost(actor.name, error, shards=len(actor.tasks))
        self._show_trouble(error)
        self._ledger.lose(actor.name, error, now)
        self._last_loss = error
        self._lost_in_a_row += 1
        self._start_after = now + min(30.0, 0.5 * 2 ** min(self._lost_in_a_row, 6))

    def _mind_leases(self) -> None:
        now = time.monotonic()
        for key, name in self._ledger.overdue(now, factor=2.0):
            if name in self._actors:
                self._lose(self._actors[name], WorkerLost(f"{name} held shard {key[1]} for too long"))
        for key, name in self._ledger.overdue(now):
            idle = [a for a in self._actors.values() if a.seat is not None and not a.tasks]
            task = self._ledger.copy(key, idle[0].name, now) if idle else None
            if task is not None:
                self._events.copied(task, idle[0].name, holder=name)
                self._give(idle[0], task)

    def _meter(self) -> None:
        """Tell the tally how the work goes and how long devices have been held."""
        vitals = self._tally.vitals
        vitals.in_flight, vitals.waiting = self._ledger.in_flight, self._ledger.waiting
        vitals.retries, self._tally.failed = self._ledger.retries, len(self._ledger.given_up)
        sitting = [actor for actor in self._actors.values() if actor.seat is not None]
        vitals.staff(actors=len(sitting), idle=[actor.name for actor in sitting if not actor.tasks])
        device, per_actor = self._placement.billed
        now = time.monotonic()
        held = sum((now if a.ended_at is None else a.ended_at) - a.sat_at for a in self._seats)
        self._tally.device, self._tally.device_seconds = (device if self._seats else ""), per_actor * held

    def _drain(self) -> None:
        """Let what is being committed be committed."""
        refs = [ref for actor in self._actors.values() for ref in list(actor.tasks)[:1]]
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=DRAIN_S)


def _task_name(system: SystemPlan) -> str:
    """One name per system: Ray keeps a series of its own for each name, and `ps` shows it."""
    return bounded(f"halluc_ray shards of {system.spec.name or system.resolved.name_from}")


def _refuse_foreign(actor: str, error: RayError) -> None:
    """Raises VersionMismatch where an actor could not be made of what its node has; no other try can do better."""
    text = str(error)
    if any(sign in text for sign in _FOREIGN):
        causes = _ERROR_LINE.findall(text)
        raise VersionMismatch(
            f"{actor}: its node has no halluc_ray, or another one than the driver ({(causes or [text])[-1]}); install "
            "the driver's package on every node, or submit the job with it: as the working directory or as a wheel"
        ) from error


def _end(actor: _Actor) -> None:
    actor.ended_at = time.monotonic()
    ray.kill(actor.handle)
    actor.room.give_back()


def _may_pass(error: Exception) -> bool:
    """The same work may succeed later, or elsewhere."""
    return isinstance(error, HallucRayError) and error.retryable

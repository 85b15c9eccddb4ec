"""Run what is missing of a plan and write the report.

The whole way of `halluc-ray run`: plan, probe the store, take turns with other drivers, drive the
actors, sweep, reduce. Ray starts only where something is to be computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from halluc_ray.config import EndpointSystem, RunSpec
from halluc_ray.engine.context import ShardTask
from halluc_ray.engine.heartbeat import Heartbeat, wait_for_turn
from halluc_ray.engine.plan import Plan
from halluc_ray.engine.progress import Progress
from halluc_ray.engine.tally import Tally
from halluc_ray.errors import HallucRayError, InputError, RunIncomplete, StoreError
from halluc_ray.evaluation.cancelling import CancelWatch
from halluc_ray.evaluation.earlier import EarlierCounts
from halluc_ray.evaluation.looking import rebuild
from halluc_ray.evaluation.planning import done_shards, has_models, missing_tasks, open_output, plan_on
from halluc_ray.evaluation.runs import Evaluation, RunFolder
from halluc_ray.evaluation.starting import begin
from halluc_ray.evaluation.told import tell_plan, tell_report, telling
from halluc_ray.storage.commits import declare, sweep
from halluc_ray.storage.probe import check_create_only, check_ranges, forget_nonce, leave_nonce
from halluc_ray.wiring.endpoints import read_key

if TYPE_CHECKING:
    from halluc_ray.engine.driver import Driven

_SHOWN_ERRORS = 3
OnProgress = Callable[[Progress], None]


def evaluate(spec: RunSpec, *, on_progress: OnProgress | None = None) -> Evaluation:
    """Run what is missing and write the report.

    Args:
        spec: the run.
        on_progress: told how far it is, several times a second.

    Raises:
        SpecError, InputError, StoreError: refused before anything was started, or damaged input met on the way.
        RunIncomplete: shards are missing at the end; the same call goes on.
    """
    with telling() as name_run:
        return _evaluate(spec, tell=on_progress or (lambda progress: None), name_run=name_run)


def _evaluate(spec: RunSpec, *, tell: OnProgress, name_run: Callable[[str], None]) -> Evaluation:
    store = open_output(spec)
    with ExitStack() as stack:
        plan = plan_on(spec, stack)
        name_run(plan.run_id)
        run = RunFolder(store, plan.run_id)
        begin(run, plan, say=lambda message: tell(_idle(plan, message)))
        done = done_shards(store, plan)
        tasks = missing_tasks(plan, done)
        tell_plan(plan, tasks=tasks, done=done)
        if tasks:
            _check_keys(plan, tasks)
            check_create_only(store)
            check_ranges(store)
        for stage in {stage.name: stage for system in plan.context.systems for stage in system.stages}.values():
            declare(store, stage)
        computed, cost = 0, dict[str, float]()
        if tasks:
            computed, cost = _compute(plan, tasks, run, stack, tell)
        else:
            tell(Tally(plan, tasks).progress())
    began = time.monotonic()
    result = rebuild(run)
    tell_report(result, uri=run.uri, began=began)
    num_shards = sum(len(plan.shards(system)) for system in plan.context.systems)
    return Evaluation(plan.run_id, run.uri, result, num_shards, computed, cost)


def _idle(plan: Plan, message: str) -> Progress:
    """Nothing is known yet of how far the run is."""
    return Progress(run_id=plan.run_id, message=message, shards=0, shards_done=0)


def _check_keys(plan: Plan, tasks: Sequence[ShardTask]) -> None:
    """Have the keys of the endpoints that will be asked.

    Raises:
        SpecError: one is not in the environment.
    """
    for position in sorted({task.system for task in tasks if task.generates}):
        system = plan.context.systems[position].spec
        if isinstance(system, EndpointSystem):
            read_key(system)


def _compute(
    plan: Plan, tasks: list[ShardTask], run: RunFolder, stack: ExitStack, tell: OnProgress
) -> tuple[int, dict[str, float]]:
    """Drive what is missing; how many tasks this command did, and what they cost."""
    from halluc_ray.engine import placement
    from halluc_ray.engine.driver import Driver
    from halluc_ray.engine.telemetry import Metrics

    store = run.store
    tally = Tally(plan, tasks)

    def say(message: str) -> None:
        tally.message = message
        tell(tally.progress())

    wait_for_turn(store, _stages_of(tasks), say=say)
    begin(run, plan, say=say)
    done = done_shards(store, plan)
    tasks = missing_tasks(plan, done)
    if not tasks:
        return 0, {}
    tally = Tally(plan, tasks)
    stages = _stages_of(tasks)
    watch = stack.enter_context(CancelWatch(run))
    stack.enter_context(Heartbeat(store, stages, describe=tally.describe))
    earlier = stack.enter_context(EarlierCounts(store, plan, done))
    say("starting Ray")
    stack.enter_context(placement.cluster())
    placed = placement.place(plan.context.spec, models=has_models(plan.context.spec))
    nonce = leave_nonce(store)
    stack.callback(forget_nonce, store, nonce)
    say("starting actors")
    tally.start()
    metrics = Metrics(plan.run_id)
    started = time.time()

    def tick() -> None:
        earlier.add_to(tally)
        now = tally.progress()
        metrics.show(now, tally.vitals)
        tell(now)
        watch.look()

    driver = Driver(plan, tasks, placement=placed, nonce=nonce, tally=tally, on_tick=tick)
    try:
        driven = driver.run()
    except (KeyboardInterrupt, SystemExit, RunIncomplete):
        with suppress(StoreError):
            _note(run, driver.driven(), tally=tally, started=started)
        raise
    earlier.add_rest(tally)
    metrics.show(tally.progress(), tally.vitals)
    _end(run, driven, tasks, tally=tally, started=started)
    say("done")
    return driven.computed, tally.cost


def _end(run: RunFolder, driven: Driven, tasks: Sequence[ShardTask], *, tally: Tally, started: float) -> None:
    """Sweep, note who did the work, and say what is missing, whether or not the store takes the note."""
    incomplete = _what_is_missing(tasks, driven.given_up) if driven.given_up else None
    try:
        for name in _stages_of(tasks):
            sweep(run.store, name)
        _note(run, driven, tally=tally, started=started)
    except StoreError:
        if incomplete is None:
            raise
    if incomplete:
        raise incomplete


def _note(run: RunFolder, driven: Driven, *, tally: Tally, started: float) -> None:
    now = tally.progress()
    devices = {"kind": now.device, "held_s": now.device_seconds, "busy_s": tally.busy_s} if now.device else {}
    run.end(
        actors=driven.actors,
        seconds=driven.seconds,
        cost=tally.cost,
        devices=devices,
        started=started,
        finished=time.time(),
    )


def _stages_of(tasks: Sequence[ShardTask]) -> list[str]:
    return sorted({name for task in tasks for name in task.missing})


def _what_is_missing(tasks: Sequence[ShardTask], given_up: Mapping[tuple[int, str], Exception]) -> HallucRayError:
    """Why the run has no report: damaged input, which must be mended first, or what another try may do."""
    damaged = all(isinstance(error, InputError) for error in given_up.values())
    hint = "mend the input first" if damaged else "the same command tries them again"
    lines = [f"{len(given_up)} of {len(tasks)} shards could not be computed; {hint}"]
    shards: dict[str, list[str]] = {}
    for (_, shard), error in given_up.items():
        shards.setdefault(str(error), []).append(shard)
    for text, alike in list(shards.items())[:_SHOWN_ERRORS]:
        lines.append(f"shard {alike[0]}{f' and {len(alike) - 1} more' if len(alike) > 1 else ''}: {text}")
    if len(shards) > _SHOWN_ERRORS:
        lines.append(f"... and {len(shards) - _SHOWN_ERRORS} more reasons")
    return (InputError if damaged else RunIncomplete)("\n".join(lines))

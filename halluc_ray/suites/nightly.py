"""A night of a suite: evaluate what is new of each spec, record it, tell.

Safe to run again after any failure, and at the same time elsewhere: runs commit what they compute, records
are create-only, a record that stands is kept, and what was told is marked. One spec's failure keeps no
other from its night. Called by the command line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from structlog.contextvars import bound_contextvars

from halluc_ray.config import RunSpec
from halluc_ray.engine.progress import Progress
from halluc_ray.errors import HallucRayError
from halluc_ray.evaluation import Evaluation, evaluate
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.logs import reason_of
from halluc_ray.storage import ObjectStore
from halluc_ray.suites.baselines import find_baseline
from halluc_ray.suites.costs import Cost, Meter, cost_of
from halluc_ray.suites.gating import gate_night, keep_gate, policy_of
from halluc_ray.suites.nights import (
    Night,
    NightBaseline,
    NightGate,
    check_scheduled,
    missed_before,
    missed_dates,
    rates_of,
    read_nights,
    write_night,
)
from halluc_ray.suites.suite import Suite, SuiteEntry
from halluc_ray.suites.tonight import Tonight, spec_of_tonight, suite_store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpecNight:
    """What became of one spec.

    Attributes:
        entry: its name in the suite.
        done: its run, and the record that stands; None where `error` says why not.
        new: the record was written by this command.
        cost: of all commands that worked on the run.
        trouble: why the baseline could not be used, where it could not.
    """

    entry: str
    done: Evaluation | None = None
    night: Night | None = None
    new: bool = False
    cost: Cost = field(default_factory=Cost)
    trouble: str = ""
    error: HallucRayError | None = None


@dataclass(frozen=True, slots=True)
class SuiteNight:
    """What became of a suite's night.

    Attributes:
        missed: all dates on which a night of some spec was expected and none is recorded, before this one.
    """

    suite: str
    date: str
    specs: tuple[SpecNight, ...]
    missed: tuple[str, ...]


def run_night(
    suite: Suite,
    *,
    date: str,
    on_progress: Callable[[str, Progress], None] | None = None,
    check: Callable[[RunSpec], None] | None = None,
) -> SuiteNight:
    """Run what is new of a night, and record each spec that is finished.

    Args:
        suite: the suite.
        date: the scheduled date, YYYY-MM-DD.
        on_progress: told, with the entry's name, how far its run is.
        check: called with each spec before it runs; raises to refuse it.

    Returns:
        What became of each spec; errors that the package raises on purpose are in it.

    Raises:
        InputError: `date` is none, or more than a year ahead.
        StoreError: the history can't be read.
    """
    check_scheduled(date)
    store = suite_store(suite)
    nights = read_nights(store, suite.name)
    current = ""

    def tell(progress: Progress) -> None:
        if on_progress is not None:
            on_progress(current, progress)

    meter = Meter(suite.devices, tell)
    specs = []
    for entry in suite.specs:
        current = entry.name
        meter.next_run()
        with bound_contextvars(suite=suite.name, date=date, spec=entry.name):
            try:
                tonight = spec_of_tonight(suite, entry, date=date)
                if check is not None:
                    check(tonight.spec)
                specs.append(_run_spec(suite, entry, tonight, store=store, nights=nights, date=date, meter=meter))
            except HallucRayError as error:
                log.error("spec has no night", extra={"reason": reason_of(error)})
                specs.append(SpecNight(entry.name, error=error))
    missed = missed_dates((night.date for night in nights), until=date, schedule=suite.schedule)
    return SuiteNight(suite.name, date, tuple(specs), tuple(missed))


def _run_spec(
    suite: Suite,
    entry: SuiteEntry,
    tonight: Tonight,
    *,
    store: ObjectStore,
    nights: list[Night],
    date: str,
    meter: Meter,
) -> SpecNight:
    mine = [night for night in nights if night.spec == entry.name]
    policy = policy_of(suite)
    baseline = find_baseline(store, suite, entry, nights=mine, date=date)
    done = evaluate(tonight.spec, on_progress=meter)
    standing = next((night for night in mine if night.date == date and night.run_id == done.run_id), None)
    gated, new = None, False
    if standing is None:
        if policy is not None:
            gated = gate_night(store, done.run_id, baseline=baseline, policy=policy)
        missed = missed_before(mine, date=date, schedule=suite.schedule)
        verdict = gated.entry if gated else None
        ours = _record(
            suite, tonight, done, entry=entry.name, date=date, baseline=baseline, gate=verdict, missed=missed
        )
        standing, new = write_night(store, ours)
    _tell_of(standing, new=new)
    keep_gate(store, standing, policy=policy, gated=gated)
    cost = cost_of(RunFolder(store, done.run_id).telemetry(), suite.devices)
    return SpecNight(entry.name, done, standing, new, cost, trouble=gated.trouble if gated else "")


def _tell_of(night: Night, *, new: bool) -> None:
    """Log the record that stands, and its gate."""
    log.info("night recorded", extra={"run": night.run_id, "new": new})
    if night.gate is not None:
        level = logging.INFO if night.gate.verdict == "PASS" else logging.WARNING
        said = {"run": night.run_id, "verdict": night.gate.verdict, "reason": night.gate.reason}
        log.log(level, "gate verdict", extra=said)


def _record(
    suite: Suite,
    tonight: Tonight,
    done: Evaluation,
    *,
    entry: str,
    date: str,
    baseline: NightBaseline | None,
    gate: NightGate | None,
    missed: Sequence[str],
) -> Night:
    """What this command would record of a finished run."""
    return Night(
        suite=suite.name,
        date=date,
        spec=entry,
        run_id=done.run_id,
        signature=done.result.signature,
        checkpoints=dict(tonight.checkpoints),
        failed_share=done.failed_share,
        too_many_failed=done.too_many_failed,
        rates=rates_of(done.result),
        baseline=baseline,
        gate=gate,
        missed=tuple(missed),
    )

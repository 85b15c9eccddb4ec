"""Look at a run from its store alone: how far it is, its report anew, its rows.

Works while the run goes on and after it, from any machine that sees the store. No Ray, no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import yaml

from halluc_ray.config import RunSpec
from halluc_ray.engine.heartbeat import PERIOD_S, Owner, read_beat
from halluc_ray.engine.progress import Progress
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.planning import open_output
from halluc_ray.evaluation.runs import Evaluation, RunFolder, run_of_spec
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports import Report, write_reports
from halluc_ray.reports.render import PageContext
from halluc_ray.reports.samples import samples
from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.storage.commits import committed

_RUNS = "runs"


def find_run(target: str | RunSpec | RunFolder) -> RunFolder:
    """The run that a URI or a spec names.

    Args:
        target: `<output>/runs/<run id>`, a spec, or the folder itself.

    Raises:
        SpecError: the URI is no run's.
        InputError: there is no such run.
    """
    if isinstance(target, RunFolder):
        return target
    if isinstance(target, RunSpec):
        return run_of_spec(open_output(target), target)
    root, _, run_id = target.rstrip("/").rpartition("/")
    root, _, folder = root.rpartition("/")
    if folder != _RUNS or not root:
        raise SpecError(f"{target!r} is no run: write <output>/{_RUNS}/<run id>, or the spec it came from")
    return RunFolder(open_store(root), run_id)


def status(target: str | RunSpec) -> Progress:
    """How far a run is: its commits, and what the driver's heartbeat adds."""
    run = find_run(target)
    record = run.record()
    progress = _committed(run, record)
    beat = living_beat(run.store, record, run.run_id)
    if beat is None:
        done = progress.shards_done == progress.shards
        return replace(progress, message="done" if done else "not running; the same command goes on")
    return replace(
        progress,
        message="running",
        shards_in_flight=beat["in_flight"],
        shards_failed=beat["failed"],
        rows_done_here=beat["rows_here"],
        seconds=beat["seconds"],
    )


def rebuild_report(target: str | RunSpec) -> Evaluation:
    """Report from commits, with no Ray and no GPU.

    Raises:
        RunIncomplete: shards are missing.
    """
    run = find_run(target)
    record = run.record()
    num_shards = sum(len(record.shards(system)) for system in record.systems)
    return Evaluation(run.run_id, run.uri, rebuild(run), num_shards, 0)


def rebuild(run: RunFolder) -> Report:
    """Reduce a run's commits and write its reports."""
    noted = run.telemetry()
    page = PageContext(
        spec_text=yaml.safe_dump(noted.get("spec", {}), sort_keys=False, allow_unicode=True),
        versions=noted.get("versions", {}),
        date=_last_day(noted),
    )
    return write_reports(run.store, run.record(), run_id=run.run_id, sources=run.sources(), page=page)


def find_samples(target: str | RunSpec, *, where: str | None, limit: int) -> pa.Table:
    """Rows of a run that satisfy `where`, with outcomes, evidence, outputs and corpus texts."""
    run = find_run(target)
    return samples(run.store, run.record(), sources=run.sources(), where=where, limit=limit)


def _last_day(noted: Mapping[str, Any]) -> str | None:
    work = noted.get("work", [])
    return f"{datetime.fromtimestamp(work[-1]['finished'], UTC):%Y-%m-%d}" if work else None


def _committed(run: RunFolder, record: RunRecord) -> Progress:
    shards = done = rows = rows_done = 0
    for system in record.systems:
        stages = [committed(run.store, name) for name in (system.generate, *system.scores, system.count)]
        for shard in record.shards(system):
            shards += 1
            rows += shard.source.num_rows
            if all(shard.key in stage for stage in stages):
                done += 1
                rows_done += shard.source.num_rows
    return Progress(run_id=run.run_id, message="", shards=shards, shards_done=done, rows=rows, rows_done=rows_done)


def living_beat(store: ObjectStore, record: RunRecord, run_id: str) -> dict[str, int] | None:
    """What the driver of a run last said, if it is alive; else None. Takes a period where it is on another machine."""
    names = dict.fromkeys(name for s in record.systems for name in (s.generate, *s.scores, s.count))
    for name in names:
        beat = read_beat(store, name)
        if beat is None or beat["progress"].get("run_id") != run_id:
            continue
        owner = Owner(**beat["owner"])
        if owner.surely_dead:
            continue
        if owner.is_here or _beats_on(store, name, beat["beat"]):
            return dict(beat["progress"])
    return None


def _beats_on(store: ObjectStore, stage: str, beat: int) -> bool:
    """The driver is on another machine: look again after a period."""
    time.sleep(PERIOD_S + 0.5)
    later = read_beat(store, stage)
    return later is not None and later["beat"] != beat

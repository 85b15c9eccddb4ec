"""From a spec to a plan: stages over shards, each named by what determines its bytes.

The same spec and corpus give the same plan whatever the actors. Knows no Ray; decodes no rows,
save ids where `limit` asks for their hashes. Called by the driver and by `halluc-ray plan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from halluc_ray.config import RunSpec, digest
from halluc_ray.config.expression import Condition, parse_condition
from halluc_ray.engine.context import RunContext, SystemPlan
from halluc_ray.engine.corpus import PlannedFile, check_columns, column_uses, read_corpus
from halluc_ray.engine.row_reader import RowReader
from halluc_ray.engine.scoring import columns_read
from halluc_ray.engine.selection import HASH_SPAN, Selection, hash_texts, sample_bound
from halluc_ray.engine.shards import SHARD_ROWS, cut, shard_of
from halluc_ray.engine.stages import plan_system
from halluc_ray.engine.units import RAW
from halluc_ray.errors import InputError, SpecError
from halluc_ray.indicators.protocol import ScoringBatch
from halluc_ray.models.devices import Device
from halluc_ray.records import Shard
from halluc_ray.records.runs import CorpusRecord, FileRecord, IndicatorRecord, RunRecord, SummaryRecord, SystemRecord
from halluc_ray.records.schemas import SCHEMA_VERSION
from halluc_ray.storage.plain_types import without_views
from halluc_ray.wiring.indicators import WiredIndicator, wire_indicators
from halluc_ray.wiring.inputs import inputs_of
from halluc_ray.wiring.systems import ResolvedSystem, resolve_system

MANY_SHARDS = 50_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        context: what every actor must know.
        files: the corpus.
        shard_sets: shards in corpus order, one list per cut.
        record: the run's `run.json`.
        run_id: 16 hex digits over the record.
    """

    context: RunContext
    files: tuple[PlannedFile, ...]
    shard_sets: tuple[tuple[Shard, ...], ...]
    record: RunRecord
    run_id: str

    def shards(self, system: SystemPlan) -> tuple[Shard, ...]:
        """The shards of a system's stages."""
        return self.shard_sets[system.shard_set]


def build_plan(spec: RunSpec, *, device: Device, accelerator: str | None = None) -> Plan:
    """Plan a run.

    Args:
        spec: the run.
        device: what actors run on, `auto` already settled.
        accelerator: Ray's name of the GPU type, where there is one.

    Raises:
        SpecError, InputError: before anything is started.
    """
    indicators = wire_indicators(spec.indicators)
    where = parse_condition(spec.corpus.where, path="corpus.where") if spec.corpus.where else None
    conditions = [("corpus.where", where)] if where else []
    for k, summary in enumerate(spec.summaries):
        if summary.where:
            path = f"summaries[{k}].where"
            conditions.append((path, parse_condition(summary.where, path=path)))
    files = read_corpus(spec)
    raw = [
        (f"indicators[{k}]", name.removeprefix(RAW))
        for k, wired in enumerate(indicators)
        for name in sorted(wired.indicator.columns)
        if name.startswith(RAW)
    ]
    placeholders = [
        (key, column)
        for k, system in enumerate(spec.systems)
        for column, key in inputs_of(system, spec.corpus.columns, where=f"systems[{k}]").columns.items()
    ]
    check_columns(files, list(column_uses(spec, raw, placeholders)), conditions)
    _check_stored_columns(files, indicators)
    resolved = [resolve_system(s, spec, device=device, accelerator=accelerator) for s in spec.systems]
    _check_roles(spec, resolved, indicators)
    selection = _selection(spec, files, where)
    cuts = sorted({_shard_rows(spec, system.kind) for system in spec.systems})
    shard_sets = tuple(_shards(spec, files, selection, rows) for rows in cuts)
    systems = tuple(
        plan_system(r, spec, indicators=indicators, shard_set=cuts.index(_shard_rows(spec, r.spec.kind)))
        for r in resolved
    )
    context = RunContext(spec, {f.digest: f.file for f in files}, selection, systems)
    record = _record(context, files, indicators, shard_sets)
    return Plan(context, files, shard_sets, record, digest(record.model_dump(mode="json"), length=16))


def _shard_rows(spec: RunSpec, kind: str) -> int:
    return SHARD_ROWS[kind] if spec.engine.shard_rows == "auto" else spec.engine.shard_rows


def _check_stored_columns(files: Sequence[PlannedFile], indicators: Sequence[WiredIndicator]) -> None:
    """Have indicators that read corpus columns as they are score no rows of each file's types."""
    for k, wired in enumerate(indicators):
        names = wired.indicator.columns
        if not all(name.startswith(RAW) for name in names):
            continue
        for planned in files:
            kinds = {name: planned.schema.field(name.removeprefix(RAW)).type for name in names}
            nothing = {name: pa.array([], without_views(kind)) for name, kind in kinds.items()}
            try:
                wired.indicator.score(ScoringBatch(nothing))
            except InputError as problem:
                raise SpecError(f"indicators[{k}] ({wired.name}): {problem}, in {planned.file.uri}") from None


def _check_roles(spec: RunSpec, systems: Sequence[ResolvedSystem], indicators: Sequence[WiredIndicator]) -> None:
    mapped = set(spec.corpus.columns.mapped())
    for k, system in enumerate(systems):
        for role in sorted(system.roles - mapped - {"id"}):
            raise SpecError(f"systems[{k}] reads {{{role}}}: set corpus.columns.{role} to the column that holds it")
        for i, wired in enumerate(indicators):
            read = columns_read(wired.indicator, system) - mapped
            for role in sorted(name for name in read if not name.startswith(RAW)):
                raise SpecError(
                    f"indicators[{i}] ({wired.name}) reads the {role}: "
                    f"set corpus.columns.{role} to the column that holds it"
                )


def _selection(spec: RunSpec, files: Sequence[PlannedFile], where: Condition | None) -> Selection:
    if spec.corpus.sample is not None:
        return Selection(where, sample_bound(spec.corpus.sample))
    if spec.corpus.limit is not None:
        return Selection(where, _limit_bound(spec, files, where, spec.corpus.limit), by_limit=True)
    return Selection(where)


def _limit_bound(spec: RunSpec, files: Sequence[PlannedFile], where: Condition | None, limit: int) -> int:
    reader = RowReader({f.digest: f.file for f in files}, corpus=spec.corpus, selection=Selection(where))
    smallest = np.zeros(0, dtype=np.uint64)
    for planned in files:
        for source in cut(planned.digest, planned.group_rows, shard_rows=SHARD_ROWS["recorded"]):
            rows = reader.read(shard_of(source, {}), columns=())
            smallest = np.sort(np.concatenate([smallest, hash_texts(rows.ids)]))[:limit]
    return int(smallest[-1]) + 1 if len(smallest) == limit else HASH_SPAN


def _shards(spec: RunSpec, files: Sequence[PlannedFile], selection: Selection, shard_rows: int) -> tuple[Shard, ...]:
    covered = _selection_record(spec, selection)
    return tuple(
        shard_of(source, covered) for f in files for source in cut(f.digest, f.group_rows, shard_rows=shard_rows)
    )


def _selection_record(spec: RunSpec, selection: Selection) -> dict[str, Any]:
    record: dict[str, Any] = {}
    if selection.where is not None:
        record["where"] = selection.where.text
    if selection.hash_below is not None:
        record["limit" if selection.by_limit else "sample"] = spec.corpus.limit or spec.corpus.sample
        record["hash_below"] = selection.hash_below
        record["id"] = spec.corpus.columns.id
    if spec.corpus.on_bad_row != "fail_row":
        record["on_bad_row"] = spec.corpus.on_bad_row
    return record


def _record(
    context: RunContext,
    files: Sequence[PlannedFile],
    indicators: Sequence[WiredIndicator],
    shard_sets: Sequence[Sequence[Shard]],
) -> RunRecord:
    spec = context.spec
    position = {f.digest: k for k, f in enumerate(files)}
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        corpus=CorpusRecord(
            files=tuple(FileRecord(digest=f.digest, rows=f.num_rows) for f in files),
            columns=spec.corpus.columns.mapped(),
            cluster=spec.corpus.cluster,
            selection=_selection_record(spec, context.selection),
        ),
        systems=tuple(_system_record(system, bitwise=spec.engine.bitwise) for system in context.systems),
        indicators=tuple(
            IndicatorRecord(
                name=wired.name,
                kind=wired.indicator.kind,
                semantics_version=wired.indicator.semantics_version,
                options=wired.options.model_dump(mode="json"),
            )
            for wired in indicators
        ),
        slices=spec.slice_columns(),
        summaries=tuple(
            SummaryRecord(
                name=s.name,
                column=s.column,
                score=s.score,
                where=parse_condition(s.where).text if s.where else None,
            )
            for s in spec.summaries
        ),
        shard_sets=tuple(
            tuple(
                (s.key, position[s.source.file], s.source.group_start, s.source.group_stop, *_range(s)) for s in shards
            )
            for shards in shard_sets
        ),
        max_failed=spec.max_failed,
        confidence=spec.confidence,
    )


def _range(shard: Shard) -> tuple[int, int]:
    return shard.source.row_start, shard.source.row_stop


def _system_record(system: SystemPlan, *, bitwise: bool) -> SystemRecord:
    resolved = system.resolved
    return SystemRecord(
        name=resolved.spec.name,
        kind=resolved.spec.kind,
        name_from=resolved.name_from,
        generate=system.generate.name,
        scores=tuple(stage.name for stage in system.scores),
        count=system.count.name,
        shards=system.shard_set,
        determinism="bitwise" if system.recorded or (bitwise and not resolved.scheduled) else "scheduled",
        numerics=dict(resolved.numerics),
        settings=dict(resolved.settings),
    )

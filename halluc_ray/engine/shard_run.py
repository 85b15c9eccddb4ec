"""Do what is missing of one shard: generate, score, count, and commit each.

The whole work of an actor, without Ray: read rows, run the model, score, decide, count, publish.
What is already committed is read back instead of computed. Called by the worker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from halluc_ray.engine.context import RunContext, ShardReport, ShardTask, SystemPlan
from halluc_ray.engine.images import load_images
from halluc_ray.engine.kept import Costs, KeptAnswers
from halluc_ray.engine.meter import Meter
from halluc_ray.engine.roles import to_texts
from halluc_ray.engine.row_reader import RowReader
from halluc_ray.engine.rows import ShardRows
from halluc_ray.engine.samples import samples_of
from halluc_ray.engine.scoring import batch_of, columns_read, decide, judges, score_units
from halluc_ray.engine.shard_counts import COUNTS_PART, Outcomes, ShardCounts, outcomes_of
from halluc_ray.engine.units import RAW, Units, recorded_units, verdicts_of
from halluc_ray.indicators.protocol import Indicator
from halluc_ray.models.endpoint.generator import EndpointGenerator
from halluc_ray.models.execution import Failure, Generated
from halluc_ray.records import Commit, Sample
from halluc_ray.storage import ObjectStore, commits, parquet
from halluc_ray.wiring.generators import Generator

GeneratorFor = Callable[[SystemPlan], Generator | EndpointGenerator]


@dataclass(frozen=True, slots=True)
class _Standing:
    """The main table of a commit that stands, and what was noted beside it."""

    table: pa.Table
    notes: Mapping[str, int | str]


class ShardRunner:
    """Runs tasks one after another over shared readers and indicators.

    Args:
        context: the run.
        store: where stages are committed.
        indicators: built from the spec, in its order.
        generator_for: gives the loaded model of a system; called only when outputs are missing.
    """

    def __init__(
        self, context: RunContext, *, store: ObjectStore, indicators: Sequence[Indicator], generator_for: GeneratorFor
    ) -> None:
        self._context = context
        self._store = store
        self._indicators = indicators
        self._generator_for = generator_for
        self._reader = RowReader(context.files, corpus=context.spec.corpus, selection=context.selection)
        self._counts = ShardCounts(context.spec)
        self._costs = Costs(store)
        self._meter = Meter()
        self._attempts: dict[str, str] = {}
        self._found: set[str] = set()

    @property
    def committed(self) -> dict[str, str]:
        """Stage of the last task whose commit stands -> its attempt."""
        return dict(self._attempts)

    @property
    def found(self) -> frozenset[str]:
        """Those of `committed` that somebody else wrote, or an earlier try."""
        return frozenset(self._found)

    def run(self, task: ShardTask) -> ShardReport:
        """Commit every missing stage of the task, upstream first.

        Raises:
            HallucRayError: see `retryable` on each.
        """
        self._meter = Meter()
        self._attempts, self._found = {}, set()
        system = self._context.systems[task.system]
        with self._meter.phase("read"):
            rows = self._reader.read(task.shard, columns=self._columns(system, task.missing))
        made = self._generations(system, task, rows)
        units = Units.of(made.table, rows, rebatched="token_budget" in made.notes)
        scores = self._scores(system, task, units)
        if system.generate.name in task.missing:
            self._meter.outputs(made.table)
        outcomes: Outcomes = {}
        if system.count.name in task.missing:
            outcomes = self._count(system, task, units, scores)
        meter = self._meter
        return ShardReport(
            task.key,
            self.committed,
            outcomes,
            meter.seconds,
            made.notes,
            measured=meter.measured(),
            found=self.found,
        )

    @property
    def _stops_at_bad_rows(self) -> bool:
        return self._context.spec.corpus.on_bad_row == "stop"

    def _columns(self, system: SystemPlan, missing: frozenset[str]) -> set[str]:
        roles: set[str] = set()
        raw: set[str] = set()
        if system.generate.name in missing:
            roles |= system.resolved.roles
            raw |= set(system.resolved.columns)
            if system.resolved.name_from:
                raw.add(system.resolved.name_from)
        for stage, indicator in zip(system.scores, self._indicators, strict=True):
            if stage.name in missing:
                read = columns_read(indicator, system.resolved)
                roles |= {name for name in read if not name.startswith(RAW)}
                raw |= {name.removeprefix(RAW) for name in read if name.startswith(RAW)}
        if system.count.name in missing:
            raw |= self._counts.columns
        mapped = self._context.spec.corpus.columns.mapped()
        return raw | {mapped[role] for role in roles if role in mapped}

    def _generations(self, system: SystemPlan, task: ShardTask, rows: ShardRows) -> _Standing:
        stage = system.generate.name
        if stage not in task.missing or (not system.recorded and self._stands(stage, task)):
            return self._read(stage, task)
        name_from = system.resolved.name_from
        names = to_texts(rows.table.column(name_from).combine_chunks()) if name_from else None
        reasons = rows.failures(system.resolved.roles)
        for position in np.flatnonzero(names.undecodable) if names else ():
            reasons[position] = reasons[position] or "undecodable_name"
        if self._stops_at_bad_rows:
            rows.refuse_bad(reasons, self._context.spec.corpus.columns.mapped() | {"name": name_from or ""})
        with self._meter.phase("generate"):
            if system.recorded:
                table, notes = recorded_units(rows, reasons, names.values if names else None), {}
            else:
                file, store = self._context.files[task.shard.source.file], self._context.spec.store
                images = load_images(rows, file, roles=system.resolved.roles, store=store)
                samples, failures = samples_of(rows, reasons, columns=system.resolved.columns, images=images.rows)
                made = self._generated(system, task, samples, failures)
                table, notes = made.table, {**made.notes, **images.note(samples)}
        if self._stops_at_bad_rows:
            rows.refuse_failed(table)
        standing = self._publish(stage, task, {"": table}, notes)
        if system.resolved.alone_s_per_row is not None:
            self._kept(system, task).forget()
        return standing

    def _generated(
        self, system: SystemPlan, task: ShardTask, samples: Sequence[Sample], failures: Sequence[Failure]
    ) -> Generated:
        generator = self._generator_for(system)
        with self._meter.model():
            if isinstance(generator, EndpointGenerator):
                return generator.generate(samples, failures, kept=self._kept(system, task))
            made = generator.generate(samples, failures)
        self._meter.split(made.memory_splits)
        return made

    def _kept(self, system: SystemPlan, task: ShardTask) -> KeptAnswers:
        return KeptAnswers(self._store, system.generate.name, task.shard.key, costs=self._costs)

    def _scores(self, system: SystemPlan, task: ShardTask, units: Units) -> list[pa.Table]:
        """Score parts in the indicators' order; those that stand are read back only where they are to be counted."""
        judging = [
            indicator
            for stage, indicator in zip(system.scores, self._indicators, strict=True)
            if stage.name in task.missing and judges(indicator, system.resolved)
        ]
        names = frozenset[str]().union(*(indicator.columns for indicator in judging))
        if self._stops_at_bad_rows:
            read = frozenset[str]().union(*(columns_read(i, system.resolved) for i in judging))
            units.rows.refuse_bad(units.rows.undecodable_in(read), self._context.spec.corpus.columns.mapped())
        gives, labels = system.resolved.gives, system.resolved.labels
        batch = batch_of(units, names, generated=gives, labels=labels) if names else None
        found = []
        for stage, indicator in zip(system.scores, self._indicators, strict=True):
            if stage.name in task.missing:
                with self._meter.phase("score"):
                    own = batch if judges(indicator, system.resolved) else None
                    table = score_units(indicator, units, own, read=columns_read(indicator, system.resolved))
                found.append(self._publish(stage.name, task, {"": table}).table)
            elif system.count.name in task.missing:
                found.append(self._read(stage.name, task).table)
        return found

    def _count(self, system: SystemPlan, task: ShardTask, units: Units, scores: Sequence[pa.Table]) -> Outcomes:
        with self._meter.phase("count"):
            outcomes = [decide(i, table) for i, table in zip(self._indicators, scores, strict=True)]
            verdicts = verdicts_of(units, outcomes)
            counts = self._counts.count(units, outcomes, scores)
        self._publish(system.count.name, task, {"": verdicts, COUNTS_PART: counts})
        return outcomes_of(counts)

    def _publish(
        self, stage: str, task: ShardTask, tables: Mapping[str, pa.Table], notes: Mapping[str, int | str] | None = None
    ) -> _Standing:
        """Commit the tables; the main one that stands, ours or that of whoever came first, with its notes."""
        with self._meter.phase("publish"):
            parts = {name: parquet.encode(table) for name, table in tables.items()}
            rows = tables[""].num_rows
            with self._meter.commit():
                attempt, shard = commits.new_attempt(), task.shard.key
                standing = commits.publish(
                    self._store, stage, shard, parts=parts, rows=rows, notes=notes, attempt=attempt
                )
            self._note_standing(stage, standing, found=standing.attempt != attempt)
            if standing.parts[""] == hashlib.sha256(parts[""]).hexdigest():
                return _Standing(tables[""], dict(standing.notes))
            return _Standing(parquet.decode(commits.read_part(self._store, stage, standing)), dict(standing.notes))

    def _stands(self, stage: str, task: ShardTask) -> bool:
        """Somebody committed it since the task was made: an earlier try that failed later on, or another actor."""
        with self._meter.phase("read"):
            return commits.is_committed(self._store, stage, task.shard.key)

    def _read(self, stage: str, task: ShardTask) -> _Standing:
        with self._meter.phase("read"):
            commit = commits.read_commit(self._store, stage, task.shard.key)
            if stage in task.missing:
                self._note_standing(stage, commit, found=True)
            return _Standing(parquet.decode(commits.read_part(self._store, stage, commit)), dict(commit.notes))

    def _note_standing(self, stage: str, commit: Commit, *, found: bool) -> None:
        self._attempts[stage] = commit.attempt
        if found:
            self._found.add(stage)

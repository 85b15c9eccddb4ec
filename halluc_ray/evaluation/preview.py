"""A few rows all the way through, in this process: prompt, answer, verdicts. No Ray, nothing kept.

Runs the plan's own shard code over a shard of just these rows and a store that is thrown away, so
that what is shown is what a run would do. On a CPU, whatever the spec says, so a run's bytes may
differ. Called by `halluc-ray preview`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from halluc_ray.config import EndpointSystem, RecordedSystem, RunSpec
from halluc_ray.engine.context import ShardTask, SystemPlan
from halluc_ray.engine.images import load_images
from halluc_ray.engine.plan import Plan, build_plan
from halluc_ray.engine.row_reader import RowReader
from halluc_ray.engine.rows import ShardRows
from halluc_ray.engine.samples import samples_of
from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.engine.shards import shard_of
from halluc_ray.errors import SpecError
from halluc_ray.records import OUTCOMES, Shard
from halluc_ray.storage import ObjectStore, commits, open_store, parquet
from halluc_ray.wiring.generators import Generator, load_generator
from halluc_ray.wiring.indicators import wire_indicators
from halluc_ray.wiring.previewing import PromptView, ShownPrompt

_EVIDENCE = ("score", "reason", "span_start", "span_stop", "span", "against")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one indicator says of one unit: its outcome, and what it goes by."""

    indicator: str
    outcome: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unit:
    """One draw of a row: a unit of the generate part by its columns, and the verdicts on it."""

    output: Mapping[str, Any]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class PreviewedRow:
    """One row under one system.

    Attributes:
        system: the system's name; the row's own where the corpus names systems.
        kind: of the system.
        file: URI of the corpus file.
        id: the row's.
        fields: texts that the row gives, by role.
        image_bytes: size of each image that the system is given.
        prompt: what the system is told.
        units: one per draw; empty where the system was not run.
    """

    system: str
    kind: str
    file: str
    id: str
    fields: Mapping[str, str]
    image_bytes: tuple[int, ...]
    prompt: ShownPrompt
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be previewed.

    Attributes:
        rows: of each system.
        systems: names; empty for all.
        with_models: load models and let them answer.
        ask: send requests to endpoints.
    """

    rows: int = 3
    systems: tuple[str, ...] = ()
    with_models: bool = True
    ask: bool = False


def preview(spec: RunSpec, wish: Wish) -> Iterator[PreviewedRow]:
    """The first rows that a run would evaluate, under each system in turn.

    Raises:
        SpecError, InputError: as a plan would be refused, or as a model would refuse to load.
    """
    plan = build_plan(_on_this_machine(spec, wish), device="cpu")
    with tempfile.TemporaryDirectory(prefix="halluc-ray-preview-") as folder:
        for position in range(len(plan.context.systems)):
            yield from _Preview(plan, position, wish, store=open_store(folder)).rows()


class _Preview:
    """The rows of one system."""

    def __init__(self, plan: Plan, position: int, wish: Wish, *, store: ObjectStore) -> None:
        self._plan = plan
        self._position = position
        self._wish = wish
        self._store = store
        context = plan.context
        self._system: SystemPlan = context.systems[position]
        self._reader = RowReader(context.files, corpus=context.spec.corpus, selection=context.selection)
        self._indicators = wire_indicators(context.spec.indicators)

    def rows(self) -> Iterator[PreviewedRow]:
        spec, resolved = self._plan.context.spec, self._system.resolved
        shards = list(self._shards())
        if not self._is_run:
            view = PromptView(resolved, spec.store, None)
            for shard in shards:
                yield from self._shown(shard, view, {})
            return
        if isinstance(resolved.spec, RecordedSystem):
            yield from self._run(shards, PromptView(resolved, spec.store, None), None)
            return
        with closing(load_generator(resolved, spec.store, bitwise=False)) as generator:
            view = PromptView(resolved, spec.store, generator if isinstance(generator, Generator) else None)
            yield from self._run(shards, view, generator)

    @property
    def _is_run(self) -> bool:
        match self._system.spec:
            case RecordedSystem():
                return True
            case EndpointSystem():
                return self._wish.ask
            case _:
                return self._wish.with_models

    def _run(self, shards: Sequence[Shard], view: PromptView, generator: Any) -> Iterator[PreviewedRow]:
        runner = ShardRunner(
            self._plan.context,
            store=self._store,
            indicators=[wired.indicator for wired in self._indicators],
            generator_for=lambda system: generator,
        )
        for shard in shards:
            runner.run(ShardTask(self._position, shard, frozenset(stage.name for stage in self._system.stages)))
            yield from self._shown(shard, view, self._units(shard))

    def _shards(self) -> Iterator[Shard]:
        """Shards cut down to the rows that are wanted."""
        missing = self._wish.rows
        for shard in self._plan.shards(self._system):
            found = self._reader.read(shard, columns=()).rows[:missing]
            if len(found):
                stop = shard.source.row_start + int(found[-1]) + 1
                yield shard_of(replace(shard.source, row_stop=stop), {})
                missing -= len(found)
            if not missing:
                return

    def _shown(self, shard: Shard, view: PromptView, units: Mapping[int, list[Unit]]) -> Iterator[PreviewedRow]:
        rows = self._reader.read(shard, columns=self._columns())
        resolved = self._system.resolved
        context = self._plan.context
        file = context.files[shard.source.file]
        images = load_images(rows, file, roles=resolved.roles, store=context.spec.store)
        reasons = rows.failures(resolved.roles)
        samples, failures = samples_of(rows, reasons, columns=resolved.columns, images=images.rows)
        prompts = {sample.row: view.show(sample) for sample in samples}
        prompts |= {failure.row: ShownPrompt(problem=failure.reason) for failure in failures}
        sizes = {sample.row: tuple(len(image) for image in sample.images) for sample in samples}
        for at, (row, id_) in enumerate(zip(rows.rows.tolist(), rows.ids.to_pylist(), strict=True)):
            own = tuple(units.get(row, ()))
            named = next((unit.output["system"] for unit in own if unit.output["system"]), None)
            yield PreviewedRow(
                system=named or self._system.spec.name or "",
                kind=self._system.spec.kind,
                file=self._plan.context.files[shard.source.file].uri,
                id=id_,
                fields=_texts(rows, at),
                image_bytes=sizes.get(row, ()),
                prompt=prompts[row],
                units=own,
            )

    def _columns(self) -> set[str]:
        """What is shown of a row beside its prompt: every text that a role names."""
        mapped = self._plan.context.spec.corpus.columns.mapped()
        shown = {column for role, column in mapped.items() if role != "image"}
        return (
            shown
            | {mapped[role] for role in self._system.resolved.roles if role in mapped}
            | {*self._system.resolved.columns}
        )

    def _units(self, shard: Shard) -> dict[int, list[Unit]]:
        outputs = self._part(self._system.generate.name, shard).to_pylist()
        scores = [self._part(stage.name, shard).to_pylist() for stage in self._system.scores]
        outcomes = self._part(self._system.count.name, shard).to_pylist()
        found: dict[int, list[Unit]] = {}
        for at, output in enumerate(outputs):
            verdicts = tuple(
                Verdict(
                    wired.name,
                    OUTCOMES[outcomes[at][f"outcome_{k}"]].label,
                    {name: value for name in _EVIDENCE if (value := scores[k][at][name]) is not None},
                )
                for k, wired in enumerate(self._indicators)
            )
            found.setdefault(output["row"], []).append(Unit(output, verdicts))
        return found

    def _part(self, stage: str, shard: Shard) -> pa.Table:
        commit = commits.read_commit(self._store, stage, shard.key)
        return parquet.decode(commits.read_part(self._store, stage, commit))


def _texts(rows: ShardRows, at: int) -> dict[str, str]:
    """What the row says, by role."""
    found: dict[str, str] = {}
    for role in ("prompt", "context", "reference", "response"):
        if role in rows.roles and (value := rows.roles[role][at].as_py()) is not None:
            found[role] = " | ".join(value) if isinstance(value, list) else value
    return found


def _on_this_machine(spec: RunSpec, wish: Wish) -> RunSpec:
    """The spec on a CPU of any make, with bad rows shown and not stopped at, and only the systems wished for."""
    names = [system.name or f"by {getattr(system, 'name_from', '')}" for system in spec.systems]
    unknown = [name for name in wish.systems if name not in names]
    if unknown:
        raise SpecError(f"--system {unknown[0]}: the spec has {', '.join(names)}")
    engine = spec.engine.model_copy(update={"device": "cpu", "accelerator": None, "bitwise": False})
    wanted = tuple(s for s, name in zip(spec.systems, names, strict=True) if not wish.systems or name in wish.systems)
    corpus = spec.corpus.model_copy(update={"on_bad_row": "fail_row"})
    return spec.model_copy(update={"engine": engine, "systems": wanted, "corpus": corpus})

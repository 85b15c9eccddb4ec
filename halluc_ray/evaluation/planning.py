"""Plan a run without running it: what is done, what is to do, what it will cost to read.

Starts no actor; asks a Ray cluster only what devices it has, and only where the spec leaves that open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from halluc_ray.config import EndpointSystem, RecordedSystem, RunSpec
from halluc_ray.engine.context import ShardTask, SystemPlan
from halluc_ray.engine.images import holds_links
from halluc_ray.engine.plan import MANY_SHARDS, Plan, build_plan
from halluc_ray.engine.shards import read_amplification
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.models.endpoint.purse import MICRO
from halluc_ray.records import Stage, StageKind
from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.storage.commits import committed
from halluc_ray.wiring.endpoints import read_key

_BYTES_PER_TOKEN = 4
_WASTEFUL = 3.0


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage of a plan: how much of it is there.

    Attributes:
        stage: its name in the store.
        system: the system's name, or the column that names the systems.
        what: `outputs`, the indicator's name, or `counts`.
        shards: planned.
        done: committed.
        rows_to_do: corpus rows of the shards that are missing.
        estimated_tokens: that a model would read and write for them; 0 where none runs.
    """

    stage: str
    system: str
    what: str
    shards: int
    done: int
    rows_to_do: int
    estimated_tokens: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do.

    Attributes:
        run_id: of the run.
        run_uri: where it will lie.
        stages: upstream first, a system after another.
        files: corpus files.
        corpus_rows: rows before selection.
        read_amplification: rows decoded over rows planned, if no actor kept a row group for its next slice.
        notes: what the user should know before starting.
    """

    run_id: str
    run_uri: str
    stages: tuple[StagePlan, ...]
    files: int
    corpus_rows: int
    read_amplification: float
    notes: tuple[str, ...]


def prepare(spec: RunSpec) -> Planned:
    """Plan without running: decodes no rows unless `limit` asks for id hashes.

    Raises:
        SpecError, InputError: the run would be refused.
    """
    with ExitStack() as stack:
        plan = plan_on(spec, stack)
    store = open_output(spec)
    done = done_shards(store, plan)
    stages = tuple(_stage_plans(plan, done))
    sources = [shard.source for shards in plan.shard_sets for shard in shards]
    amplification = read_amplification(sources, {f.digest: f.group_rows for f in plan.files})
    return Planned(
        run_id=plan.run_id,
        run_uri=RunFolder(store, plan.run_id).uri,
        stages=stages,
        files=len(plan.files),
        corpus_rows=sum(f.num_rows for f in plan.files),
        read_amplification=amplification,
        notes=(*_notes(plan, amplification), *_endpoint_notes(plan, stages)),
    )


def open_output(spec: RunSpec) -> ObjectStore:
    """The spec's output root."""
    return open_store(spec.output, endpoint=spec.store.endpoint, region=spec.store.region)


def has_models(spec: RunSpec) -> bool:
    """Some system's model runs on the actors."""
    return any(not isinstance(system, RecordedSystem | EndpointSystem) for system in spec.systems)


def plan_on(spec: RunSpec, stack: ExitStack) -> Plan:
    """Build the plan, entering a Ray cluster on `stack` only where the device can't be settled without."""
    engine = spec.engine
    if not has_models(spec):
        return build_plan(spec, device="cpu")
    if engine.device == "cuda" and engine.accelerator:
        return build_plan(spec, device="cuda", accelerator=engine.accelerator)
    if engine.device == "cpu":
        return build_plan(spec, device="cpu")
    from halluc_ray.engine import placement

    if placement.surely_cpu():
        if engine.device == "cuda":
            raise SpecError(
                "engine.device: cuda, and this machine has no GPU; set engine.device: auto or cpu, name a cluster in "
                "RAY_ADDRESS, or name engine.accelerator to plan for one that is not at hand"
            )
        return build_plan(spec, device="cpu")
    stack.enter_context(placement.cluster())
    placed = placement.place(spec, models=True)
    return build_plan(spec, device=placed.device, accelerator=placed.accelerator)


def done_shards(store: ObjectStore, plan: Plan) -> dict[str, frozenset[str]]:
    """Stage name -> keys of its committed shards; one listing per stage."""
    names = {stage.name for system in plan.context.systems for stage in system.stages}
    return {name: committed(store, name) for name in sorted(names)}


def missing_tasks(plan: Plan, done: dict[str, frozenset[str]]) -> list[ShardTask]:
    """What is to do: a system after another, in corpus order, each shard once."""
    tasks: dict[tuple[str, str], ShardTask] = {}
    for position, system in enumerate(plan.context.systems):
        for shard in plan.shards(system):
            missing = frozenset(stage.name for stage in system.stages if shard.key not in done[stage.name])
            if missing and (system.count.name, shard.key) not in tasks:
                tasks[system.count.name, shard.key] = ShardTask(position, shard, missing)
    return list(tasks.values())


def _stage_plans(plan: Plan, done: dict[str, frozenset[str]]) -> Iterator[StagePlan]:
    for system in plan.context.systems:
        named = system.spec.name or f"by {system.resolved.name_from}"
        whats = ["outputs", *(indicator.name for indicator in plan.record.indicators), "counts"]
        for stage, what in zip(system.stages, whats, strict=True):
            shards = plan.shards(system)
            to_do = [shard for shard in shards if shard.key not in done[stage.name]]
            rows = sum(shard.source.num_rows for shard in to_do)
            tokens = _tokens(plan, system, stage, rows)
            yield StagePlan(stage.name, named, what, len(shards), len(shards) - len(to_do), rows, tokens)


def _tokens(plan: Plan, system: SystemPlan, stage: Stage, rows: int) -> int:
    if stage.kind is not StageKind.GENERATE or system.recorded:
        return 0
    return round(rows * sum(_tokens_per_row(plan, system)))


def _tokens_per_row(plan: Plan, system: SystemPlan) -> tuple[float, int]:
    """Tokens of the corpus columns that a model reads of a row, and the most that it writes."""
    total = sum(f.num_rows for f in plan.files)
    if not total:
        return 0.0, 0
    mapped = plan.context.spec.corpus.columns.mapped()
    columns = {mapped[role] for role in system.resolved.roles if role in mapped} | set(system.resolved.columns)
    read = sum(f.column_bytes.get(column, 0) for f in plan.files for column in columns) / total / _BYTES_PER_TOKEN
    decoding = getattr(system.spec, "decoding", None)
    written = decoding.max_new_tokens * decoding.samples if decoding else 0
    return read, written


def _endpoint_notes(plan: Plan, stages: Sequence[StagePlan]) -> Iterator[str]:
    """What asking endpoints takes: their keys, and money."""
    to_do = {stage.stage: stage.rows_to_do for stage in stages}
    for system in plan.context.systems:
        spec, rows = system.spec, to_do[system.generate.name]
        if not isinstance(spec, EndpointSystem) or not rows:
            continue
        try:
            read_key(spec)
        except SpecError as problem:
            yield str(problem)
        read, written = _tokens_per_row(plan, system)
        requests = rows * spec.decoding.samples
        money = (requests * read * spec.price_input + rows * written * spec.price_output) / MICRO
        if money:
            yield (
                f"{spec.name} may cost about {money:,.2g}: {requests:,} requests by its prices, each answer as long as "
                "may be; template, system turn and shots come on top"
            )


def _notes(plan: Plan, amplification: float) -> Iterator[str]:
    corpus = plan.context.spec.corpus
    if selecting := [name for name in ("where", "sample", "limit") if getattr(corpus, name) is not None]:
        yield f"rows and tokens to do are upper bounds: before corpus.{' and corpus.'.join(selecting)}"
    num_shards = sum(len(plan.shards(system)) for system in plan.context.systems)
    if num_shards > MANY_SHARDS:
        yield f"{num_shards:,} shards are many small objects; set engine.shard_rows higher"
    if amplification > _WASTEFUL:
        yield (
            f"row groups are {amplification:.0f} times as large as shards; an actor decodes a group once and keeps "
            "it, others that help out decode it again: smaller row groups read less"
        )
    if _follows_links(plan):
        yield (
            "images behind paths and URIs are not part of the corpus' digest: one that is replaced in place is not "
            "looked at again by what is computed already; commits note a digest of those that were used"
        )
    if any(f.digest.startswith("etag:") for f in plan.files):
        yield "some files are known by ETag only: the same file elsewhere is another; upload with SHA-256 checksums"


def _follows_links(plan: Plan) -> bool:
    """A system looks at images that the corpus may only point at."""
    column = plan.context.spec.corpus.columns.image
    looks = any("image" in system.resolved.roles for system in plan.context.systems)
    return looks and column is not None and any(holds_links(f.schema.field(column).type) for f in plan.files)

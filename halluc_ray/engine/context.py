"""What every actor of a run must know: the resolved systems, the files and the bounds of selection.

Plain, picklable records; made by the plan, read by shard runs. Holds no shards and no rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halluc_ray.config import RecordedSystem, RunSpec, System
from halluc_ray.engine.selection import Selection
from halluc_ray.logs import Line
from halluc_ray.records import Shard, Stage, StageKind
from halluc_ray.storage.files import CorpusFile
from halluc_ray.wiring.systems import ResolvedSystem


@dataclass(frozen=True, slots=True)
class SystemPlan:
    """One system and its stages.

    Attributes:
        resolved: the system with its checkpoint, labels and numerics.
        generate: its outputs.
        scores: one stage per indicator, in the spec's order.
        count: outcomes and counts over all of them.
        shard_set: which of the plan's shard sets the stages are cut in.
    """

    resolved: ResolvedSystem
    generate: Stage
    scores: tuple[Stage, ...]
    count: Stage
    shard_set: int

    @property
    def spec(self) -> System:
        """The system as written."""
        return self.resolved.spec

    @property
    def recorded(self) -> bool:
        """The corpus holds its answers."""
        return isinstance(self.resolved.spec, RecordedSystem)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, upstream first."""
        return (self.generate, *self.scores, self.count)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What an actor is given once.

    Attributes:
        spec: the run's spec.
        files: file digest -> file.
        selection: bounds that every shard applies.
        systems: resolved systems in the spec's order.
    """

    spec: RunSpec
    files: Mapping[str, CorpusFile]
    selection: Selection
    systems: tuple[SystemPlan, ...]


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Work on one shard of one system: the names of the stages that are missing.

    Attributes:
        system: position in `RunContext.systems`.
        shard: the shard.
        missing: names of the stages to commit.
    """

    system: int
    shard: Shard
    missing: frozenset[str]

    @property
    def key(self) -> tuple[int, str]:
        """Identifies the task in a run."""
        return (self.system, self.shard.key)

    @property
    def generates(self) -> bool:
        """Outputs are missing, not only what follows from them."""
        return any(name.startswith(f"{StageKind.GENERATE}-") for name in self.missing)

    @property
    def group(self) -> tuple[str, int]:
        """The row group whose decoding its neighbours share."""
        return (self.shard.source.file, self.shard.source.group_start)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a finished task took of its actor.

    Attributes:
        input_tokens, output_tokens: of the outputs that the task was to make, whoever committed them.
        model_s: seconds inside the model.
        commit_s: seconds of each publication of a stage.
        memory_splits: batches halved because memory ran out.
        gpu_memory_bytes: the most that the actor's models have held; None without a GPU.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    model_s: float = 0.0
    commit_s: tuple[float, ...] = ()
    memory_splits: int = 0
    gpu_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What an actor says about a task: counts, never rows.

    Attributes:
        task: the task's key.
        committed: stage whose commit now stands, whoever wrote it -> its attempt; of a failed task too.
        found: those of `committed` that this try did not write.
        outcomes: (system name or "", indicator) -> units by outcome, in the order of `OUTCOMES`.
        seconds: wall time by phase: read, generate, score, count, publish.
        notes: such as a halved token budget.
        error: what went wrong, or None.
        measured: what the task took.
        lines: that the actor logged meanwhile.
    """

    task: tuple[int, str]
    committed: Mapping[str, str]
    outcomes: Mapping[tuple[str, int], tuple[int, ...]]
    seconds: Mapping[str, float]
    notes: Mapping[str, Any]
    error: Exception | None = None
    measured: Measured = Measured()
    found: frozenset[str] = frozenset()
    lines: tuple[Line, ...] = ()

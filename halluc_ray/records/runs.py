"""The record of a run, `run.json`: everything that determines its report, and nothing else.

No paths, times or machines: the same plan gives the same record and so the same run id.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from halluc_ray.records.stages import Shard, ShardSource

NO_NAME = "(none)"
"""A system's name where the column that names it holds none."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Record):
    """One corpus file: digest of its bytes, and rows."""

    digest: str
    rows: int


class CorpusRecord(_Record):
    """What was read and how rows were selected."""

    files: tuple[FileRecord, ...]
    columns: dict[str, str]
    cluster: str | None
    selection: dict[str, Any]


class IndicatorRecord(_Record):
    """An indicator with every option that changes the number, thresholds included."""

    name: str
    kind: str
    semantics_version: int
    options: dict[str, Any]


class SystemRecord(_Record):
    """A system and the stages that hold its outputs, scores and counts.

    Attributes:
        name: its name, or None where a corpus column names the systems (`name_from`).
        kind: `causal-lm`, `sequence-classification`, `recorded`.
        name_from: the column that names the systems, for recorded answers.
        generate: name of the generate stage.
        scores: names of the score stages, one per indicator in the run's order.
        count: name of the count stage; its items are indicators (or summaries) in the run's order.
        shards: which of the run's shard sets the stages are cut in.
        determinism: `bitwise` or `scheduled`.
        numerics: what fixes the floating point of its outputs; empty for recorded answers.
        settings: template, limits, decoding: what else the generate digest covers, for the reader.
    """

    name: str | None
    kind: str
    name_from: str | None
    generate: str
    scores: tuple[str, ...]
    count: str
    shards: int
    determinism: str
    numerics: dict[str, Any]
    settings: dict[str, Any]

    @property
    def draws(self) -> int:
        """Units per selected row."""
        return int(self.settings.get("decoding", {}).get("samples", 1))


class SummaryRecord(_Record):
    """A mean of a corpus column, or of the scores of the indicator that `score` names."""

    name: str
    column: str | None
    score: str | None = None
    where: str | None


class RunRecord(_Record):
    """A run: systems, indicators, slices, and the shards they are computed over.

    `shard_sets` holds one list of shards per cut; a shard is (key, position of its file in
    `corpus.files`, group_start, group_stop, row_start, row_stop).
    """

    schema_version: int
    corpus: CorpusRecord
    systems: tuple[SystemRecord, ...]
    indicators: tuple[IndicatorRecord, ...]
    slices: tuple[tuple[str, ...], ...]
    summaries: tuple[SummaryRecord, ...]
    shard_sets: tuple[tuple[tuple[str, int, int, int, int, int], ...], ...]
    max_failed: float
    confidence: float

    def shards(self, system: SystemRecord) -> list[Shard]:
        """The shards of a system's stages, in corpus order."""
        return [
            Shard(key, ShardSource(self.corpus.files[file].digest, *rest))
            for key, file, *rest in self.shard_sets[system.shards]
        ]

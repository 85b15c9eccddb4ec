"""Stages, shards and commits: the words of the incremental build.

A stage is addressed by a digest of what determines its bytes, a shard by what it holds; each
(stage, shard) is committed once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class StageKind(StrEnum):
    """What a stage makes: outputs of one system, scores of one indicator, or counts."""

    GENERATE = "generate"
    SCORE = "score"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Stage:
    """One addressable step of a run.

    Attributes:
        kind: what the stage makes.
        digest: 32 hex digits over `covers`.
        covers: everything the digest covers, JSON-ready; stored as the stage's `stage.json`.
    """

    kind: StageKind
    digest: str
    covers: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Folder of the stage in the store: `<kind>-<digest>`."""
        return f"{self.kind}-{self.digest}"


@dataclass(frozen=True, slots=True)
class ShardSource:
    """Where a shard's rows lie: whole row groups of one file, or a slice of one row group.

    Attributes:
        file: the file's digest.
        group_start: first row group.
        group_stop: one past the last row group.
        row_start: first row, counted from the start of row group `group_start`.
        row_stop: one past the last row, counted likewise.
    """

    file: str
    group_start: int
    group_stop: int
    row_start: int
    row_stop: int

    @property
    def num_rows(self) -> int:
        """Corpus rows in the range, before selection."""
        return self.row_stop - self.row_start


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard: its key (32 hex digits over source and selection) and its source."""

    key: str
    source: ShardSource


@dataclass(frozen=True, slots=True)
class Commit:
    """The marker of one (stage, shard): which attempt won, and what it wrote.

    Attributes:
        shard: the shard's key.
        attempt: random name of the winning attempt.
        parts: part name -> sha256 of its bytes. Each part is
            `parts/<shard>.<attempt>[.<name>].parquet`; the main part's name is empty.
        rows: units in the main part.
        notes: small facts that belong to the bytes, such as a token budget that was halved.
    """

    shard: str
    attempt: str
    parts: Mapping[str, str]
    rows: int
    notes: Mapping[str, int | str]

"""The face of the house: evaluate a spec, look at a run, rebuild its report.

Puts engine and reports together; the command line and the Python face call it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from halluc_ray.config import RunSpec
from halluc_ray.engine.progress import Progress


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage of a plan: how much of it is there."""

    stage: str
    system: str
    what: str  # system name for generate, indicator name for score, "counts" for count
    shards: int
    done: int
    rows_to_do: int
    estimated_tokens: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do."""

    run_id: str
    run_uri: str
    stages: tuple[StagePlan, ...]
    files: int
    corpus_rows: int
    read_amplification: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished run: its report as parsed report.json, and where things lie."""

    run_id: str
    run_uri: str
    report: dict[str, Any]
    report_html_uri: str
    shards: int
    shards_computed: int
    failed_share: float
    too_many_failed: bool


def prepare(spec: RunSpec) -> Planned:
    """Plan without running: decodes no rows unless `limit` asks for id hashes."""
    raise NotImplementedError


def evaluate(spec: RunSpec, *, on_progress: Callable[[Progress], None] | None = None) -> Evaluation:
    """Run what is missing and write the report. Raises RunIncomplete when shards are missing at the end."""
    raise NotImplementedError


def status(target: str | RunSpec) -> Progress:
    """How far a run is, from the store alone."""
    raise NotImplementedError


def rebuild_report(target: str | RunSpec) -> Evaluation:
    """Report from commits, with no Ray and no GPU."""
    raise NotImplementedError


def find_samples(target: str | RunSpec, *, where: str | None, limit: int) -> pa.Table:
    """Rows of a run that satisfy `where`."""
    raise NotImplementedError

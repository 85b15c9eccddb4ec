"""What each stage's digest covers. The one place that decides what makes work new.

Pure. A digest covers everything that determines the stage's bytes and nothing else: no names, no
paths, no number of actors. Fields at their default are left out. Called by the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halluc_ray.config import RunSpec, Summary, digest
from halluc_ray.config.expression import parse_condition
from halluc_ray.engine.context import SystemPlan
from halluc_ray.engine.units import RAW
from halluc_ray.records import Stage, StageKind
from halluc_ray.records.schemas import SCHEMA_VERSION
from halluc_ray.wiring.indicators import WiredIndicator
from halluc_ray.wiring.systems import ResolvedSystem

COUNT_VERSION = 1


def stage(kind: StageKind, covers: Mapping[str, Any]) -> Stage:
    """Name a stage by what it covers."""
    full = {"schema_version": SCHEMA_VERSION, **covers}
    return Stage(kind, digest({"stage": kind, **full}), full)


def plan_system(
    resolved: ResolvedSystem, spec: RunSpec, *, indicators: Sequence[WiredIndicator], shard_set: int
) -> SystemPlan:
    """The stages of one system."""
    generate = _generate(resolved, spec)
    scores = tuple(_score(wired, generate, resolved, spec) for wired in indicators)
    count = _count(generate, scores, indicators, spec)
    return SystemPlan(resolved, generate, scores, count, shard_set)


def _generate(resolved: ResolvedSystem, spec: RunSpec) -> Stage:
    mapped = spec.corpus.columns.mapped()
    covers: dict[str, Any] = {
        "system": resolved.spec.kind,
        "semantics_version": resolved.semantics_version,
        "settings": dict(resolved.settings),
        "columns": {role: mapped[role] for role in sorted(resolved.roles | {"id"}) if role in mapped},
    }
    if resolved.columns:
        covers["placeholders"] = list(resolved.columns)
    if resolved.numerics:
        covers["numerics"] = dict(resolved.numerics)
        if not spec.engine.bitwise:
            covers["determinism"] = "scheduled"
    return stage(StageKind.GENERATE, covers)


def _score(wired: WiredIndicator, generate: Stage, resolved: ResolvedSystem, spec: RunSpec) -> Stage:
    mapped = spec.corpus.columns.mapped()
    roles = sorted(name for name in wired.indicator.columns - resolved.gives if not name.startswith(RAW))
    covers: dict[str, Any] = {
        "indicator": wired.indicator.kind,
        "semantics_version": wired.indicator.semantics_version,
        "options": wired.scored_options,
        "columns": {role: mapped[role] for role in roles if role in mapped},
        "upstream": [generate.name],
    }
    if resolved.labels:
        covers["labels"] = dict(resolved.labels)
    return stage(StageKind.SCORE, covers)


def _summary(summary: Summary, indicators: Sequence[WiredIndicator]) -> list[Any]:
    """The column, or the position of the indicator whose scores are averaged; and over which rows."""
    names = [wired.name for wired in indicators]
    averaged = summary.column if summary.score is None else {"indicator": names.index(summary.score)}
    return [averaged, parse_condition(summary.where).text if summary.where else None]


def _count(generate: Stage, scores: Sequence[Stage], indicators: Sequence[WiredIndicator], spec: RunSpec) -> Stage:
    covers: dict[str, Any] = {
        "semantics_version": COUNT_VERSION,
        "thresholds": [wired.thresholds for wired in indicators],
        "upstream": [generate.name, *(score.name for score in scores)],
    }
    if spec.slices:
        covers["slices"] = [list(entry) for entry in spec.slice_columns()]
    if spec.summaries:
        covers["summaries"] = [_summary(entry, indicators) for entry in spec.summaries]
    if spec.corpus.cluster:
        covers["cluster"] = spec.corpus.cluster
    elif generate.covers["settings"].get("decoding", {}).get("samples", 1) > 1:
        covers["clusters"] = "rows"
    return stage(StageKind.COUNT, covers)

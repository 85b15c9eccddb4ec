"""From the counts of a run to its report: the divisions, and nothing else.

Knows the counts' tables and `statistics`; pure, reads no store. Callers: `files`, tests.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.records.counts import sum_of_limbs
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.caveats import caveats_of
from halluc_ray.reports.cells import OTHER, cell_order, cell_values
from halluc_ray.reports.conservation import LEFT_OUT, OUTCOME_STATS
from halluc_ray.reports.duplicates import Duplicates
from halluc_ray.reports.reduce import RunCounts
from halluc_ray.reports.report import ClusterFacts, Corpus, Mean, Rate, Reason, Report, SystemFacts
from halluc_ray.reports.signature import signature
from halluc_ray.statistics import design_effect, wilson

_UNIT_STATS = ("rows", "failed", "truncated", "rebatched", "prompt_tokens", "output_tokens", "reasoning_tokens")
_DIGITS = 12
Stats = dict[str, int]
Cells = dict[tuple[str, int, int, str], Stats]


def build_report(record: RunRecord, counts: RunCounts, *, run_id: str, duplicates: Duplicates) -> Report:
    """The report of a run.

    Intervals are Wilson's. Where rows share a source (`corpus.cluster`) or have several draws, each is
    taken over the effective sample size; the design effect is measured on all rows of a system and
    indicator and used for its slices too, where clusters are too few to measure it.

    Args:
        record: the run.
        counts: its reduced counts.
        run_id: digest of the record.
        duplicates: ids that occur more than once.
    """
    clusters = tuple(_clusters(record, counts))
    effects = {(facts.system, facts.indicator): facts.design_effect for facts in clusters}
    systems = tuple(_systems(record, counts))
    rates = tuple(_rates(record, counts, effects))
    failed_share = _failed_share(systems, rates)
    return Report(
        schema_version=record.schema_version,
        run_id=run_id,
        signature=signature(record),
        determinism="bitwise" if all(facts.determinism == "bitwise" for facts in systems) else "scheduled",
        max_failed=record.max_failed,
        failed_share=failed_share,
        warnings=caveats_of(
            record,
            counts,
            systems=systems,
            rates=rates,
            clusters=clusters,
            duplicates=duplicates,
            failed_share=failed_share,
        ),
        corpus=Corpus(
            files=len(record.corpus.files),
            rows=counts.selection.get("corpus", 0),
            selected=counts.selection.get("selected", 0),
            without_id=counts.selection.get("without_id", 0),
            left_out={name: counts.selection.get(name, 0) for name in LEFT_OUT},
            duplicate_ids={"ids": duplicates.ids, "rows": duplicates.rows, "examples": list(duplicates.examples)},
        ),
        systems=systems,
        indicators=tuple(indicator.model_dump(mode="json") for indicator in record.indicators),
        rates=rates,
        summaries=tuple(_means(record, counts)),
        reasons=tuple(_reasons(record, counts)),
        clusters=clusters,
    )


def _rates(record: RunRecord, counts: RunCounts, effects: dict[tuple[str, str], float]) -> Iterator[Rate]:
    cells = _cells(counts.table, "outcomes")
    for system, _ in counts.systems:
        for item in range(len(record.indicators)):
            cells.setdefault((system, item, 0, "[]"), {})
    keys = sorted(cells, key=_key_order(counts))
    hallucinated = np.array([cells[key].get("hallucinated", 0) for key in keys], dtype=np.float64)
    defined = hallucinated + np.array([cells[key].get("supported", 0) for key in keys], dtype=np.float64)
    effect = np.array([effects.get((key[0], record.indicators[key[1]].name), 1.0) for key in keys], dtype=np.float64)
    low, high = wilson(hallucinated, defined=defined, confidence=record.confidence, design_effect=effect)
    for at, key in enumerate(keys):
        system, item, position, cell = key
        stats = cells[key]
        rows, some = stats.get("rows", 0), bool(defined[at])
        answered = rows - stats.get("abstained", 0) - stats.get("failed", 0)
        yield Rate(
            system=system,
            indicator=record.indicators[item].name,
            slice=_slice(record, position, cell),
            rows=rows,
            **{stat: stats.get(stat, 0) for stat in OUTCOME_STATS},
            rate=int(hallucinated[at]) / int(defined[at]) if some else None,
            low=round(float(low[at]), _DIGITS) if some else None,
            high=round(float(high[at]), _DIGITS) if some else None,
            confidence=record.confidence,
            answered_share=answered / rows if rows else None,
            folded_cells=counts.folded.get(position, 0) if cell == OTHER else 0,
        )


def _means(record: RunRecord, counts: RunCounts) -> Iterator[Mean]:
    cells = _cells(counts.table, "summaries")
    for system, _ in counts.systems:
        for item in range(len(record.summaries)):
            cells.setdefault((system, item, 0, "[]"), {})
    for key in sorted(cells, key=_key_order(counts)):
        system, item, position, cell = key
        rows = cells[key].get("rows", 0)
        mean = float(sum_of_limbs(cells[key]) / Fraction(rows)) if rows else None
        name, where, skipped = record.summaries[item].name, _slice(record, position, cell), cells[key].get("skipped", 0)
        yield Mean(system=system, name=name, slice=where, rows=rows, mean=mean, skipped=skipped)


def _clusters(record: RunRecord, counts: RunCounts) -> Iterator[ClusterFacts]:
    buckets: dict[tuple[str, int], list[Stats]] = defaultdict(list)
    for (system, item, _, _), stats in _cells(counts.table, "clusters").items():
        buckets[system, item].append(stats)
    order = {system: at for at, (system, _) in enumerate(counts.systems)}
    for system, item in sorted(buckets, key=lambda key: (order[key[0]], key[1])):
        sums = buckets[system, item]
        effect = design_effect(
            [stats.get("hallucinated", 0) for stats in sums],
            defined=[stats.get("defined", 0) for stats in sums],
            confidence=record.confidence,
        )
        yield ClusterFacts(system, record.indicators[item].name, effect.clusters, round(effect.value, _DIGITS))


def _systems(record: RunRecord, counts: RunCounts) -> Iterator[SystemFacts]:
    units = {key[0]: stats for key, stats in _cells(counts.table, "units").items()}
    failures: dict[str, dict[str, int]] = defaultdict(dict)
    for (system, _, _, cell), stats in _cells(counts.table, "failures").items():
        failures[system][json.loads(cell)[0]] = stats["rows"]
    for system, position in counts.systems:
        stats = units.get(system, {})
        owner = record.systems[position]
        yield SystemFacts(
            system=system,
            kind=owner.kind,
            determinism="scheduled" if stats.get("rebatched") else owner.determinism,
            **{stat: stats.get(stat, 0) for stat in _UNIT_STATS},
            failures=dict(sorted(failures[system].items(), key=lambda pair: (-pair[1], pair[0]))),
        )


def _reasons(record: RunRecord, counts: RunCounts) -> Iterator[Reason]:
    order = {system: at for at, (system, _) in enumerate(counts.systems)}
    found = [
        (order[system], item, *json.loads(cell), stats["rows"])
        for (system, item, _, cell), stats in _cells(counts.table, "reasons").items()
    ]
    rank = {label: at for at, label in enumerate(OUTCOME_STATS)}
    found.sort(key=lambda row: (row[0], row[1], rank[row[2]], -row[4], row[3] or ""))
    for at, item, outcome, reason, rows in found:
        yield Reason(counts.systems[at][0], record.indicators[item].name, outcome, reason, rows)


def _failed_share(systems: Iterable[SystemFacts], rates: Iterable[Rate]) -> float:
    """Failed units over units, where a unit without a verdict of some indicator has failed too."""
    worst: dict[str, int] = {facts.system: facts.failed for facts in systems}
    rows = sum(facts.rows for facts in systems)
    for rate in rates:
        if not rate.slice:
            worst[rate.system] = max(worst[rate.system], rate.failed)
    return sum(worst.values()) / rows if rows else 0.0


def _cells(counts: pa.Table, table: str) -> Cells:
    """(system, item, slice, cell) -> stat -> value, of one of the counts' tables."""
    rows = counts.filter(pc.equal(counts["table"], table))
    columns = (rows[name].to_pylist() for name in ("system", "item", "slice", "cell", "stat", "value"))
    cells: Cells = defaultdict(dict)
    for system, item, position, cell, stat, value in zip(*columns, strict=True):
        cells[system, item, position, cell][stat] = value
    return cells


def _key_order(counts: RunCounts) -> Any:
    order = {system: at for at, (system, _) in enumerate(counts.systems)}
    return lambda key: (order[key[0]], key[1], key[2], cell_order(key[3]))


def _slice(record: RunRecord, position: int, cell: str) -> dict[str, Any]:
    return cell_values(cell, record.slices[position - 1]) if position else {}

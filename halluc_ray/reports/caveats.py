"""What a reader should know before trusting the numbers.

Knows the finished figures of a run; caller: `build`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.duplicates import Duplicates
from halluc_ray.reports.reduce import RunCounts
from halluc_ray.reports.report import ClusterFacts, Rate, SystemFacts

_FEW_CLUSTERS = 10


def caveats_of(
    record: RunRecord,
    counts: RunCounts,
    *,
    systems: Sequence[SystemFacts],
    rates: Sequence[Rate],
    clusters: Sequence[ClusterFacts],
    duplicates: Duplicates,
) -> tuple[str, ...]:
    """Sentences, in a fixed order."""
    return (
        *_about_rows(record, counts, duplicates),
        *_about_systems(systems, rates),
        *_about_cells(record, counts),
        *_about_clusters(clusters),
    )


def _about_rows(record: RunRecord, counts: RunCounts, duplicates: Duplicates) -> Iterator[str]:
    if not counts.selection.get("selected"):
        yield f"No row was selected out of {counts.selection.get('corpus', 0)}: there is no rate."
    if counts.selection.get("where_null"):
        yield f"{counts.selection['where_null']} rows were left out because the condition was null for them."
    if counts.selection.get("without_id"):
        yield f"{counts.selection['without_id']} rows have no id; each is known by its place in its file."
    if duplicates.ids:
        yield f"{duplicates.ids} ids occur more than once; each of their rows is counted."
    if not all(system.determinism == "bitwise" for system in record.systems):
        yield "Some outputs are of class `scheduled`: computed again, they may differ; see each system's class."


def _about_systems(systems: Sequence[SystemFacts], rates: Sequence[Rate]) -> Iterator[str]:
    for facts in systems:
        if facts.rows and facts.failed == facts.rows:
            yield f"{facts.system} gave no output at all: {facts.failed} of {facts.rows} failed."
        if facts.rebatched:
            yield (
                f"{facts.system}: {facts.rebatched} of {facts.rows} outputs came from smaller batches than planned, as "
                "memory ran out; computed again, some may differ."
            )
        if facts.truncated:
            yield f"{facts.system}: {facts.truncated} of {facts.rows} inputs were longer than the limit and were cut."
    failed = {facts.system for facts in systems if facts.failed == facts.rows}
    for rate in rates:
        if rate.slice or not rate.rows or rate.system in failed:
            continue
        if rate.answered_share == 0:
            silent = f"{rate.abstained} abstained, {rate.failed} failed"
            yield f"{rate.system} never answered under {rate.indicator}: {silent}."
        elif not rate.defined:
            yield f"{rate.indicator} decided no row of {rate.system}: there is no rate."


def _about_cells(record: RunRecord, counts: RunCounts) -> Iterator[str]:
    for position, cells in sorted(counts.folded.items()):
        columns = " x ".join(record.slices[position - 1])
        yield f"Slice {columns}: the {cells} smallest of its cells are counted together as other."


def _about_clusters(clusters: Sequence[ClusterFacts]) -> Iterator[str]:
    few: dict[str, list[int]] = {}
    for facts in clusters:
        if facts.clusters < _FEW_CLUSTERS:
            few.setdefault(facts.indicator, []).append(facts.clusters)
    for indicator, numbers in few.items():
        who = "one system" if len(numbers) == 1 else f"{len(numbers)} systems"
        yield (
            f"{indicator}: the rows of {who} come from fewer than {_FEW_CLUSTERS} sources "
            f"(as few as {min(numbers)}); such intervals can't be trusted."
        )

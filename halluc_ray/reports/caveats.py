"""What a reader should know before trusting the numbers.

Knows the finished figures of a run; the sentences are among the page's words, so that the page can say them in
Chinese as well. Caller: `build`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.duplicates import Duplicates
from halluc_ray.reports.reduce import RunCounts
from halluc_ray.reports.report import ClusterFacts, Rate, SystemFacts
from halluc_ray.reports.words import phrase, word

_FEW_CLUSTERS = 10


def caveats_of(
    record: RunRecord,
    counts: RunCounts,
    *,
    systems: Sequence[SystemFacts],
    rates: Sequence[Rate],
    clusters: Sequence[ClusterFacts],
    duplicates: Duplicates,
    failed_share: float,
) -> tuple[str, ...]:
    """Sentences, in a fixed order."""
    return (
        *_about_failures(record, failed_share),
        *_about_rows(record, counts, duplicates),
        *_about_systems(systems, rates),
        *_about_cells(record, counts),
        *_about_clusters(clusters),
    )


def _about_failures(record: RunRecord, failed_share: float) -> Iterator[str]:
    if failed_share > record.max_failed:
        yield word("caveat_failed", share=f"{failed_share:.2%}", most=f"{record.max_failed:.2%}")


def _about_rows(record: RunRecord, counts: RunCounts, duplicates: Duplicates) -> Iterator[str]:
    if not counts.selection.get("selected"):
        yield word("caveat_no_rows", rows=counts.selection.get("corpus", 0))
    if counts.selection.get("where_null"):
        yield word("caveat_where_null", rows=counts.selection["where_null"])
    if counts.selection.get("without_id"):
        yield word("caveat_without_id", rows=counts.selection["without_id"])
    if duplicates.ids:
        yield word("caveat_duplicates", ids=duplicates.ids)
    if not all(system.determinism == "bitwise" for system in record.systems):
        yield word("caveat_scheduled")


def _about_systems(systems: Sequence[SystemFacts], rates: Sequence[Rate]) -> Iterator[str]:
    for facts in systems:
        if facts.rows and facts.failed == facts.rows:
            yield word("caveat_no_output", system=facts.system, failed=facts.failed, rows=facts.rows)
        if facts.rebatched:
            yield word("caveat_rebatched", system=facts.system, some=facts.rebatched, rows=facts.rows)
        if facts.truncated:
            yield word("caveat_truncated", system=facts.system, some=facts.truncated, rows=facts.rows)
    failed = {facts.system for facts in systems if facts.failed == facts.rows}
    for rate in rates:
        if rate.slice or not rate.rows or rate.system in failed:
            continue
        if rate.answered_share == 0:
            silent = {"abstained": rate.abstained, "failed": rate.failed}
            yield word("caveat_silent", system=rate.system, indicator=rate.indicator, **silent)
        elif not rate.defined:
            yield word("caveat_undecided", system=rate.system, indicator=rate.indicator)


def _about_cells(record: RunRecord, counts: RunCounts) -> Iterator[str]:
    for position, cells in sorted(counts.folded.items()):
        columns = " x ".join(record.slices[position - 1])
        yield word("caveat_folded", columns=columns, cells=cells)


def _about_clusters(clusters: Sequence[ClusterFacts]) -> Iterator[str]:
    few: dict[str, list[int]] = {}
    for facts in clusters:
        if facts.clusters < _FEW_CLUSTERS:
            few.setdefault(facts.indicator, []).append(facts.clusters)
    for indicator, numbers in few.items():
        who = phrase("caveat_one_system") if len(numbers) == 1 else phrase("caveat_some_systems", n=len(numbers))
        yield word("caveat_clusters", indicator=indicator, who=who, most=_FEW_CLUSTERS, fewest=min(numbers))

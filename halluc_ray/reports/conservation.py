"""What must add up before there is a report.

Knows the tables of the counts; raises, and never repairs. Caller: `reduce`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.errors import ConservationError
from halluc_ray.records import OUTCOMES
from halluc_ray.records.runs import RunRecord

OUTCOME_STATS = tuple(outcome.label for outcome in OUTCOMES)
LEFT_OUT = ("where", "where_null", "sample", "limit")
_REPAIR = "a part was damaged or written by other code; run into another output, and report it if that happens again"


def check_conservation(
    counts: pa.Table, *, record: RunRecord, systems: Sequence[tuple[str, int]], selection: Mapping[str, int]
) -> None:
    """Hold merged counts, before cells are folded, to every sum that they must satisfy.

    Raises:
        ConservationError: names the sum, its two sides and where.
    """
    _check_selection(record, selection)
    _check_outcomes(counts, record)
    _check_units(counts, record, systems, selection)
    _check_clusters(counts, record)


def _check_selection(record: RunRecord, selection: Mapping[str, int]) -> None:
    corpus = sum(file.rows for file in record.corpus.files)
    counted = selection.get("corpus", 0)
    parts = selection.get("selected", 0) + sum(selection.get(name, 0) for name in LEFT_OUT)
    if not corpus == counted == parts:
        raise ConservationError(
            f"the corpus holds {corpus} rows, the shards counted {counted}, and selected + left out "
            f"({', '.join(LEFT_OUT)}) is {parts}; {_REPAIR}"
        )


def _check_outcomes(counts: pa.Table, record: RunRecord) -> None:
    cells: dict[tuple[str, int, int, str], dict[str, int]] = defaultdict(dict)
    outcomes = counts.filter(pc.equal(counts["table"], "outcomes"))
    keys = (outcomes[name].to_pylist() for name in ("system", "item", "slice", "cell", "stat", "value"))
    for system, item, position, cell, stat, value in zip(*keys, strict=True):
        cells[system, item, position, cell][stat] = value
    totals: dict[tuple[str, int, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (system, item, position, cell), stats in cells.items():
        six = sum(stats.get(stat, 0) for stat in OUTCOME_STATS)
        if six != stats.get("rows", 0):
            where = f"system {system!r}, indicator {_name(record, item)!r}, slice {position}, cell {cell}"
            raise ConservationError(f"{where}: the six outcomes are {six}, the rows {stats.get('rows', 0)}; {_REPAIR}")
        for stat, value in stats.items():
            totals[system, item, position][stat] += value
    everything = {key[:2]: stats for key, stats in totals.items() if key[2] == 0}
    for (system, item), whole in everything.items():
        for position in range(1, len(record.slices) + 1):
            found = totals.get((system, item, position), {})
            if dict(found) != dict(whole):
                where = (
                    f"system {system!r}, indicator {_name(record, item)!r}, slice {list(record.slices[position - 1])}"
                )
                raise ConservationError(
                    f"{where}: its cells add up to {dict(found)}, all rows to {dict(whole)}; {_REPAIR}"
                )


def _check_units(
    counts: pa.Table, record: RunRecord, systems: Sequence[tuple[str, int]], selection: Mapping[str, int]
) -> None:
    units = _sums(counts, "units", "rows")
    for item, indicator in enumerate(record.indicators):
        rows = _sums(counts, "outcomes", "rows", item=item)
        for name, _ in systems:
            if rows.get(name, 0) != units.get(name, 0):
                raise ConservationError(
                    f"system {name!r}, indicator {indicator.name!r}: {rows.get(name, 0)} rows have a verdict, "
                    f"{units.get(name, 0)} were selected; {_REPAIR}"
                )
    selected = selection.get("selected", 0)
    for position, system in enumerate(record.systems):
        seen = sum(units.get(name, 0) for name, owner in systems if owner == position)
        if seen != selected * system.draws:
            raise ConservationError(
                f"system {position} of the run: {seen} units for {selected} selected rows of {system.draws} draws "
                f"each; {_REPAIR}"
            )
    failed, reasons = _sums(counts, "units", "failed"), _sums(counts, "failures", "rows")
    if failed != reasons:
        raise ConservationError(f"failed units by system are {failed}, their reasons add up to {reasons}; {_REPAIR}")


def _check_clusters(counts: pa.Table, record: RunRecord) -> None:
    if record.corpus.cluster is None:
        return
    for item, indicator in enumerate(record.indicators):
        whole = counts.filter(pc.equal(counts["slice"], 0))
        hallucinated = _sums(whole, "outcomes", "hallucinated", item=item)
        found = _sums(counts, "clusters", "hallucinated", item=item)
        if hallucinated != found:
            raise ConservationError(
                f"indicator {indicator.name!r}: hallucinated by system is {hallucinated}, "
                f"over clusters {found}; {_REPAIR}"
            )


def _sums(counts: pa.Table, table: str, stat: str, *, item: int | None = None) -> dict[str, int]:
    """Sum of a stat over all rows (slice 0) by system."""
    mask = pc.and_(pc.equal(counts["table"], table), pc.equal(counts["stat"], stat))
    mask = pc.and_(mask, pc.equal(counts["slice"], 0))
    if item is not None:
        mask = pc.and_(mask, pc.equal(counts["item"], item))
    summed = counts.filter(mask).group_by("system").aggregate([("value", "sum")])
    return dict(zip(summed["system"].to_pylist(), summed["value_sum"].to_pylist(), strict=True))


def _name(record: RunRecord, item: int) -> str:
    return record.indicators[item].name

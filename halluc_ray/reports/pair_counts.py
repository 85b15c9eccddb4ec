"""From pairs of units to counts, by indicator and slice cell: what flipped, and who fell silent.

Knows the table `pairs` and what the outcome codes mean; divides nothing. Callers: `comparing`, the gate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from halluc_ray.records import OUTCOMES, Outcome
from halluc_ray.reports.cells import MAX_CELLS
from halluc_ray.reports.pairing import Pairs
from halluc_ray.statistics.paired_counts import ClusterSums, PairedCounts

ALL = "[]"
_NO_CELL = "''"
_DEFINED = (Outcome.HALLUCINATED, Outcome.SUPPORTED)
_SILENT = (Outcome.ABSTAINED, Outcome.FAILED)
Crossed = Mapping[tuple[Outcome, Outcome], int]


@dataclass(frozen=True, slots=True)
class PairedCell:
    """One indicator in one cell of one slice.

    Attributes:
        slice: position among the slices, from 1; 0 is all pairs.
        cell: the slice's values as a JSON list.
        crossed: pairs by (outcome of A, outcome of B).
        verdicts: pairs that are defined on both sides, by who hallucinated.
        silence: all pairs, by who did not answer (abstained or failed).
    """

    indicator: str
    slice: int
    cell: str
    crossed: Crossed
    verdicts: PairedCounts
    silence: PairedCounts

    @property
    def units(self) -> int:
        """Pairs, defined or not."""
        return self.silence.pairs


def count_pairs(pairs: Pairs) -> Iterator[PairedCell]:
    """Counts of every indicator over all pairs, and of every cell of every slice."""
    slices = ((), *pairs.question.slices)
    for item, indicator in enumerate(pairs.question.indicators):
        for position, columns in enumerate(slices):
            cell = _cell_sql(pairs, columns)
            found = _crossed(pairs, item, cell)
            if not position:
                found.setdefault(ALL, {})
            verdict_sums = _cluster_sums(pairs, cell, _is(item, "a", _DEFINED[:1]), _is(item, "b", _DEFINED[:1]), item)
            silence_sums = _cluster_sums(pairs, cell, _is(item, "a", _SILENT), _is(item, "b", _SILENT), None)
            for name, crossed in sorted(found.items()):
                verdicts = _table(crossed, _DEFINED[:1], among=_DEFINED, sums=_of_cell(pairs, verdict_sums, name))
                silence = _table(crossed, _SILENT, among=OUTCOMES, sums=_of_cell(pairs, silence_sums, name))
                yield PairedCell(indicator, position, name, crossed, verdicts, silence)


def _cell_sql(pairs: Pairs, columns: tuple[str, ...]) -> str:
    at = pairs.question.columns.index
    return " || ',' || ".join(f"s_{at(column)}" for column in columns) if columns else _NO_CELL


def cells_left_out(pairs: Pairs) -> int:
    """Cells beyond the largest of their slice, which are not counted."""
    left_out = 0
    for columns in pairs.question.slices:
        query = f"SELECT count(DISTINCT {_cell_sql(pairs, columns)}) FROM pairs"  # noqa: S608 - names of our own
        found = pairs.database.execute(query).fetchone() or (0,)
        left_out += max(0, int(found[0]) - MAX_CELLS)
    return left_out


def _is_large(cell: str) -> str:
    """Condition on a pair: its cell is one of the largest of its slice, the first by name among equals."""
    if cell == _NO_CELL:
        return "true"
    largest = f"SELECT {cell} AS name FROM pairs GROUP BY ALL ORDER BY count(*) DESC, name LIMIT {MAX_CELLS}"  # noqa: S608
    return f"{cell} IN (SELECT name FROM ({largest}))"  # noqa: S608


def _is(item: int, side: str, outcomes: tuple[Outcome, ...]) -> str:
    return f"{side}_{item} IN ({', '.join(str(int(outcome)) for outcome in outcomes)})"


def _crossed(pairs: Pairs, item: int, cell: str) -> dict[str, Crossed]:
    query = f"SELECT {cell}, a_{item}, b_{item}, count(*) FROM pairs WHERE {_is_large(cell)} GROUP BY ALL"  # noqa: S608
    found: dict[str, dict[tuple[Outcome, Outcome], int]] = {}
    for name, a, b, times in pairs.database.execute(query).fetchall():
        found.setdefault(f"[{name}]", {})[Outcome(a), Outcome(b)] = int(times)
    return dict(found)


def _cluster_sums(pairs: Pairs, cell: str, in_a: str, in_b: str, defined: int | None) -> dict[str, ClusterSums]:
    """Sums over clusters of each cell; none where pairs are independent."""
    if pairs.question.cluster is None:
        return {}
    among = _is_large(cell)
    among += "" if defined is None else f" AND {_is(defined, 'a', _DEFINED)} AND {_is(defined, 'b', _DEFINED)}"
    query = f"""
        SELECT cell, count(*), sum(c), sum(n), sum(c * c), sum(c * n), sum(n * n) FROM (
            SELECT {cell} AS cell, cluster, sum(({in_b})::INT - ({in_a})::INT)::HUGEINT AS c, count(*)::HUGEINT AS n
            FROM pairs WHERE {among} GROUP BY ALL
        ) GROUP BY cell
    """  # noqa: S608 - names of our own
    rows = pairs.database.execute(query).fetchall()
    return {f"[{name}]": ClusterSums(*map(int, sums)) for name, *sums in rows}


def _of_cell(pairs: Pairs, sums: Mapping[str, ClusterSums], cell: str) -> ClusterSums | None:
    return None if pairs.question.cluster is None else sums.get(cell, ClusterSums(0, 0, 0, 0, 0, 0))


def _table(
    crossed: Crossed, event: tuple[Outcome, ...], *, among: tuple[Outcome, ...], sums: ClusterSums | None
) -> PairedCounts:
    found: Counter[tuple[bool, bool]] = Counter()
    for (a, b), times in crossed.items():
        if a in among and b in among:
            found[a in event, b in event] += times
    return PairedCounts(
        worse=found[False, True],
        better=found[True, False],
        both=found[True, True],
        neither=found[False, False],
        sums=sums,
    )

"""Heat maps of the latest night, and the slices where it is worst: by rate, and by increase over the baseline.

Knows rates of reports, their places on a page and how many there is room for. An increase is the difference of
two rates with Newcombe's interval for independent shares: it uses no pairs, and so is wider than the gate's.
Called by `suite_page`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Any

from halluc_ray.reports.report import Rate
from halluc_ray.reports.views import largest_cells
from halluc_ray.statistics.intervals import square_and_add
from halluc_ray.suites.site.latest import LatestNight, place_of
from halluc_ray.suites.subjects import cell_key

LEVELS = 8
SHIFTS = 4
_FEWEST_ROWS = 10
_MOST_WORST = 8
_MOST_ROWS = 40
_MOST_HEADS = 12
_MOST_SYSTEMS = 24
_MOST_CELLS = 6000
_LEAST_TOP = 0.02
_LEAST_SHIFT = 0.0005


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One rate, with its shade and how much it changed.

    Attributes:
        level: 0 (none) to `LEVELS`.
        shift: -`SHIFTS` to `SHIFTS`, of the change; 0: none, or not known.
    """

    rate: Rate
    change: float | None
    level: int
    shift: int


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A cell of the slice under each head; an empty `slice` is all rows. `rows`: of the largest."""

    slice: Mapping[str, Any]
    rows: int
    cells: tuple[HeatCell | None, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One slice of one spec: cells down, indicators and systems across.

    Attributes:
        columns: of the slice.
        indicators: each with the systems under it, side by side.
        hidden_rows, hidden_systems: what there is no room for.
    """

    spec: str
    date: str
    columns: tuple[str, ...]
    indicators: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[HeatRow, ...]
    hidden_rows: int
    hidden_systems: int


@dataclass(frozen=True, slots=True)
class WorstSlice:
    """A slice cell, its rate and, where it is known, its increase with an interval."""

    spec: str
    rate: Rate
    before: Rate | None = None
    change: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What the deepest shades stand for: a rate, and a change either way."""

    top: float
    shift: float

    def cell(self, rate: Rate, change: float | None) -> HeatCell:
        """A rate with its shades."""
        level = 0 if not rate.rate else min(LEVELS, 1 + int(LEVELS * rate.rate / self.top))
        steps = 0 if change is None or abs(change) < _LEAST_SHIFT else ceil(SHIFTS * abs(change) / self.shift)
        return HeatCell(rate, change, level, min(SHIFTS, steps) * (1 if (change or 0.0) > 0 else -1))


def scale_of(latest: Sequence[LatestNight]) -> Scale:
    """One scale for all maps of a page."""
    shown = [(one, rate) for one in latest for rate in one.rates if not rate.folded_cells and rate.rate is not None]
    rates = [rate.rate or 0.0 for _, rate in shown if rate.rows >= _FEWEST_ROWS]
    changes = [abs(change) for one, rate in shown if (change := one.change(rate)) is not None]
    return Scale(max([_LEAST_TOP, *rates]), max([_LEAST_TOP, *changes]))


def heat_maps(latest: Sequence[LatestNight], scale: Scale) -> list[HeatMap]:
    """Maps of every slice, as long as there is room; where no slice is, one of all rows."""
    found: list[HeatMap] = []
    left = _MOST_CELLS
    for one in latest:
        for drawn in _maps(one, scale):
            left -= sum(len(row.cells) for row in drawn.rows)
            if found and left < 0:
                return found
            found.append(drawn)
    return found


def _maps(one: LatestNight, scale: Scale) -> Iterator[HeatMap]:
    slices = list(dict.fromkeys(tuple(rate.slice) for rate in one.rates if rate.slice)) or [()]
    overall = [rate for rate in one.rates if not rate.slice]
    indicators = list(dict.fromkeys(rate.indicator for rate in overall))
    systems = list(dict.fromkeys(rate.system for rate in overall))
    highest = {system: max((r.rate or 0.0 for r in overall if r.system == system), default=0.0) for system in systems}
    shown = sorted(sorted(systems, key=lambda system: -highest[system])[:_MOST_SYSTEMS], key=systems.index)
    together = [indicators] if len(indicators) * len(shown) <= _MOST_HEADS else [[name] for name in indicators]
    for names in together if shown else ():
        for columns in slices:
            rates = [rate for rate in one.rates if rate.indicator in names and rate.system in shown]
            heads = tuple((name, tuple(shown)) for name in names)
            rows, hidden = _rows(one, rates, columns, heads, scale)
            yield HeatMap(one.night.spec, one.night.date, columns, heads, rows, hidden, len(systems) - len(shown))


def _rows(
    one: LatestNight,
    rates: Sequence[Rate],
    columns: tuple[str, ...],
    heads: Sequence[tuple[str, tuple[str, ...]]],
    scale: Scale,
) -> tuple[tuple[HeatRow, ...], int]:
    at = {place_of(rate): rate for rate in rates}
    cells = [rate.slice for rate in largest_cells(rates, columns) if not rate.folded_cells] if columns else []
    distinct = [next(found) for _, found in groupby(cells, key=cell_key)]
    rows = []
    for cell in [{}, *distinct[:_MOST_ROWS]]:
        found = [
            at.get((system, indicator, tuple(cell), cell_key(cell)))
            for indicator, systems in heads
            for system in systems
        ]
        drawn = tuple(scale.cell(rate, one.change(rate)) if rate is not None else None for rate in found)
        rows.append(HeatRow(cell, max((rate.rows for rate in found if rate), default=0), drawn))
    return tuple(rows), len(distinct[_MOST_ROWS:])


def worst_by_rate(latest: Sequence[LatestNight]) -> list[WorstSlice]:
    """Slice cells whose interval begins highest."""
    found = [WorstSlice(one.night.spec, rate) for one, rate in _cells(latest) if rate.hallucinated]
    return sorted(found, key=lambda entry: (-(entry.rate.low or 0.0), -entry.rate.rows))[:_MOST_WORST]


def worst_by_increase(latest: Sequence[LatestNight]) -> list[WorstSlice]:
    """Slice cells that rose, those whose rise is surest first: by the lower end of its interval."""
    found = []
    for one, rate in _cells(latest):
        before = one.before.get(place_of(rate))
        if before is not None and before.defined >= _FEWEST_ROWS and (rate.rate or 0.0) > (before.rate or 0.0):
            found.append(_increase(one.night.spec, rate, before))
    return sorted(found, key=lambda entry: (-entry.low, -entry.rate.rows))[:_MOST_WORST]


def _increase(spec: str, rate: Rate, before: Rate) -> WorstSlice:
    return WorstSlice(spec, rate, before, *square_and_add(_numbers(before), _numbers(rate)))


def _numbers(rate: Rate) -> tuple[float, float, float]:
    return rate.rate or 0.0, rate.low or 0.0, rate.high or 0.0


def _cells(latest: Sequence[LatestNight]) -> Iterator[tuple[LatestNight, Rate]]:
    """Cells that may rank: not too small, and less than all rows of their system."""
    for one in latest:
        wholes = {(rate.system, rate.indicator): rate.rows for rate in one.rates if not rate.slice}
        for rate in one.rates:
            is_part = rate.rows < wholes.get((rate.system, rate.indicator), 0)
            if rate.slice and is_part and not rate.folded_cells and rate.defined >= _FEWEST_ROWS:
                yield one, rate

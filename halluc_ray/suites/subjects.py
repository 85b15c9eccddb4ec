"""What a gate looks at: each system of a run, its report, and its pairs with the baseline.

Knows how runs are reduced and paired; knows no limit. Caller: `gate`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from halluc_ray.errors import SpecError
from halluc_ray.evaluation.comparing import Target, systems_of
from halluc_ray.reports import build_report
from halluc_ray.reports.comparing import PairedSystems, other_than, pair_systems
from halluc_ray.reports.duplicates import NO_DUPLICATES
from halluc_ray.reports.pair_counts import PairedCell
from halluc_ray.reports.pairing import ID, ROW
from halluc_ray.reports.reduce import reduce
from halluc_ray.reports.report import Rate, Report
from halluc_ray.reports.sides import Side


@dataclass(frozen=True, slots=True)
class Subject:
    """One system of the run.

    Attributes:
        rates: (indicator, slice columns, cell as JSON) -> rate.
        effects: indicator -> design effect, where rows share sources.
        pairs: with the baseline, by (indicator, slice position, cell as JSON); None without a baseline.
        alone: why there are no pairs.
        unchanged: the baseline's verdicts are the very same.
    """

    side: Side
    rates: Mapping[tuple[str, tuple[str, ...], str], Rate]
    effects: Mapping[str, float]
    pairs: Mapping[tuple[str, int, str], PairedCell] | None
    alone: str
    unchanged: bool
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The system's."""
        return self.side.name

    def position(self, columns: tuple[str, ...]) -> int:
        """Of a slice in the run, from 1; 0 for all rows."""
        return self.side.record.slices.index(columns) + 1 if columns else 0

    def cells(self, indicator: str, columns: tuple[str, ...]) -> list[Rate]:
        """The cells of a slice, in the report's order; those that stand for many small ones are left out."""
        return [
            rate
            for (name, cut, _), rate in self.rates.items()
            if name == indicator and cut == columns and not rate.folded_cells
        ]


@dataclass(frozen=True, slots=True)
class Subjects:
    """Every system of the run that is gated.

    Attributes:
        by: what pairs are paired by; None without a baseline.
    """

    run_id: str
    baseline_id: str | None
    by: str | None
    each: tuple[Subject, ...]


def subjects_of(
    run: Target,
    *,
    system: str | None = None,
    baseline: Target | None = None,
    baseline_system: str | None = None,
    by: str | None = None,
) -> Subjects:
    """Read a run, and its pairs with a baseline.

    Args:
        run: the run to gate.
        system: one of its systems; default: all of them.
        baseline: the run that it is held against.
        baseline_system: the baseline's system; default: that of the same name, or the only one.
        by: `row`, `id` or a column; default: by row where both read the same rows, else by id.

    Raises:
        SpecError: a name that is none, or corpora that can't be paired.
        RunIncomplete: shards are missing.
    """
    sides = _chosen(systems_of(run), system)
    theirs = _chosen(systems_of(baseline), baseline_system) if baseline is not None else []
    first = sides[0]
    by = (by or (ROW if theirs[0].corpus == first.corpus else ID)) if theirs else None
    report = build_report(
        first.record, reduce(first.store, first.record), run_id=first.run_id, duplicates=NO_DUPLICATES
    )
    each = tuple(_subject(side, report, _partner(side, sides, theirs), by=by) for side in sides)
    return Subjects(first.run_id, theirs[0].run_id if theirs else None, by, each)


def cell_key(values: Mapping[str, Any]) -> str:
    """A cell as it is spelled in counts."""
    return json.dumps(list(values.values()), ensure_ascii=False, separators=(",", ":"))


def _subject(side: Side, report: Report, partner: Side | None, *, by: str | None) -> Subject:
    rates = {
        (rate.indicator, tuple(rate.slice), cell_key(rate.slice)): rate
        for rate in report.rates
        if rate.system == side.name
    }
    effects = {facts.indicator: facts.design_effect for facts in report.clusters if facts.system == side.name}
    if partner is None or by is None:
        alone = "there is no baseline" if by is None else "the baseline has no such system"
        return Subject(side, rates, effects, None, alone, False, ())
    found = pair_systems(partner, side, by=by, slices=side.record.slices)
    pairs = {(cell.indicator, cell.slice, cell.cell): cell for cell in found.cells}
    mine, other = ((one.system.count, one.name, one.corpus) for one in (side, partner))
    notes = tuple(_notes(found, side, partner))
    return Subject(side, rates, effects, pairs, "the baseline lacks it", mine == other, notes)


def _partner(side: Side, sides: list[Side], theirs: list[Side]) -> Side | None:
    if len(sides) == len(theirs) == 1:
        return theirs[0]
    return next((other for other in theirs if other.name == side.name), None)


def _chosen(sides: list[Side], name: str | None) -> list[Side]:
    found = [side for side in sides if name in (None, side.name)]
    if not found:
        known = ", ".join(side.name for side in sides) or "none"
        raise SpecError(f"no system is called {name!r}; the run has {known}")
    return found


def _notes(found: PairedSystems, side: Side, partner: Side) -> Iterator[str]:
    pairing = found.pairing
    if pairing.only_a or pairing.only_b:
        yield (
            f"{pairing.system_b}: {pairing.paired:,} units have a partner by {found.question.by}; "
            f"{pairing.only_a:,} are in the baseline alone and {pairing.only_b:,} in the run alone: "
            "no increase is measured on these"
        )
    before = {indicator.name: indicator for indicator in partner.record.indicators}
    for mine in side.record.indicators:
        other = other_than(mine, before[mine.name]) if mine.name in before else ""
        if other:
            yield f"indicator {mine.name} has {other} in the baseline: an increase is not the systems' alone"

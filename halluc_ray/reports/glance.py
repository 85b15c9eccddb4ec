"""What a reader sees first: one headline for each rate, and the slices where it is worst.

Knows the report's rates and `statistics`; the words are the template's. Caller: `render`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from halluc_ray.reports.report import Rate, Report
from halluc_ray.statistics import wilson

_WORST = 8
_OUT_OF = (10, 100, 1000)
_ENOUGH = 0.95


@dataclass(frozen=True, slots=True)
class WorstCell:
    """One slice cell among those with the highest lower bound.

    Attributes:
        whole: the rate of all rows of the same system under the same indicator.
        stands_out: its interval lies above `whole` even at a level divided by the number of cells that
            were looked at (Bonferroni's correction).
    """

    rate: Rate
    whole: Rate
    stands_out: bool


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst cells, indicator -> cells, out of `looked_at` cells of all indicators together."""

    cells: Mapping[str, tuple[WorstCell, ...]]
    looked_at: int


def worst_cells(report: Report, *, number: int = _WORST) -> Worst:
    """The cells whose interval begins highest, by indicator.

    A rate that few rows give is uncertain, so its interval begins low: ranking by the lower bound asks for
    cells that are surely bad rather than for small ones that were unlucky. Cells that hold every row of a
    system, and those that stand for many smaller ones, are no candidates.

    Args:
        report: the run's report.
        number: cells of an indicator at most.
    """
    wholes = {(rate.system, rate.indicator): rate for rate in report.overall()}
    cells = [
        WorstCell(rate, wholes[rate.system, rate.indicator], bound > (wholes[rate.system, rate.indicator].rate or 0.0))
        for rate, bound in _strict_bounds(report, _candidates(report, wholes))
    ]
    ranked = sorted(cells, key=lambda cell: (-(cell.rate.low or 0.0), -cell.rate.rows))
    found: dict[str, tuple[WorstCell, ...]] = {}
    for indicator in dict.fromkeys(rate.indicator for rate in wholes.values()):
        bad = (cell for cell in ranked if cell.rate.indicator == indicator and cell.rate.hallucinated)
        found[indicator] = tuple(islice(bad, number))
    return Worst(found, len(cells))


def _candidates(report: Report, wholes: Mapping[tuple[str, str], Rate]) -> list[Rate]:
    return [
        rate
        for rate in report.rates
        if rate.slice
        and rate.low is not None
        and not rate.folded_cells
        and rate.rows < wholes[rate.system, rate.indicator].rows
    ]


def _strict_bounds(report: Report, cells: Sequence[Rate]) -> Iterator[tuple[Rate, float]]:
    """Each cell with its lower bound at a confidence that holds for all cells together."""
    if not cells:
        return
    effects = {(facts.system, facts.indicator): facts.design_effect for facts in report.clusters}
    low, _ = wilson(
        [rate.hallucinated for rate in cells],
        defined=[rate.defined for rate in cells],
        confidence=1 - (1 - cells[0].confidence) / len(cells),
        design_effect=[effects.get((rate.system, rate.indicator), 1.0) for rate in cells],
    )
    for rate, bound in zip(cells, low, strict=True):
        yield rate, float(bound)


def plain_share(rate: Rate) -> tuple[str, Mapping[str, int]]:
    """A share in plain words: the key of a phrase, and its numbers.

    Natural frequencies out of 10, 100 or 1,000, so that two of them can be compared at sight.

    Reference:
        Gigerenzer and Hoffrage 1995, "How to improve Bayesian reasoning without instruction: frequency
        formats", Psychological Review 102:684-704.

    >>> from types import SimpleNamespace
    >>> plain_share(SimpleNamespace(hallucinated=82, supported=18, defined=100))
    ('about_in', {'a': 8, 'b': 10})
    >>> plain_share(SimpleNamespace(hallucinated=12, supported=488, defined=500))
    ('about_in', {'a': 2, 'b': 100})
    """
    if not rate.defined:
        return "none_decided", {}
    if not rate.hallucinated:
        return "none_of_them", {}
    if not rate.supported:
        return "all_of_them", {}
    share = rate.hallucinated / rate.defined
    for out_of in _OUT_OF:
        if _ENOUGH <= out_of * share <= out_of - _ENOUGH:
            return "about_in", {"a": round(out_of * share), "b": out_of}
    return ("nearly_all", {}) if share > 1 / 2 else ("about_in", {"a": 1, "b": round(1 / share)})

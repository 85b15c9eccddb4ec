"""The parts of the page as data: which rates, reasons and means are shown, and which are too many.

Knows the report and how much a page can hold; the words are the template's. Caller: `render`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.glance import WorstCell, plain_share
from halluc_ray.reports.plot import Axis, axis_for
from halluc_ray.reports.report import Mean, Rate, Reason, Report
from halluc_ray.reports.templating import grouped, percent
from halluc_ray.reports.words import phrase, translated
from halluc_ray.reports.worked import WorkedSample

_MOST_SYSTEMS = 200
_ALL_SYSTEMS = 300
_MANY_HEADLINES = 24
_FEW_HEADLINES = 12
_SHOWN_CELLS = 40
_FEWEST_CELLS = 8
_ALL_CELLS = 400
_SHOWN_REASONS = 12


@dataclass(frozen=True, slots=True)
class SliceView:
    """The largest cells of one slice under one indicator."""

    columns: tuple[str, ...]
    rates: tuple[Rate, ...]
    hidden: int
    axis: Axis


@dataclass(frozen=True, slots=True)
class IndicatorView:
    """One indicator's part of the page; `hidden` systems are not on it."""

    name: str
    kind: str
    options: str
    measure: str
    overall: tuple[Rate, ...]
    hidden: int
    axis: Axis
    slices: tuple[SliceView, ...]
    reasons: tuple[Reason, ...]
    samples: tuple[WorkedSample, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """A system's rates over all rows, and what the first of them means in a sentence."""

    system: str
    rates: tuple[Rate, ...]
    sentence: Markup


@dataclass(frozen=True, slots=True)
class WorstView:
    """One of the worst cells, and the address of its samples."""

    rate: Rate
    whole: Rate
    stands_out: bool
    query: str


def shown_systems(report: Report, record: RunRecord) -> frozenset[str]:
    """The systems that the page has room for; where that is not all, those with the highest rates."""
    room = min(_MOST_SYSTEMS, _ALL_SYSTEMS // max(1, len(record.indicators)))
    highest: dict[str, float] = {facts.system: -1.0 for facts in report.systems}
    for rate in report.overall():
        highest[rate.system] = max(highest[rate.system], -1.0 if rate.rate is None else rate.rate)
    return frozenset(sorted(highest, key=lambda system: -highest[system])[:room])


def indicator_view(
    report: Report, record: RunRecord, position: int, *, systems: frozenset[str], samples: Sequence[WorkedSample]
) -> IndicatorView:
    """The part of the page that is about the indicator at a position of the record."""
    indicator = record.indicators[position]
    rates = [rate for rate in report.rates if rate.indicator == indicator.name]
    overall = [rate for rate in rates if not rate.slice and rate.system in systems]
    reasons = [reason for reason in report.reasons if reason.indicator == indicator.name and reason.reason]
    room = _ALL_CELLS // max(1, len(record.indicators) * len(record.slices))
    shown = min(_SHOWN_CELLS, max(_FEWEST_CELLS, room))
    return IndicatorView(
        name=indicator.name,
        kind=indicator.kind,
        options=as_json(indicator.options),
        measure=measure_of(record, position),
        overall=tuple(overall),
        hidden=len(report.systems) - len(overall),
        axis=axis_for(overall),
        slices=tuple(_slice(columns, rates, shown) for columns in record.slices),
        reasons=tuple(sorted(reasons, key=lambda reason: -reason.rows)[:_SHOWN_REASONS]),
        samples=tuple(sample for sample in samples if sample.indicator == indicator.name),
    )


def measure_of(record: RunRecord, position: int) -> str:
    """What a rate is called: plain classifiers under their labels have an error rate."""
    classifiers = all(system.kind == "sequence-classification" for system in record.systems)
    return (
        "error_rate" if classifiers and record.indicators[position].kind == "label_mismatch" else "hallucination_rate"
    )


def headlines_view(report: Report, record: RunRecord) -> list[Headline]:
    """One headline for each system, in the order of the report; of very many, those of the highest rates."""
    by_system: dict[str, list[Rate]] = {}
    for rate in report.overall():
        by_system.setdefault(rate.system, []).append(rate)
    chosen = list(by_system)
    if len(chosen) > _MANY_HEADLINES:
        chosen.sort(key=lambda system: -(by_system[system][0].rate or 0.0))
        del chosen[_FEW_HEADLINES:]
    measure = measure_of(record, 0)
    return [
        Headline(system, tuple(by_system[system]), _sentence(by_system[system][0], measure=measure))
        for system in chosen
    ]


def _sentence(rate: Rate, *, measure: str) -> Markup:
    key, numbers = plain_share(rate)
    if key == "none_decided":
        return translated("sentence_none", rows=grouped(rate.rows))
    share = phrase(key, low=percent(rate.low), high=percent(rate.high), **numbers)
    words = "sentence_labels" if measure == "error_rate" else "sentence"
    return translated(words, n=grouped(rate.defined), h=grouped(rate.hallucinated), share=share)


def worst_view(found: WorstCell) -> WorstView:
    """A worst cell with the filters, as the page's address spells them, that show its samples."""
    filters = {"system": found.rate.system, "indicator": found.rate.indicator, "outcome": "hallucinated"}
    for column, value in found.rate.slice.items():
        filters |= {f"null.{column}": ""} if value is None else {f"slice.{column}": cell_text(value)}
    return WorstView(found.rate, found.whole, found.stands_out, urlencode(filters))


def largest_cells(rates: Sequence[Rate], columns: tuple[str, ...]) -> list[Rate]:
    """Cells of a slice, the largest over all systems first; the systems of a cell stand together."""
    found = [rate for rate in rates if tuple(rate.slice) == columns]
    sizes: Counter[str] = Counter()
    for rate in found:
        sizes[_cell_key(rate)] += rate.rows
    place = {cell: position for position, cell in enumerate(sizes)}

    def order(rate: Rate) -> tuple[bool, int, int]:
        return rate.folded_cells > 0, -sizes[_cell_key(rate)], place[_cell_key(rate)]

    return sorted(found, key=order)


def _slice(columns: tuple[str, ...], rates: Sequence[Rate], shown: int) -> SliceView:
    cells = largest_cells(rates, columns)
    return SliceView(columns, tuple(cells[:shown]), len(cells[shown:]), axis_for(cells[:shown]))


def _cell_key(rate: Rate) -> str:
    return repr(tuple(rate.slice.values()))


def summaries_view(means: Sequence[Mean]) -> list[tuple[str, list[Mean], int]]:
    """(summary, its largest cells, how many more there are)."""
    views = []
    for name, found in groupby(sorted(means, key=lambda mean: mean.name), key=lambda mean: mean.name):
        cells = sorted(found, key=lambda mean: (len(mean.slice) > 0, -mean.rows))
        views.append((name, cells[:_SHOWN_CELLS], max(0, len(cells) - _SHOWN_CELLS)))
    return views


def settings_view(system: Mapping[str, Any]) -> tuple[object, str]:
    """A system's name and what fixes its outputs."""
    shown = {key: value for key, value in system.items() if key not in ("name", "scores", "shards") and value}
    return system["name"] or phrase("one_per_value", column=system["name_from"]), as_json(shown)


def as_json(value: Any) -> str:
    """JSON to read."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def cell_text(value: Any) -> str:
    """A slice value as text.

    >>> cell_text(True), cell_text(2)
    ('true', '2')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)

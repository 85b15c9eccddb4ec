"""The page of a run: one HTML file that needs no network and no script.

Knows what goes where on the page; the numbers are the report's, the words the template's. Caller:
`files`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.plot import Axis, axis_for
from halluc_ray.reports.report import Mean, Rate, Reason, Report
from halluc_ray.reports.templating import render_template
from halluc_ray.reports.worked import WorkedSample

_SHOWN_CELLS = 40
_SHOWN_REASONS = 12


@dataclass(frozen=True, slots=True)
class PageContext:
    """What the page tells beside the report; none of it is a result.

    Attributes:
        spec_text: the spec as YAML, to run it again.
        versions: package -> version.
        date: when it was computed, as text.
    """

    spec_text: str | None = None
    versions: Mapping[str, str] | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class SliceView:
    """The largest cells of one slice under one indicator."""

    columns: tuple[str, ...]
    rates: tuple[Rate, ...]
    hidden: int
    axis: Axis


@dataclass(frozen=True, slots=True)
class IndicatorView:
    """One indicator's part of the page."""

    name: str
    kind: str
    options: str
    measure: str
    overall: tuple[Rate, ...]
    axis: Axis
    slices: tuple[SliceView, ...]
    reasons: tuple[Reason, ...]
    samples: tuple[WorkedSample, ...]


def render_page(
    report: Report, *, record: RunRecord, samples: Sequence[WorkedSample], context: PageContext | None = None
) -> str:
    """The page.

    Args:
        report: the run's report.
        record: the run, for options and settings.
        samples: worked samples.
        context: spec, versions and date, where they are known.
    """
    return render_template(
        "report.html.jinja",
        report=report,
        context=context or PageContext(),
        indicators=[_indicator(report, record, position, samples) for position in range(len(record.indicators))],
        summaries=_summaries(report.summaries),
        systems=report.systems,
        confidence=record.confidence,
        settings=[_settings(system.model_dump(mode="json")) for system in record.systems],
        tokens=any(facts.output_tokens for facts in report.systems),
        outcomes=OUTCOME_WORDS,
        cell=_cell_text,
    )


OUTCOME_WORDS = {
    "hallucinated": "Hallucinated",
    "supported": "Supported",
    "abstained": "Abstained",
    "undecided": "Undecided",
    "not_applicable": "Not applicable",
    "failed": "Failed",
}


def _indicator(report: Report, record: RunRecord, position: int, samples: Sequence[WorkedSample]) -> IndicatorView:
    indicator = record.indicators[position]
    rates = [rate for rate in report.rates if rate.indicator == indicator.name]
    overall = tuple(rate for rate in rates if not rate.slice)
    classifiers = all(system.kind == "sequence-classification" for system in record.systems)
    reasons = [reason for reason in report.reasons if reason.indicator == indicator.name and reason.reason]
    return IndicatorView(
        name=indicator.name,
        kind=indicator.kind,
        options=_plain(indicator.options),
        measure="Error rate" if classifiers and indicator.kind == "label_mismatch" else "Hallucination rate",
        overall=overall,
        axis=axis_for(overall),
        slices=tuple(_slice(columns, rates) for columns in record.slices),
        reasons=tuple(sorted(reasons, key=lambda reason: -reason.rows)[:_SHOWN_REASONS]),
        samples=tuple(sample for sample in samples if sample.indicator == indicator.name),
    )


def _slice(columns: tuple[str, ...], rates: Sequence[Rate]) -> SliceView:
    """The largest cells first; the systems of a cell stand together, to be compared."""
    found = [rate for rate in rates if tuple(rate.slice) == columns]
    sizes: Counter[str] = Counter()
    for rate in found:
        sizes[_cell_key(rate)] += rate.rows
    place = {cell: position for position, cell in enumerate(sizes)}

    def order(rate: Rate) -> tuple[bool, int, int]:
        return rate.folded_cells > 0, -sizes[_cell_key(rate)], place[_cell_key(rate)]

    largest = sorted(found, key=order)[:_SHOWN_CELLS]
    return SliceView(columns, tuple(largest), len(found) - len(largest), axis_for(largest))


def _cell_key(rate: Rate) -> str:
    return repr(tuple(rate.slice.values()))


def _summaries(means: Sequence[Mean]) -> list[tuple[str, list[Mean], int]]:
    """(summary, its largest cells, how many more there are)."""
    views = []
    for name, found in groupby(sorted(means, key=lambda mean: mean.name), key=lambda mean: mean.name):
        cells = sorted(found, key=lambda mean: (len(mean.slice) > 0, -mean.rows))
        views.append((name, cells[:_SHOWN_CELLS], max(0, len(cells) - _SHOWN_CELLS)))
    return views


def _settings(system: dict[str, Any]) -> tuple[str, str]:
    """A system's name and what fixes its outputs."""
    shown = {key: value for key, value in system.items() if key not in ("name", "scores", "shards") and value}
    return system["name"] or f"one per value of {system['name_from']}", _plain(shown)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _cell_text(value: Any) -> str:
    """A slice value as a word."""
    if value is None:
        return "(null)"
    if value == "":
        return "(empty)"
    return str(value).lower() if isinstance(value, bool) else str(value)

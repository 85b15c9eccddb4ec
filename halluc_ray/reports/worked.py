"""The worked samples that stand on the page without a script: a few per indicator, evidence first.

Knows rows that were chosen already, and how the evidence is cut out of the response. Caller: `render`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halluc_ray.records import OUTCOMES
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.sample_rows import sample_columns
from halluc_ray.reports.shown import ShownRow, Unit

_SHOWN = {"hallucinated": 4, "supported": 1, "abstained": 1, "undecided": 1, "not_applicable": 0, "failed": 1}
_CANDIDATES = 3
_TEXT_CHARS = 700
_AROUND = 300


@dataclass(frozen=True, slots=True)
class WorkedSample:
    """One unit as the page shows it. The response is `before` + `marked` + `after`."""

    indicator: str
    outcome: str
    reason: str | None
    system: str
    id: str
    prompt: str | None
    context: str | None
    reference: str | None
    before: str
    marked: str
    after: str
    against: str | None
    failure: str | None


def worked_samples(record: RunRecord, rows: Sequence[ShownRow]) -> list[WorkedSample]:
    """A few samples per indicator, in the order of indicators and outcomes; a row serves each outcome once.

    Args:
        record: the run.
        rows: rows to take them from, the first choice first.
    """
    column_of = sample_columns(record).outcome_of
    return [
        _worked(indicator.name, outcome.label, unit)
        for indicator in record.indicators
        for outcome in OUTCOMES
        for unit in _picked(rows, column_of[indicator.name], outcome.label, f"{indicator.name}_span")
    ]


def _picked(rows: Sequence[ShownRow], column: str, outcome: str, span: str) -> list[Unit]:
    """The first few units of an outcome, those with evidence before the others."""
    most = _SHOWN[outcome]
    found: list[Unit] = []
    for unit in _one_per_row(rows, column, outcome):
        if len(found) == _CANDIDATES * most:
            break
        found.append(unit)
    return sorted(found, key=lambda unit: unit[span] is None)[:most]


def _one_per_row(rows: Sequence[ShownRow], column: str, outcome: str) -> Iterator[Unit]:
    for at, row in enumerate(rows):
        units = [unit for unit in row.units if unit[column] == outcome]
        if units:
            yield units[at % len(units)]


def _worked(indicator: str, outcome: str, row: Unit) -> WorkedSample:
    before, marked, after = _cut(row["response"] or "", row[f"{indicator}_span_start"], row[f"{indicator}_span_stop"])
    return WorkedSample(
        indicator=indicator,
        outcome=outcome,
        reason=row[f"{indicator}_reason"],
        system=row["system"],
        id=row["id"],
        prompt=_short(row["prompt"]),
        context=_short(row["context"]),
        reference=_short(row["reference"] or row["label"]),
        before=before,
        marked=marked,
        after=after,
        against=_short(row[f"{indicator}_against"]),
        failure=row["failure"],
    )


def _cut(response: str, start: int | None, stop: int | None) -> tuple[str, str, str]:
    """The response around its evidence, shortened far from it; the evidence too where it is as long as a text."""
    if start is None or stop is None or not 0 <= start < stop <= len(response):
        return _short(response) or "", "", ""
    before, after = response[:start], response[stop:]
    if len(before) > _AROUND:
        before = "…" + before[-_AROUND:]
    if len(after) > _AROUND:
        after = after[:_AROUND] + "…"
    return before, _short(response[start:stop]) or "", after


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT_CHARS else text[:_TEXT_CHARS] + "…"

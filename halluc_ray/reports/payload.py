"""The shown rows as the page holds them: one compact JSON, compressed, within a bound of bytes.

Knows how texts are shortened, how places in a text are counted in a browser (UTF-16 units) and that the
bytes must be the same each time; does not know how a browser shows them. Caller: `render`.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from halluc_ray.records import OUTCOMES
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.sample_rows import sample_columns
from halluc_ray.reports.shown import SLICES, ShownRow, Unit

_LABELS = {outcome.label: at for at, outcome in enumerate(OUTCOMES)}
_AGAINST = 600
_LIMITS = ((6000, 3000), (3000, 2000), (1500, 1500), (800, 1000), (400, 700), (200, 400), (100, 250))
_LEAD = 0.4  # of a shortened answer's room stands before its evidence


@dataclass(slots=True)
class _Words:
    """Texts that occur often, by number."""

    at: dict[str, int] = field(default_factory=dict)

    def number(self, text: str | None) -> int:
        return -1 if text is None else self.at.setdefault(text, len(self.at))


@dataclass(frozen=True, slots=True)
class Payload:
    """What the page holds.

    Attributes:
        data: base64 of gzip of JSON.
        rows: questions in it.
        units: answers in it.
        cut: texts that were shortened.
    """

    data: str
    rows: int
    units: int
    cut: int


EMPTY = Payload("", 0, 0, 0)


def payload_of(record: RunRecord, rows: Sequence[ShownRow], *, systems: Sequence[str], most_bytes: int) -> Payload:
    """As much of the rows as there is room for: texts are shortened first, then rows left out from the end.

    Args:
        record: the run.
        rows: the first choice first.
        systems: names, in the report's order.
        most_bytes: of the payload as text.
    """
    kept = list(rows) if most_bytes > 0 else []
    limits = list(_LIMITS)
    while kept:
        found = _packed(record, kept, systems, *limits[0])
        if len(found.data) <= most_bytes:
            return found
        if len(limits) > 1:
            limits.pop(0)
        else:
            kept = kept[: len(kept) * 4 // 5]
    return EMPTY


def _packed(record: RunRecord, rows: Sequence[ShownRow], systems: Sequence[str], context: int, other: int) -> Payload:
    """Rows of `[id, slices, prompt, context, reference, units]`, and the words that they number."""
    writer = _Writer(record, {name: at for at, name in enumerate(systems)}, context, other)
    packed = [writer.row(row) for row in rows]
    content = {
        "systems": list(systems),
        "indicators": [indicator.name for indicator in record.indicators],
        "slices": writer.columns,
        "words": list(writer.words.at),
        "rows": packed,
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    data = gzip.compress(text.encode("utf-8", errors="replace"), compresslevel=9, mtime=0)
    units = sum(len(row.units) for row in rows)
    return Payload(base64.b64encode(data).decode(), len(rows), units, writer.cut)


class _Writer:
    """Rows as nested lists; counts what it had to shorten."""

    def __init__(self, record: RunRecord, systems: Mapping[str, int], context: int, other: int) -> None:
        self.indicators = [indicator.name for indicator in record.indicators]
        self.outcome_of = sample_columns(record).outcome_of
        self.columns = list(dict.fromkeys(column for entry in record.slices for column in entry))
        self.systems = systems
        self.context, self.other = context, other
        self.words = _Words()
        self.cut = 0

    def row(self, row: ShownRow) -> list[Any]:
        unit = row.first
        slices = unit.get(SLICES, {})
        reference = unit["reference"] if unit["reference"] is not None else unit["label"]
        return [
            self.short(row.id, self.other),
            [self.words.number(slices.get(column)) for column in self.columns],
            self.short(unit["prompt"], self.other),
            self.short(unit["context"], self.context),
            self.short(reference, self.other),
            [self.unit(unit) for unit in row.units],
        ]

    def unit(self, unit: Unit) -> list[Any]:
        """`[system, draw, failure, answer, verdicts]`; an answer is `[text, left out before, left out after]`."""
        spans = [_span(unit, name) for name in self.indicators]
        answer, shift = self.answer(unit["response"], spans)
        verdicts = [
            [
                _LABELS[unit[self.outcome_of[name]]],
                self.words.number(unit[f"{name}_reason"]),
                *(_utf16(answer[0], span, shift) if answer and span else ()),
            ]
            for name, span in zip(self.indicators, spans, strict=True)
        ]
        for verdict, name in zip(verdicts, self.indicators, strict=True):
            if unit[f"{name}_against"] is not None:
                verdict += [-1, -1] if len(verdict) == 2 else []
                verdict.append(self.short(unit[f"{name}_against"], _AGAINST))
        return [self.systems[unit["system"]], unit["draw"], self.words.number(unit["failure"]), answer, verdicts]

    def answer(self, text: str | None, spans: Sequence[tuple[int, int] | None]) -> tuple[list[Any] | None, int]:
        """The answer around its first evidence, and where in the whole it begins."""
        if text is None:
            return None, 0
        start = 0
        found = [span for span in spans if span]
        if len(text) > self.other:
            self.cut += 1
            if found:
                first = min(span[0] for span in found)
                start = max(0, min(first - int(_LEAD * self.other), len(text) - self.other))
        shown = text[start : start + self.other]
        after = len(text) - start - len(shown)
        return [shown, start, after] if start or after else [shown], start

    def short(self, text: str | None, limit: int) -> Any:
        """The text, or `[its beginning, how many characters are left out]`."""
        if text is None or len(text) <= limit:
            return text
        self.cut += 1
        return [text[:limit], len(text) - limit]


def _span(unit: Unit, indicator: str) -> tuple[int, int] | None:
    start, stop = unit[f"{indicator}_span_start"], unit[f"{indicator}_span_stop"]
    if start is None or stop is None or not 0 <= start < stop <= len(unit["response"] or ""):
        return None
    return start, stop


def _utf16(shown: str, span: tuple[int, int], shift: int) -> tuple[int, int] | tuple[()]:
    """Where the span stands in the shown text, in UTF-16 units; nothing where it is left out."""
    start, stop = max(0, span[0] - shift), min(len(shown), span[1] - shift)
    if start >= stop:
        return ()
    before, marked = shown[:start], shown[start:stop]
    first = _units(before)
    return first, first + _units(marked)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="replace")) // 2

"""What of a run's texts may stand on a page that travels further than its corpus.

Three rules: `all`; `redacted`, which keeps the shape of texts and nothing else; `none`. What may pass is listed
field by field, so that a field that is new passes nowhere. Names (of systems, indicators, columns), slice values
and counts always stay. Knows rows, reports and comparisons as data; no page. Callers: `files`, `comparison_page`,
the site.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.comparison import Answer, Comparison, Flip
from halluc_ray.reports.report import Report
from halluc_ray.reports.sample_rows import sample_columns
from halluc_ray.reports.shown import SLICES, ShownRow, Unit

Rule = Literal["none", "redacted", "all"]
RULES: tuple[Rule, ...] = ("none", "redacted", "all")
"""The strictest first."""

_KEPT = re.compile(r"[\s!-/:-@\[-`{-~\u2010-\u2027\u3001-\u3003\u3008-\u3011\uff01-\uff0f\uff1a-\uff20\u25a1]")
_CODE = re.compile(r"[a-z0-9_]{1,60}")
_ID_CHARACTERS = 12


def masked(text: str) -> str:
    """A text of the same length: white space and punctuation stay, anything else is a mark.

    >>> masked("Paris, since 1923!"), masked("首都是堪培拉。")
    ('Xxxxx, xxxxx 0000!', '□□□□□□。')
    """
    return "".join(sign if _KEPT.fullmatch(sign) else _mark(sign) for sign in text)


def hashed(id_: str) -> str:
    """An id that tells rows apart, and can be found again by who has the corpus.

    >>> hashed("q-0001")
    'aa3ea1dbbc99'
    """
    return hashlib.sha256(id_.encode("utf-8", errors="replace")).hexdigest()[:_ID_CHARACTERS]


def published_report(report: Report, rule: Rule) -> Report:
    """The report without examples of ids, or with hashed ones; reasons that are no codes are left out of it."""
    if rule == "all":
        return report
    duplicates = dict(report.corpus.duplicate_ids)
    examples = [hashed(id_) for id_ in duplicates.get("examples", ())] if rule == "redacted" else []
    facts = {"ids": duplicates["ids"], "rows": duplicates["rows"], "examples": examples}
    systems = tuple(replace(system, failures=_by_code(system.failures)) for system in report.systems)
    reasons = tuple(replace(entry, reason=_reason(entry.reason)) for entry in report.reasons)
    return replace(
        report, corpus=replace(report.corpus, duplicate_ids=facts), systems=systems, reasons=reasons, indicators=()
    )


def published_record(record: RunRecord, rule: Rule) -> RunRecord:
    """The record without the settings of its systems: shots and templates are texts."""
    if rule == "all":
        return record
    return record.model_copy(
        update={"systems": tuple(system.model_copy(update={"settings": {}}) for system in record.systems)}
    )


def published_rows(rows: Sequence[ShownRow], record: RunRecord, rule: Rule) -> list[ShownRow]:
    """Rows to read: as they are, masked, or none."""
    if rule == "all":
        return list(rows)
    if rule == "none":
        return []
    return [ShownRow(hashed(row.id), tuple(_unit(unit, record) for unit in row.units)) for row in rows]


def published_comparison(found: Comparison, rule: Rule) -> Comparison:
    """The comparison with its flips as they are, masked, or without any."""
    if rule == "all":
        return found
    return replace(found, flips=tuple(map(_flip, found.flips)) if rule == "redacted" else ())


def _mark(sign: str) -> str:
    if sign.isdecimal():
        return "0"
    if unicodedata.east_asian_width(sign) in "WF":
        return "□"
    return "X" if sign.isupper() else "x"


def _masked(text: str | None) -> str | None:
    return None if text is None else masked(text)


def _code(reason: str) -> str:
    """A reason that is a code, as the house's own are; any other could hold a text."""
    return reason if _CODE.fullmatch(reason) else "other"


def _reason(reason: str | None) -> str | None:
    return None if reason is None else _code(reason)


def _by_code(failures: Mapping[str, int]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for reason, rows in failures.items():
        found[_code(reason)] += rows
    return dict(found)


def _unit(unit: Unit, record: RunRecord) -> Unit:
    passed: dict[str, Any] = {name: unit[name] for name in ("system", "draw")}
    passed |= {"id": hashed(unit["id"]), "failure": _reason(unit["failure"])}
    passed |= {name: _masked(unit[name]) for name in ("prompt", "context", "reference", "response", "label")}
    passed[SLICES] = dict(unit.get(SLICES, {}))
    for name, outcome in sample_columns(record).outcome_of.items():
        passed[outcome] = unit[outcome]
        passed[f"{name}_reason"] = _reason(unit[f"{name}_reason"])
        passed |= {f"{name}_{end}": unit[f"{name}_{end}"] for end in ("span_start", "span_stop")}
        passed |= {f"{name}_{text}": _masked(unit[f"{name}_{text}"]) for text in ("span", "against")}
    return passed


def _flip(flip: Flip) -> Flip:
    return Flip(
        system_a=flip.system_a,
        system_b=flip.system_b,
        indicator=flip.indicator,
        direction=flip.direction,
        id=hashed(flip.id),
        draw=flip.draw,
        prompt=_masked(flip.prompt),
        context=_masked(flip.context),
        reference=_masked(flip.reference),
        a=_answer(flip.a),
        b=_answer(flip.b),
    )


def _answer(answer: Answer) -> Answer:
    return Answer(
        response=_masked(answer.response),
        outcome=answer.outcome,
        reason=_reason(answer.reason),
        span_start=answer.span_start,
        span_stop=answer.span_stop,
        against=_masked(answer.against),
        failure=_reason(answer.failure),
    )

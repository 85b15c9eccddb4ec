"""The signature of a run: one line with every option that changes a number.

Two reports with one signature, on one corpus, must agree. In the manner of sacrebleu's (Post 2018,
"A call for clarity in reporting BLEU scores"). Knows the run record; callers: `build`, `exporting`.
"""

from __future__ import annotations

import json
from typing import Any

from halluc_ray.config.digest import canonical_json, digest
from halluc_ray.records.runs import IndicatorRecord, RunRecord, SummaryRecord, SystemRecord

_SHORT = 12


def signature(record: RunRecord) -> str:
    """Fields joined by `|`; that sign inside a value is written as its JSON escape."""
    corpus = record.corpus
    fields = [
        "halluc_ray",
        f"schema:{record.schema_version}",
        f"corpus:{corpus_digest(record)}",
        f"columns:{_value(corpus.columns)}",
        *(f"{key}:{_value(value)}" for key, value in sorted(corpus.selection.items()) if value is not None),
        *(_system(system) for system in record.systems),
        *(_indicator(indicator) for indicator in record.indicators),
    ]
    if record.slices:
        fields.append("slices:" + ",".join("+".join(map(_value, columns)) for columns in record.slices))
    fields += [f"summary:{_value(s.name)}={_averaged(s)}" + _condition(s.where) for s in record.summaries]
    return "|".join([*fields, f"ci:{_interval(record)}@{record.confidence}"])


def corpus_digest(record: RunRecord) -> str:
    """What the corpus holds, in 12 hex digits: its files by content, in any order."""
    return digest(sorted(file.digest for file in record.corpus.files), length=_SHORT)


def _interval(record: RunRecord) -> str:
    if record.corpus.cluster is not None:
        return f"wilson-cluster({_value(record.corpus.cluster)})"
    return "wilson-draws" if any(system.draws > 1 for system in record.systems) else "wilson"


def _system(system: SystemRecord) -> str:
    name = _value(system.name) if system.name is not None else f"{{{_value(system.name_from)}}}"
    stage = system.generate.removeprefix("generate-")[:_SHORT]
    told = (*(system.numerics.get(field) for field in ("device", "quantization")), system.settings.get("as_of"))
    known = "".join(f",{_value(value)}" for value in told if value)
    return f"system:{name}={system.kind}@{stage}({system.determinism}{known})"


def _indicator(indicator: IndicatorRecord) -> str:
    options = ",".join(f"{key}={_value(value)}" for key, value in sorted(indicator.options.items()))
    return f"indicator:{_value(indicator.name)}={indicator.kind}@{indicator.semantics_version}({options})"


def _averaged(summary: SummaryRecord) -> str:
    return _value(summary.column) if summary.score is None else f"score({_value(summary.score)})"


def _condition(where: str | None) -> str:
    return "" if where is None else f" where {_value(where)}"


def _value(value: Any) -> str:
    """A word as it is; what would be ambiguous as JSON."""
    if isinstance(value, str) and value and all(c.isalnum() or c in "_-. " for c in value):
        return value
    return json.dumps(json.loads(canonical_json(value)), ensure_ascii=False).replace("|", "\\u007c")

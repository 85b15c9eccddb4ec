"""The report of a run as data, and its bytes.

Knows what a report says; does not know how it was counted or how a page shows it. Nothing in it is a
time, a path or a machine: equal runs give equal bytes. Callers: `build`, `render`, `files`, notebooks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rate:
    """How often one system hallucinates under one indicator, in one cell of one slice.

    Attributes:
        slice: column -> value; empty for all rows.
        rows: units in the cell; the six outcomes add up to it.
        rate: hallucinated / (hallucinated + supported), correctly rounded; None where both are 0.
        low, high: ends of the interval at `confidence`; None likewise.
        answered_share: (rows - abstained - failed) / rows; None without rows.
        folded_cells: cells that this one stands for, where the slice had too many; else 0.
    """

    system: str
    indicator: str
    slice: Mapping[str, Any]
    rows: int
    hallucinated: int
    supported: int
    abstained: int
    undecided: int
    not_applicable: int
    failed: int
    rate: float | None
    low: float | None
    high: float | None
    confidence: float
    answered_share: float | None
    folded_cells: int = 0

    @property
    def defined(self) -> int:
        """Units that the rate is over."""
        return self.hallucinated + self.supported


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of a corpus column, or of an indicator's scores, over a cell; correctly rounded; None without rows.

    Attributes:
        rows: units that hold a finite number (and satisfy the summary's `where`).
        skipped: units that hold none.
    """

    system: str
    name: str
    slice: Mapping[str, Any]
    rows: int
    mean: float | None
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """How many units of an outcome gave one reason."""

    system: str
    indicator: str
    outcome: str
    reason: str | None
    rows: int


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """One system's units: how many, how many failed and why, and tokens where there are any.

    Attributes:
        determinism: `bitwise`, or `scheduled` where computing the outputs again may change some.
        rebatched: units of shards whose batches memory made smaller than planned.
        reasoning_tokens: of the output tokens, those of traces that were taken off the answers.
    """

    system: str
    kind: str
    determinism: str
    rows: int
    failed: int
    truncated: int
    rebatched: int
    prompt_tokens: int
    output_tokens: int
    reasoning_tokens: int
    failures: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What rows that share a source cost a system's rate under an indicator."""

    system: str
    indicator: str
    clusters: int
    design_effect: float


@dataclass(frozen=True, slots=True)
class Corpus:
    """Corpus rows by fate; selected rows whose id is null or no text; ids that occur more than once."""

    files: int
    rows: int
    selected: int
    left_out: Mapping[str, int]
    without_id: int
    duplicate_ids: Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """Everything that report.json says."""

    schema_version: int
    run_id: str
    signature: str
    determinism: str
    max_failed: float
    failed_share: float
    warnings: tuple[str, ...]
    corpus: Corpus
    systems: tuple[SystemFacts, ...]
    indicators: tuple[Mapping[str, Any], ...]
    rates: tuple[Rate, ...]
    summaries: tuple[Mean, ...]
    reasons: tuple[Reason, ...]
    clusters: tuple[ClusterFacts, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, keys in the order of report.json."""
        return asdict(self)

    def to_json(self) -> bytes:
        """report.json: deterministic, one line per object of a list."""
        members = (f"{json.dumps(key)}: {_lines(value)}" for key, value in self.to_dict().items())
        return ("{\n" + ",\n".join(members) + "\n}\n").encode()

    def overall(self) -> Iterable[Rate]:
        """The rates over all rows: one per system and indicator."""
        return (rate for rate in self.rates if not rate.slice)

    def __repr__(self) -> str:
        shares = ["no rate" if rate.rate is None else f"{rate.rate:.1%}" for rate in self.overall()]
        rates = (f"{r.system} {r.indicator} {share}" for r, share in zip(self.overall(), shares, strict=True))
        return f"Report({self.run_id}: {', '.join(rates)})"

    def _repr_html_(self) -> str:
        """A small table for notebooks."""
        from halluc_ray.reports.templating import render_template

        return render_template("summary.html.jinja", report=self, overall=list(self.overall()))


def _lines(value: Any) -> str:
    if isinstance(value, (list, tuple)) and value:
        return "[\n" + ",\n".join("  " + _text(entry) for entry in value) + "\n]"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

"""What a gate says, as data: gate.json.

Knows the checks, their verdicts and which of them decides; does not know how they are measured. Callers:
`gate`, `judging`, `gate_files`, the command line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """Of a check, and of the gate: the worst of its checks, where FAIL is worse than INCONCLUSIVE."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


WORST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Check:
    """One limit on one system, indicator and cell.

    Attributes:
        limit: `max_increase`, `max_rate`, `min_answered_share` or `max_answered_drop`.
        allowed: what the policy allows, as a share.
        slice: column -> value; empty for all rows.
        rows: pairs, or rows, that the value is over.
        value, low, high: what was measured, with its interval; None where nothing is.
        detectable: the smallest increase (rate, drop; for `min_answered_share` the largest share) that this
            corpus would show with the policy's power; None where not even the largest would be shown.
        p_holm: of the limit being kept, adjusted over the checks of its family.
        reason: one sentence.
    """

    system: str
    indicator: str
    slice: Mapping[str, Any]
    limit: str
    allowed: float
    rows: int
    value: float | None
    low: float | None
    high: float | None
    detectable: float | None
    p_holm: float
    verdict: Verdict
    reason: str

    @property
    def excess(self) -> float:
        """How far the value lies beyond what is allowed; negative within it."""
        if self.value is None:
            return float("-inf")
        return self.allowed - self.value if self.limit == "min_answered_share" else self.value - self.allowed


@dataclass(frozen=True, slots=True)
class WorstCell:
    """The slice cell whose rate rose the most (or, without a baseline, is the highest), by its lower end."""

    system: str
    indicator: str
    slice: Mapping[str, Any]
    rows: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """Everything that gate.json says.

    Attributes:
        reason: one sentence that names the check which decides, and the worst slice.
        by: what pairs are paired by; None without a baseline.
        not_judged: cells with fewer rows than a rule's `min_rows`.
    """

    schema_version: int
    verdict: Verdict
    reason: str
    run: str
    baseline: str | None
    by: str | None
    confidence: float
    power: float
    not_judged: int
    worst: WorstCell | None
    notes: tuple[str, ...]
    checks: tuple[Check, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, keys in the order of gate.json."""
        return asdict(self)

    def to_json(self) -> bytes:
        """gate.json: deterministic."""
        return (json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def cell_name(cell: Mapping[str, Any]) -> str:
    """A slice cell in words.

    >>> cell_name({"lang": "zh", "topic": None}), cell_name({})
    ('lang=zh, topic=null', 'all rows')
    """
    return ", ".join(f"{column}={'null' if value is None else value}" for column, value in cell.items()) or "all rows"


def percent(share: float | None) -> str:
    """A share as percent, to two digits.

    >>> percent(0.0123), percent(None)
    ('1.23 %', 'none')
    """
    return "none" if share is None else f"{100 * share:.2f} %"

"""From a measurement and a limit to a verdict: the gate's rule, which docs/gate.md states.

Pure. Knows intervals, Holm's adjustment and power; does not know where counts come from. Caller: `gate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from halluc_ray.statistics import wilson
from halluc_ray.statistics.intervals import wilson_level
from halluc_ray.statistics.paired import above, holm, paired_difference
from halluc_ray.statistics.paired_counts import PairedCounts
from halluc_ray.statistics.power import detectable_increase, detectable_rate
from halluc_ray.suites.policy import GatePolicy
from halluc_ray.suites.verdicts import Check, Verdict, cell_name, percent

_PAIRED = frozenset({"max_increase", "max_answered_drop"})
_QUANTITY = {
    "max_increase": "the increase",
    "max_rate": "the rate",
    "min_answered_share": "the answered share",
    "max_answered_drop": "the drop of the answered share",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Something that may not exceed a limit: an increase, a rate, or a share of silence.

    Attributes:
        rows: that it is over; 0: nothing is measured.
        value, low, high: with its interval.
        level: smallest level at which the interval lies above the limit; 1 where the value does not.
        detectable: smallest true value that would be shown to; infinity where none would.
        unchanged: both sides are the very same verdicts.
        missing: why nothing could be measured.
    """

    rows: int
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    level: float = 1.0
    detectable: float = math.inf
    unchanged: bool = False
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A limit of the policy on one system, indicator and cell."""

    system: str
    indicator: str
    slice: dict[str, object]
    limit: str
    allowed: float


def measure_increase(counts: PairedCounts, *, limit: float, policy: GatePolicy, unchanged: bool = False) -> Measured:
    """The increase from A to B of whatever `counts` counts."""
    if not counts.pairs:
        return Measured(0, missing="no pair is defined on both sides")
    value, low, high = paired_difference(counts, confidence=policy.confidence)
    detectable = detectable_increase(
        math.floor(counts.effective_pairs),
        churn=min(counts.worse, counts.better) / counts.pairs,
        level=1 - policy.confidence,
        power=policy.power,
    )
    return Measured(counts.pairs, value, low, high, above(counts, limit=limit), detectable, unchanged)


def measure_share(count: int, *, rows: int, limit: float, policy: GatePolicy, design_effect: float = 1.0) -> Measured:
    """The share of the rows that `count` is."""
    if not rows:
        return Measured(0, missing="no row is defined")
    low, high = wilson(count, defined=rows, confidence=policy.confidence, design_effect=design_effect)
    level = wilson_level(count, defined=rows, limit=limit, design_effect=design_effect)
    detectable = detectable_rate(
        math.floor(rows / design_effect), limit=limit, confidence=policy.confidence, power=policy.power
    )
    return Measured(rows, count / rows, float(low[0]), float(high[0]), level, detectable)


def judge(asked: Sequence[tuple[Question, Measured]], *, policy: GatePolicy) -> list[Check]:
    """A verdict on each question; limits over all rows are one family of Holm's, those in cells another."""
    adjusted: dict[int, float] = {}
    for in_cells in (False, True):
        family = [at for at, (question, _) in enumerate(asked) if bool(question.slice) is in_cells]
        levels = holm([asked[at][1].level for at in family])
        adjusted |= dict(zip(family, levels, strict=True))
    return [_check(question, measured, adjusted[at], policy) for at, (question, measured) in enumerate(asked)]


def _check(question: Question, measured: Measured, level: float, policy: GatePolicy) -> Check:
    turned = question.limit == "min_answered_share"
    limit = 1 - question.allowed if turned else question.allowed
    verdict, why = _verdict(question, measured, level, limit=limit, policy=policy)
    values = (measured.value, measured.low, measured.high)
    value, low, high = (1 - values[0], 1 - values[2], 1 - values[1]) if turned else values
    some, seen = measured.rows > 0, math.isfinite(measured.detectable)
    interval = f" ({policy.confidence * 100:g} % interval {percent(low)} to {percent(high)})" if some else ""
    what = f"{_QUANTITY[question.limit]} of {question.indicator}, {question.system}, {cell_name(question.slice)}"
    allowed = f"{'at least' if turned else 'at most'} {percent(question.allowed)} is allowed"
    said = f"is {percent(value)}{interval}" if some else "could not be measured"
    return Check(
        system=question.system,
        indicator=question.indicator,
        slice=question.slice,
        limit=question.limit,
        allowed=question.allowed,
        rows=measured.rows,
        value=value if some else None,
        low=low if some else None,
        high=high if some else None,
        detectable=(1 - measured.detectable if turned else measured.detectable) if seen else None,
        p_holm=level,
        verdict=verdict,
        reason=f"{what} {said}; {allowed}: {why}",
    )


def _verdict(
    question: Question, measured: Measured, level: float, *, limit: float, policy: GatePolicy
) -> tuple[Verdict, str]:
    if measured.missing is not None:
        return Verdict.INCONCLUSIVE, measured.missing
    if measured.unchanged:
        return Verdict.PASS, "both sides are the very same verdicts"
    if level <= 1 - policy.confidence:
        return Verdict.FAIL, "the limit is surely exceeded"
    if measured.high <= limit:
        return Verdict.PASS, "the whole interval keeps the limit"
    paired = question.limit in _PAIRED
    if paired and measured.low <= 0 and measured.detectable <= limit:
        seen = percent(measured.detectable)
        return Verdict.PASS, f"no increase is seen, and one of {seen} would have been with {policy.power:.0%} power"
    if paired and measured.detectable > limit:
        most = f"nothing below {percent(measured.detectable)}" if math.isfinite(measured.detectable) else "no increase"
        return Verdict.INCONCLUSIVE, f"too few rows tell: {most} can be seen with {policy.power:.0%} power"
    return Verdict.INCONCLUSIVE, "the interval holds the limit, so it may be kept or not; more rows would tell"

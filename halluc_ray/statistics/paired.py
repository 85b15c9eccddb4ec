"""Two systems on the same samples: which is worse, and by how much.

Knows the four counts of a paired table, and sums over clusters of pairs; does not know what was paired.
Callers: `reports.comparing`, `suites.judging`.

Counts of pairs: `worse` (the event happens to B and not to A), `better` (the other way), and those that
agree: `both`, `neither`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit
from scipy.stats import binom

from halluc_ray.statistics.intervals import Interval, square_and_add, wilson
from halluc_ray.statistics.paired_counts import ClusterSums, PairedCounts

_SMALLEST_LEVEL = 1e-13
_HALVINGS = 60


def mcnemar(*, worse: int, better: int) -> float:
    """Exact two-sided p-value of no difference.

    Among the pairs that flip, each direction is as likely as the other; pairs that agree say nothing.

    Reference:
        McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
        percentages", Psychometrika 12:153-157; the exact binomial form.

    >>> round(mcnemar(worse=9, better=2), 4)
    0.0654
    """
    flips = worse + better
    return min(1.0, 2 * float(binom.cdf(min(worse, better), flips, 0.5))) if flips else 1.0


def difference(*, worse: float, better: float, both: float, neither: float, confidence: float) -> Interval:
    """Rate of B minus rate of A, and its interval.

    Args:
        worse, better, both, neither: pairs, see the module; fractions where pairs are scaled to an effective
            number.
        confidence: level, between 0 and 1.

    Returns:
        Difference, lower and upper end, as shares; NaN without pairs.

    Reference:
        Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions
        based on paired data", Statistics in Medicine 17:2635-2650, method 10: square-and-add of
        Wilson's ends with a continuity-corrected phi.

    >>> [round(x, 4) for x in difference(worse=1, better=12, both=20, neither=2, confidence=0.95)]
    [-0.3143, -0.4845, -0.1208]
    """
    pairs = worse + better + both + neither
    if not pairs:
        return math.nan, math.nan, math.nan
    count_a, count_b = both + better, both + worse
    low, high = wilson([count_a, count_b], defined=[pairs, pairs], confidence=confidence)
    rate_a, rate_b = count_a / pairs, count_b / pairs
    phi = _phi(worse=worse, better=better, both=both, neither=neither)
    return square_and_add((rate_a, low[0], high[0]), (rate_b, low[1], high[1]), phi=phi)


def clustered_difference(sums: ClusterSums, *, confidence: float) -> Interval:
    """Rate of B minus rate of A where pairs share sources.

    The difference is a ratio of two sums over clusters; its variance is linearised with the factor
    G/(G-1), and the quantile is Student's with G-1 degrees of freedom.

    Returns:
        Difference and ends; the ends are -1 and 1 with fewer than two clusters.

    Reference:
        Miller 2024, "Adding error bars to evals", arXiv:2411.00640, sections 2.2 and 4.2.
    """
    if not sums.clusters:
        return math.nan, math.nan, math.nan
    if sums.clusters == 1:
        return sums.difference, -1.0, 1.0
    half = float(stdtrit(sums.clusters - 1, 0.5 + confidence / 2)) * sums.standard_error
    return sums.difference, max(-1.0, sums.difference - half), min(1.0, sums.difference + half)


def paired_difference(counts: PairedCounts, *, confidence: float) -> Interval:
    """The difference with the interval that fits how the pairs were drawn.

    Independent pairs: Newcombe's. Clusters: Miller's; where the clusters show no variance at all, which is
    no proof that there is none, Newcombe's with each cluster worth one pair.
    """
    table = {"worse": counts.worse, "better": counts.better, "both": counts.both, "neither": counts.neither}
    sums = counts.sums
    if sums is None or not counts.pairs:
        return difference(**table, confidence=confidence)
    if sums.clusters < 2 or sums.standard_error > 0:
        return clustered_difference(sums, confidence=confidence)
    shrunk = {name: value * sums.clusters / counts.pairs for name, value in table.items()}
    return difference(**shrunk, confidence=confidence)


def no_difference(counts: PairedCounts) -> float:
    """Two-sided p-value of no difference: McNemar's exact test, or Student's on the clustered difference.

    Where every cluster changed by the same share there is no error to divide by; then the p-value is that of
    so many signs being equal, 2**(1-G).
    """
    sums = counts.sums
    if sums is None:
        return mcnemar(worse=counts.worse, better=counts.better)
    if sums.clusters < 2 or not sums.change:
        return 1.0
    if not sums.standard_error:
        return float(2.0 ** (1 - sums.clusters))
    return 2 * float(stdtr(sums.clusters - 1, -abs(sums.difference) / sums.standard_error))


def above(counts: PairedCounts, *, limit: float) -> float:
    """Two-sided p-value of a difference that is no more than the limit, by inverting the interval.

    The smallest level at which the lower end of the interval lies above the limit; 1 where the difference
    itself does not. So one such value at or below the level says what the interval says, and several can be
    adjusted by `holm`.
    """
    centre = paired_difference(counts, confidence=0.5)[0]
    if not centre > limit:
        return 1.0
    low, high = math.log(_SMALLEST_LEVEL), 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        excluded = paired_difference(counts, confidence=1 - math.exp(middle))[1] > limit
        low, high = (low, middle) if excluded else (middle, high)
    return math.exp(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for a family of comparisons; each may be held against the level as it is.

    Reference:
        Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6:65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    scaled = np.minimum(1.0, (len(values) - np.arange(len(values))) * values[order])
    adjusted = np.empty(len(values))
    adjusted[order] = np.maximum.accumulate(scaled)
    return [float(value) for value in adjusted]


def _phi(*, worse: float, better: float, both: float, neither: float) -> float:
    """Correlation of the two verdicts, its numerator drawn towards 0 by half the pairs where it is positive."""
    margins = (both + better) * (worse + neither) * (both + worse) * (better + neither)
    if not margins:
        return 0.0
    cross = both * neither - worse * better
    pairs = worse + better + both + neither
    corrected = max(0.0, cross - pairs / 2) if cross > 0 else float(cross)
    return corrected / math.sqrt(margins)

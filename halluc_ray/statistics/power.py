"""What a paired comparison could see: power of McNemar's exact test, and the increase it would find.

Knows numbers of pairs and shares of flips; does not know what was paired. Callers: `suites.judging`.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binom

from halluc_ray.statistics.intervals import wilson


def detectable_increase(
    num_pairs: int, *, churn: float, level: float = 0.05, power: float = 0.8, resolution: float = 1e-4
) -> float:
    """Smallest increase of the rate that the exact test would find with the given power.

    Pairs get worse with probability churn + increase and better with probability churn.

    Args:
        num_pairs: pairs where both are defined.
        churn: share of pairs that flip each way where nothing has changed.
        level: of the two-sided test.
        power: probability to reject in the direction of the increase.
        resolution: of the answer.

    Returns:
        The increase as a share; infinity where none would be found.
    """
    most = 1 - 2 * churn
    if most <= 0 or mcnemar_power(num_pairs, churn=churn, increase=most, level=level) < power:
        return math.inf
    low, high = 0.0, most
    while high - low > resolution:
        middle = (low + high) / 2
        found = mcnemar_power(num_pairs, churn=churn, increase=middle, level=level) >= power
        low, high = (low, middle) if found else (middle, high)
    return high


def mcnemar_power(num_pairs: int, *, churn: float, increase: float, level: float = 0.05) -> float:
    """Probability that the exact two-sided test rejects, towards an increase.

    Sums over the number of flips, binomial in the pairs, and over how many of them are for the worse.
    Numbers of flips whose probability is below 1e-12 in all are left out.
    """
    flip = 2 * churn + increase
    if not num_pairs or flip <= 0:
        return 0.0
    span = 8 * math.sqrt(num_pairs * flip * (1 - min(flip, 1))) + 8
    first, last = max(1, int(num_pairs * flip - span)), min(num_pairs, int(num_pairs * flip + span) + 1)
    flips = np.arange(first, last + 1)
    # the test rejects when at most `few` of the flips are for the better
    few = binom.ppf(level / 2, flips, 0.5) - 1
    few = np.where(binom.cdf(few + 1, flips, 0.5) <= level / 2, few + 1, few)
    rejects = np.where(few >= 0, binom.cdf(few, flips, churn / flip), 0.0)
    return float((binom.pmf(flips, num_pairs, min(flip, 1.0)) * rejects).sum())


def detectable_rate(
    num_rows: int, *, limit: float, confidence: float = 0.95, power: float = 0.8, resolution: float = 1e-4
) -> float:
    """Smallest rate whose Wilson interval would lie above the limit with the given power.

    Args:
        num_rows: independent samples where the rate is defined.
        limit: the rate that is allowed.
        confidence: of the interval.
        power: probability that its lower end lies above the limit.
        resolution: of the answer.

    Returns:
        The rate; infinity where not even a rate of 1 would be found.
    """
    fewest = _fewest_above(num_rows, limit=limit, confidence=confidence)
    if fewest is None:
        return math.inf
    least, most = limit, 1.0
    while most - least > resolution:
        middle = (least + most) / 2
        found = binom.sf(fewest - 1, num_rows, middle) >= power
        least, most = (least, middle) if found else (middle, most)
    return most


def _fewest_above(num_rows: int, *, limit: float, confidence: float) -> int | None:
    """Smallest count whose interval lies above the limit; None where no count's does."""

    def is_above(count: int) -> bool:
        return float(wilson(count, defined=num_rows, confidence=confidence)[0][0]) > limit

    if not num_rows or not is_above(num_rows):
        return None
    low, high = -1, num_rows
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_above(middle) else (middle, high)
    return high

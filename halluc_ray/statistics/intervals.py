"""Intervals for one rate, and for the difference of two from those of each.

Knows counts and confidence levels; does not know what was counted. Callers: `paired`, reports, the gate, the site.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float, float]
"""A value, its lower and its upper end, as shares."""


def wilson(
    hallucinated: npt.ArrayLike,
    *,
    defined: npt.ArrayLike,
    confidence: float,
    design_effect: npt.ArrayLike = 1.0,
) -> tuple[Floats, Floats]:
    """Score interval of a rate, element by element.

    With a design effect the interval is that of the same rate seen in `defined / design_effect`
    independent samples.

    Args:
        hallucinated: samples that count, at most `defined`.
        defined: samples where the indicator is defined.
        confidence: level, between 0 and 1.
        design_effect: variance over that of independent samples, at least 1.

    Returns:
        Lower and upper end, as shares; NaN where `defined` is 0. The lower end of a rate of 0 is
        exactly 0, and the upper end of a rate of 1 exactly 1.

    Reference:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA
        22:209-212. Effective sample size in it: Franco, Little, Louis and Slud 2019, "Comparative
        study of confidence intervals for proportions in complex sample surveys", JSSAM 7:334-364.

    >>> low, high = wilson([2, 0], defined=[10, 0], confidence=0.95)
    >>> [round(float(x), 4) for x in (low[0], high[0])], bool(np.isnan(low[1]))
    ([0.0567, 0.5098], True)
    """
    count = np.atleast_1d(np.asarray(hallucinated, dtype=np.float64))
    total = np.atleast_1d(np.asarray(defined, dtype=np.float64))
    z = float(ndtri(0.5 + confidence / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = count / total
        effective = total / np.asarray(design_effect, dtype=np.float64)
        shrink = 1 + z**2 / effective
        centre = (rate + z**2 / (2 * effective)) / shrink
        half = z * np.sqrt(rate * (1 - rate) / effective + z**2 / (4 * effective**2)) / shrink
        low = np.where(count == 0, 0.0, centre - half)
        high = np.where(count == total, 1.0, centre + half)
    empty = total == 0
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def wilson_level(hallucinated: int, *, defined: int, limit: float, design_effect: float = 1.0) -> float:
    """Smallest level (1 - confidence) at which Wilson's interval lies above a limit; 1 where the rate does not.

    The interval is the inverse of the score test, so this is that test's two-sided p-value.

    >>> level = wilson_level(30, defined=100, limit=0.2)
    >>> bool(abs(wilson(30, defined=100, confidence=1 - level)[0][0] - 0.2) < 1e-12)
    True
    """
    rate = hallucinated / defined
    if rate <= limit:
        return 1.0
    error = float(np.sqrt(limit * (1 - limit) * design_effect / defined))
    return 2 * float(ndtr((limit - rate) / error)) if error else 0.0


def square_and_add(a: Interval, b: Interval, *, phi: float = 0.0) -> Interval:
    """Rate of B minus rate of A, and its interval, from the intervals of the two.

    Args:
        a, b: each rate with its ends by Wilson.
        phi: correlation of the two; 0 where they are independent.

    Reference:
        Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in
        Medicine 17:873-890, method 10; for paired data 17:2635-2650, method 10.

    >>> low, high = wilson([56, 48], defined=[70, 80], confidence=0.95)
    >>> a, b = ((rate, low[at], high[at]) for at, rate in ((1, 48 / 80), (0, 56 / 70)))
    >>> [round(x, 4) for x in square_and_add(a, b)]
    [0.2, 0.0524, 0.3339]
    """
    (rate_a, low_a, high_a), (rate_b, low_b, high_b) = a, b
    down_b, up_b, down_a, up_a = rate_b - low_b, high_b - rate_b, rate_a - low_a, high_a - rate_a
    below = math.sqrt(max(0.0, down_b**2 - 2 * phi * down_b * up_a + up_a**2))
    above = math.sqrt(max(0.0, up_b**2 - 2 * phi * up_b * down_a + down_a**2))
    return rate_b - rate_a, float(rate_b - rate_a - below), float(rate_b - rate_a + above)

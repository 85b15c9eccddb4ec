"""Intervals for one rate.

Knows counts and confidence levels; does not know what was counted. Callers: `reports.report`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]


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

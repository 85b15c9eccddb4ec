"""How much less independent samples tell when they share a source.

Knows sums per cluster (or per bucket of clusters); does not know how rows were put into them.
Callers: `reports.report`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit


@dataclass(frozen=True, slots=True)
class DesignEffect:
    """What sharing a source costs.

    Attributes:
        clusters: clusters (or buckets of them) in which the indicator is defined at all.
        value: variance of the rate over that of as many independent samples, at least 1.
    """

    clusters: int
    value: float


def design_effect(hallucinated: npt.ArrayLike, *, defined: npt.ArrayLike, confidence: float) -> DesignEffect:
    """Design effect of a rate from sums per cluster.

    The rate is a ratio of two random sums; its variance is linearised, with the factor G/(G-1):
    v = G/(G-1) * sum_g (h_g - p n_g)^2 / n^2. Over p(1-p)/n this is the design effect; the effective
    sample size is further scaled by (t_{n-1}/t_{G-1})^2 for the few degrees of freedom.

    Departures: the effect is never below 1 (luck must not narrow an interval). Where the rate is 0
    or 1 no variance shows, and it is taken as 1. One cluster alone is worth one sample. Clusters
    hashed into 256 buckets are independent still, since whole clusters share a bucket; only degrees
    of freedom are lost.

    Args:
        hallucinated: samples that count, per cluster.
        defined: samples where the indicator is defined, per cluster.
        confidence: level of the interval that will use it.

    Reference:
        Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of
        positive counts estimated from survey data", Survey Methodology 24:193-201.

    >>> design_effect([4, 0, 4, 0], defined=[4, 4, 4, 4], confidence=0.95).value > 4
    True
    """
    count = np.asarray(hallucinated, dtype=np.float64)
    size = np.asarray(defined, dtype=np.float64)
    count, size = count[size > 0], size[size > 0]
    groups, total = len(size), float(size.sum())
    if groups == 0:
        return DesignEffect(0, 1.0)
    if groups == 1:
        return DesignEffect(1, total)
    rate = float(count.sum()) / total
    if rate in (0.0, 1.0):
        return DesignEffect(groups, 1.0)
    variance = groups / (groups - 1) * float(((count - rate * size) ** 2).sum()) / total**2
    quantile = 0.5 + confidence / 2
    freedom = float(stdtrit(groups - 1, quantile) / stdtrit(total - 1, quantile)) ** 2
    value = max(1.0, variance / (rate * (1 - rate) / total) * freedom)
    return DesignEffect(groups, value)

"""What is known of paired samples before anything is computed: four counts, and sums over clusters.

Knows integers only. Callers: `paired`, and whoever counts pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterSums:
    """Sums over clusters of pairs, exact: of each cluster's change c (worse minus better) and its pairs n.

    Attributes:
        clusters: how many have a pair.
        change, size: sums of c and of n.
        change_squared, cross, size_squared: sums of c*c, c*n and n*n.
    """

    clusters: int
    change: int
    size: int
    change_squared: int
    cross: int
    size_squared: int

    @classmethod
    def of(cls, changes: Sequence[int], sizes: Sequence[int]) -> ClusterSums:
        """Sums of clusters that are at hand; those without pairs are left out.

        >>> ClusterSums.of([1, -1, 0], [2, 1, 0])
        ClusterSums(clusters=2, change=0, size=3, change_squared=2, cross=1, size_squared=5)
        """
        some = [(change, size) for change, size in zip(changes, sizes, strict=True) if size]
        return cls(
            clusters=len(some),
            change=sum(change for change, _ in some),
            size=sum(size for _, size in some),
            change_squared=sum(change * change for change, _ in some),
            cross=sum(change * size for change, size in some),
            size_squared=sum(size * size for _, size in some),
        )

    @property
    def difference(self) -> float:
        """Rate of B minus rate of A."""
        return self.change / self.size

    @property
    def standard_error(self) -> float:
        """Of the difference, linearised; needs two clusters at least."""
        # n**2 * sum (c - d n)**2 with d = change/size, in integers: equal shares give exactly 0
        spread = (
            self.change_squared * self.size**2
            - 2 * self.change * self.size * self.cross
            + self.change**2 * self.size_squared
        )
        return math.sqrt(self.clusters / (self.clusters - 1) * (spread / self.size**4))


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """Pairs by what happened to A and to B.

    Attributes:
        worse: the event happened to B alone.
        better: to A alone.
        both, neither: pairs that agree.
        sums: over clusters, where pairs are not independent.
    """

    worse: int
    better: int
    both: int
    neither: int
    sums: ClusterSums | None = None

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.worse + self.better + self.both + self.neither

    @property
    def effective_pairs(self) -> float:
        """As many independent pairs as tell as much; never more than there are."""
        if self.sums is None or not self.pairs or self.sums.clusters < 2:
            return float(self.pairs) if self.sums is None else float(self.sums.clusters)
        if not self.sums.standard_error:
            return float(self.sums.clusters)
        flips = (self.worse + self.better) / self.pairs
        independent = flips - ((self.worse - self.better) / self.pairs) ** 2
        return min(float(self.pairs), independent / self.sums.standard_error**2)

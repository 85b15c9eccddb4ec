"""Two systems side by side, as data: comparison.json.

Knows what a comparison says; does not know how pairs are found or how a page shows it. Nothing in it is a
time, a path or a machine: equal runs give equal bytes. Callers: `comparing`, the command line, pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from A to B under one indicator, in one cell of one slice.

    Attributes:
        slice: column -> value; empty for all pairs.
        units: pairs, defined or not.
        pairs: of these, defined on both sides: what the rates are over.
        worse: supported by A, hallucinated by B. better: the other way. both, neither: hallucinated.
        difference: rate_b - rate_a; low and high its ends at the comparison's confidence; None without pairs.
        p_value: of no difference. p_holm: adjusted for the family; None without a defined pair.
        test: `mcnemar` (exact), or `clusters` (Student's on the clustered difference).
        clusters: sources that pairs share; None where pairs are independent.
        answered_a, answered_b: share of the units that were neither abstained nor failed.
    """

    system_a: str
    system_b: str
    indicator: str
    slice: Mapping[str, Any]
    units: int
    pairs: int
    worse: int
    better: int
    both: int
    neither: int
    rate_a: float | None
    rate_b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float
    p_holm: float | None
    test: str
    clusters: int | None
    answered_a: float | None
    answered_b: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One side of a flip."""

    response: str | None
    outcome: str
    reason: str | None
    span_start: int | None
    span_stop: int | None
    against: str | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Flip:
    """A unit that A supported and B hallucinated (`worse`), or the other way (`better`)."""

    system_a: str
    system_b: str
    indicator: str
    direction: str
    id: str
    draw: int
    prompt: str | None
    context: str | None
    reference: str | None
    a: Answer
    b: Answer


@dataclass(frozen=True, slots=True)
class Crossing:
    """Pairs by outcome of A and outcome of B."""

    indicator: str
    outcome_a: str
    outcome_b: str
    units: int


@dataclass(frozen=True, slots=True)
class Pairing:
    """How the units of two systems were paired.

    Attributes:
        units_a, units_b: of each side.
        paired: units with a partner; only_a, only_b: without one.
        without_key_a, without_key_b: of the latter, units whose id or column is null.
        cluster: the corpus column of what pairs share, `draws` of a row, or None.
        small_cells: cells (of any indicator) with too few pairs to be in the family; they are not in `differences`.
        cells_left_out: cells beyond the largest of their slice, which were not looked at.
        crossed: pairs by outcomes, which says why some are not defined.
    """

    system_a: str
    system_b: str
    units_a: int
    units_b: int
    paired: int
    only_a: int
    only_b: int
    without_key_a: int
    without_key_b: int
    cluster: str | None
    small_cells: int
    cells_left_out: int
    crossed: tuple[Crossing, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that comparison.json says.

    Attributes:
        by: what units are paired by.
        family: comparisons that p_holm is adjusted for.
        fewest_pairs: that a cell needs to be in the family.
    """

    schema_version: int
    run_a: str
    run_b: str
    by: str
    confidence: float
    family: int
    fewest_pairs: int
    notes: tuple[str, ...]
    pairings: tuple[Pairing, ...]
    differences: tuple[Difference, ...]
    flips: tuple[Flip, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, keys in the order of comparison.json."""
        return asdict(self)

    def to_json(self) -> bytes:
        """comparison.json: deterministic."""
        return (json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()

    def overall(self) -> Iterator[Difference]:
        """The differences over all pairs: one per pair of systems and indicator."""
        return (entry for entry in self.differences if not entry.slice)

    def cells(self) -> Iterator[Difference]:
        """The differences in slices that are in the family, the surest first."""
        found = (entry for entry in self.differences if entry.slice and entry.p_holm is not None)
        return iter(sorted(found, key=lambda entry: (entry.p_value, -abs(entry.difference or 0.0))))

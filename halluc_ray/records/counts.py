"""Counts: a monoid of named integers, held as one sparse Arrow table.

A count is addressed by (table, slice, cell, system, item, stat) and merges by addition, so shards
may be reduced in any order and grouping. Division happens in `statistics` and `reports`.

Tables:
    outcomes   item = indicator: stats `rows` and the six outcomes, per slice cell and system.
    reasons    item = indicator: cell = JSON [outcome, reason], stat `rows`; slice 0 only.
    clusters   item = indicator: cell = bucket of hash(cluster) mod 256; `defined`, `hallucinated`.
    summaries  item = summary: `rows` and the limbs of the exact sum, per slice cell and system.
    units      `rows`, `failed`, `truncated`, `rebatched`, `prompt_tokens`, `output_tokens`,
               `reasoning_tokens` per system.
    failures   cell = JSON [reason], stat `rows`, per system.
    selection  `corpus`, `selected`, `where`, `where_null`, `sample`, `limit`: corpus rows; and `without_id`, of
               the selected.

Zeros are left out. Exact float sums: a float64 is split into 32-bit limbs at fixed powers of two;
stat `limb_<k>` holds the sum of limbs of weight 2**(32*k). Limbs add as int64 without loss for up to
10**9 rows a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.records.schemas import COUNTS

_KEYS = ["table", "slice", "cell", "system", "item", "stat"]
_LIMB_BITS = 32
_LIMB_MASK = 0xFFFF_FFFF


def zero() -> pa.Table:
    """The empty counts."""
    return COUNTS.empty_table()


def merge(tables: Iterable[pa.Table]) -> pa.Table:
    """Sum of counts, sorted by key, zeros left out. Associative and commutative."""
    stacked = pa.concat_tables([zero(), *tables])
    summed = stacked.group_by(_KEYS).aggregate([("value", "sum")]).rename_columns({"value_sum": "value"})
    kept = summed.filter(pc.not_equal(summed["value"], 0))
    return kept.select(COUNTS.names).sort_by([(key, "ascending") for key in _KEYS]).cast(COUNTS).combine_chunks()


def exact_sums(
    values: npt.NDArray[np.float64], groups: npt.NDArray[np.int64], *, num_groups: int
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Sums of finite floats by group, as limbs, without rounding, whatever the order.

    Args:
        values: finite float64.
        groups: the group of each value, from 0.
        num_groups: how many groups there are.

    Yields:
        (k, totals): each group's sum of the limbs of weight 2**(32*k), int64.

    >>> zeros = np.zeros(3, dtype=np.int64)
    >>> limbs = exact_sums(np.array([1e16, 1.0, -1e16]), zeros, num_groups=1)
    >>> float(sum_of_limbs({f"limb_{k}": int(totals[0]) for k, totals in limbs}))
    1.0
    """
    mantissa, exponent = np.frexp(values)
    integers = (mantissa * 2.0**53).astype(np.int64)
    limb, shift = np.divmod(exponent.astype(np.int64) - 53, _LIMB_BITS)
    sign, magnitude = np.sign(integers), np.abs(integers)
    totals: dict[int, npt.NDArray[np.int64]] = {}
    for offset, piece in ((0, magnitude & _LIMB_MASK), (1, magnitude >> _LIMB_BITS)):
        shifted = piece << shift  # under 2**63: 32 bits shifted by at most 31
        for step, digits in ((offset, shifted & _LIMB_MASK), (offset + 1, shifted >> _LIMB_BITS)):
            for k in np.unique(limb):
                at = limb == k
                total = totals.setdefault(int(k) + step, np.zeros(num_groups, dtype=np.int64))
                np.add.at(total, groups[at], (digits * sign)[at])
    yield from ((k, totals[k]) for k in sorted(totals) if totals[k].any())


def exact_integer_sums(
    values: npt.NDArray[np.int64] | npt.NDArray[np.uint64], groups: npt.NDArray[np.int64], *, num_groups: int
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Sums of 64-bit integers by group, as limbs; see `exact_sums`.

    >>> limbs = exact_integer_sums(np.array([2**62, 1, -(2**62)]), np.zeros(3, dtype=np.int64), num_groups=1)
    >>> int(sum_of_limbs({f"limb_{k}": int(totals[0]) for k, totals in limbs}))
    1
    """
    for limb, digits in ((0, values & values.dtype.type(_LIMB_MASK)), (1, values >> values.dtype.type(_LIMB_BITS))):
        total = np.zeros(num_groups, dtype=np.int64)
        np.add.at(total, groups, digits.astype(np.int64))
        if total.any():
            yield limb, total


def sum_of_limbs(limbs: Mapping[str, int]) -> Fraction:
    """The exact value of named limbs; other stats are ignored."""
    total = Fraction(0)
    for stat, value in limbs.items():
        if stat.startswith("limb_"):
            total += Fraction(value) * Fraction(2) ** (_LIMB_BITS * int(stat.removeprefix("limb_")))
    return total

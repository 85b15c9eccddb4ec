"""Which rows of a corpus are evaluated: `where`, then a share or a number of rows by hash of id.

Pure on Arrow tables. A row's fate depends on its own values and on fixed bounds, never on its
shard or on other rows, so that selection is the same however the corpus is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import xxhash

from halluc_ray.config.expression import Condition

HASH_SPAN = 2**64


@dataclass(frozen=True, slots=True)
class Selection:
    """Bounds that every shard applies alike.

    Attributes:
        where: condition, or None for all rows.
        hash_below: rows whose id hashes to less are kept; None keeps all.
        by_limit: the bound comes from `limit` and not from `sample`.
    """

    where: Condition | None = None
    hash_below: int | None = None
    by_limit: bool = False


@dataclass(frozen=True, slots=True)
class Selected:
    """Outcome of a selection over one table.

    Attributes:
        positions: selected positions, ascending, int64.
        counts: corpus rows by fate: `corpus`, `selected`, `where`, `where_null`, `sample`, `limit`.
    """

    positions: npt.NDArray[np.int64]
    counts: dict[str, int]


def sample_bound(share: float) -> int:
    """Hash bound that keeps a share of the ids."""
    return round(share * HASH_SPAN)


def hash_texts(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """64-bit XXH3 of each text's UTF-8 bytes; there are no nulls."""
    hashed = xxhash.xxh3_64_intdigest
    return np.fromiter(map(hashed, texts.cast(pa.binary()).to_pylist()), dtype=np.uint64, count=len(texts))


def holds(condition: Condition, table: pa.Table) -> pa.Array:
    """The condition per row: true, false or null."""
    scanner = ds.dataset(table).scanner(columns={"holds": condition.to_arrow()})
    return scanner.to_table().column("holds").combine_chunks()


def select(table: pa.Table, ids: pa.Array, selection: Selection) -> Selected:
    """Apply `where`, then the hash bound, counting every row that is left out.

    Args:
        table: at least the columns that `where` reads.
        ids: one text per row.
        selection: the bounds.
    """
    counts = dict.fromkeys(("corpus", "selected", "where", "where_null", "sample", "limit"), 0)
    counts["corpus"] = table.num_rows
    positions = np.arange(table.num_rows, dtype=np.int64)
    if selection.where is not None and table.num_rows:
        mask = holds(selection.where, table)
        counts["where_null"] = mask.null_count
        kept = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
        counts["where"] = table.num_rows - mask.null_count - int(kept.sum())
        positions = positions[kept]
    if selection.hash_below is not None and len(positions) and selection.hash_below < HASH_SPAN:
        below = hash_texts(ids.take(pa.array(positions))) < np.uint64(selection.hash_below)
        counts["limit" if selection.by_limit else "sample"] = len(positions) - int(below.sum())
        positions = positions[below]
    counts["selected"] = len(positions)
    return Selected(positions, counts)

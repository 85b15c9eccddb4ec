"""Slice cells: their JSON, their order, and the bound on how many a slice may show.

Knows how a cell is spelled in the counts; does not know what is counted. Callers: `reduce`, `build`,
`pairing`, `comparing`.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.records.counts import merge

OTHER = '"other"'  # a JSON text, which no list of values can equal
MAX_CELLS = 4096


def fold_cells(counts: pa.Table, *, max_cells: int = MAX_CELLS) -> tuple[pa.Table, dict[int, int]]:
    """Count the cells of a slice beyond `max_cells` as one cell, OTHER.

    The cells with the most units over all systems stay; among equals, the first by JSON text.

    Returns:
        The counts, and slice position -> number of cells that went to OTHER.
    """
    outcomes = counts.filter(pc.equal(counts["table"], "outcomes"))
    rows = outcomes.filter(pc.and_(pc.equal(outcomes["stat"], "rows"), pc.greater(outcomes["slice"], 0)))
    by_cell = rows.group_by(["slice", "cell"]).aggregate([("value", "sum")])
    by_cell = by_cell.sort_by([("slice", "ascending"), ("value_sum", "descending"), ("cell", "ascending")])
    folded: dict[int, int] = {}
    for position in by_cell["slice"].unique().to_pylist():
        cells = by_cell.filter(pc.equal(by_cell["slice"], position))["cell"]
        if len(cells) <= max_cells:
            continue
        folded[position] = len(cells) - max_cells
        gone = pc.and_(
            pc.equal(counts["slice"], position), pc.invert(pc.is_in(counts["cell"], value_set=cells[:max_cells]))
        )
        at = counts.schema.get_field_index("cell")
        counts = counts.set_column(at, counts.schema.field("cell"), pc.if_else(gone, OTHER, counts["cell"]))
    return (merge([counts]) if folded else counts), folded


def cell_values(cell: str, columns: tuple[str, ...]) -> dict[str, Any]:
    """Column -> value of a cell. OTHER gives the word "other" for each column.

    >>> cell_values('["en",2]', ("lang", "year"))
    {'lang': 'en', 'year': 2}
    """
    if cell == OTHER:
        return dict.fromkeys(columns, "other")
    return dict(zip(columns, json.loads(cell), strict=True))


def cell_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each value of a slice's column as it stands in a cell's JSON list."""
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    texts = [json.dumps(_plain(value), ensure_ascii=False) for value in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string()).take(encoded.indices)])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def cell_order(cell: str) -> tuple[Any, ...]:
    """Sort key: numbers by size, then texts, booleans and nulls; OTHER last."""
    if cell == OTHER:
        return (1,)
    return (0, *(_value_order(value) for value in json.loads(cell)))


def _value_order(value: Any) -> tuple[int, float, str]:
    if value is None:
        return (3, 0.0, "")
    if isinstance(value, bool):
        return (2, float(value), "")
    if isinstance(value, (int, float)):
        return (0, float(value), str(value))
    return (1, 0.0, str(value))

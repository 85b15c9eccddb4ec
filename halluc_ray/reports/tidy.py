"""The counts of a run as one tidy table, `counts.parquet`.

Knows the counts and the names in the record; caller: `files`.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.config.digest import canonical_json
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.cells import cell_values
from halluc_ray.reports.reduce import RunCounts

TIDY = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("system", pa.string()),  # null: the corpus
        pa.field("name", pa.string()),  # indicator or summary
        pa.field("slice", pa.string(), nullable=False),  # JSON object; {}: all rows
        pa.field("key", pa.string()),  # outcome and reason, reason of a failure, bucket of clusters
        pa.field("stat", pa.string(), nullable=False),
        pa.field("value", pa.int64(), nullable=False),
    ]
)
_ITEMS = ("outcomes", "reasons", "clusters", "summaries")
_SLICED = ("outcomes", "summaries")


def tidy(record: RunRecord, counts: RunCounts) -> pa.Table:
    """One row per count, in the counts' own order; names in place of positions.

    Sums of summaries are kept as limbs (see `records.counts`): they are exact.
    """
    tables = pc.unique(counts.table["table"]).to_pylist()
    pieces = [_tidy_table(record, counts.table.filter(pc.equal(counts.table["table"], name)), name) for name in tables]
    selection = sorted(counts.selection.items())
    corpus = {
        "table": ["selection"] * len(selection),
        "system": [None] * len(selection),
        "name": [None] * len(selection),
        "slice": ["{}"] * len(selection),
        "key": [None] * len(selection),
        "stat": [stat for stat, _ in selection],
        "value": [value for _, value in selection],
    }
    return pa.concat_tables([TIDY.empty_table(), *pieces, pa.table(corpus, schema=TIDY)])


def _tidy_table(record: RunRecord, rows: pa.Table, table: str) -> pa.Table:
    items = [entry.name for entry in (record.summaries if table == "summaries" else record.indicators)]
    names = pa.array([items[item] if table in _ITEMS else None for item in rows["item"].to_pylist()], pa.string())
    cells = rows["cell"].to_pylist()
    if table in _SLICED:
        keys = pa.nulls(len(rows), pa.string())
        slices = [
            _slice(record, position, cell) for position, cell in zip(rows["slice"].to_pylist(), cells, strict=True)
        ]
    else:
        keys = pa.array([None if json.loads(cell) == [] else cell for cell in cells], pa.string())
        slices = ["{}"] * len(rows)
    columns = [rows["table"], rows["system"], names, pa.array(slices, pa.string()), keys, rows["stat"], rows["value"]]
    return pa.table(columns, schema=TIDY)


def _slice(record: RunRecord, position: int, cell: str) -> str:
    return canonical_json(cell_values(cell, record.slices[position - 1])) if position else "{}"

"""How parts are written and read: the one place for writer options.

Equal tables give equal bytes for one pyarrow version. Callers: everything that makes or reads a part.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

_CODEC = "zstd"
_LEVEL = 3
_GROUP_ROWS = 1 << 20


def encode(table: pa.Table) -> bytes:
    """The table as one Parquet file. Chunking does not show in the bytes."""
    sink = io.BytesIO()
    pq.write_table(
        table.combine_chunks(),
        sink,
        compression=_CODEC,
        compression_level=_LEVEL,
        row_group_size=_GROUP_ROWS,
        version="2.6",
        write_statistics=True,
        store_schema=True,
    )
    return sink.getvalue()


def decode(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table, or some of its columns, in the order asked for."""
    wanted = None if columns is None else list(columns)
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        table = file.read(columns=wanted, use_threads=False)
    return table if wanted is None else table.select(wanted)

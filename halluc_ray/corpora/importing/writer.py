"""Rows into Parquet files: row groups and files of a bounded size, one schema in the end.

A column's type is the narrowest that holds all its values, which is known at the end only. So a file is
closed when a column widens, and files of an older schema are written again, group by group, when all rows
are in. Equal rows give equal bytes. Knows a folder, not what becomes of it. Caller: the import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray.corpora.importing.records import RowProblem
from halluc_ray.corpora.importing.rows import JsonText, Row, checked_text
from halluc_ray.corpora.importing.values import ARROW, Kind, fitted, kind_of, settled, widened

GROUP_ROWS = 4_096
GROUP_BYTES = 8 << 20
FILE_BYTES = 64 << 20
_BYTES_OF_A_NUMBER = 8


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file that was written."""

    path: Path
    rows: int
    schema: pa.Schema


@dataclass(slots=True)
class CorpusWriter:
    """Takes rows, and gives files at the end.

    Attributes:
        folder: where the files go.
        kinds: column -> what it holds so far.
    """

    folder: Path
    kinds: dict[str, Kind] = field(default_factory=dict)
    _rows: list[Row] = field(default_factory=list)
    _bytes: int = 0
    _files: list[PartFile] = field(default_factory=list)
    _open: _OpenFile | None = None

    def check(self, row: Row) -> None:
        """Refuse a row that no column type can hold beside the rows before it.

        Raises:
            RowProblem: bytes where texts or numbers were, or the other way round.
        """
        for column, value in row.items():
            kind = _kind(value)
            if (before := self.kinds.get(column)) is None:
                checked_text(column)
                continue
            if kind is not before and kind is not Kind.NULL and widened(before, kind) is None:
                raise RowProblem("bytes and text mixed", f"{column} holds {before.value} before, and {kind.value} here")

    def add(self, row: Row) -> None:
        """Take one row that was checked."""
        for column, value in row.items():
            kind = _kind(value)
            before = self.kinds.get(column)
            if before is None:
                self.kinds[column] = kind
            elif kind is not before and kind is not Kind.NULL:
                self.kinds[column] = widened(before, kind) or before
            self._bytes += _size(value)
        self._rows.append(row)
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> list[PartFile]:
        """Write what is left and bring all files to one schema."""
        self.kinds = {name: settled(kind) for name, kind in self.kinds.items()}
        self._flush()
        self._close_file()
        schema = _schema(self.kinds)
        if any(not part.schema.equals(schema) for part in self._files):
            self._write_again(schema)
        return self._files

    def _flush(self) -> None:
        if not self._rows:
            return
        table = _table(self._rows, self.kinds)
        self._rows, self._bytes = [], 0
        self._write(table)

    def _write(self, table: pa.Table) -> None:
        if self._open is not None and (not self._open.schema.equals(table.schema) or self._open.is_full):
            self._close_file()
        if self._open is None:
            self._open = _OpenFile(self.folder / f"part-{len(self._files):05}.parquet", table.schema)
        self._open.write(table)

    def _close_file(self) -> None:
        if self._open is not None:
            self._files.append(self._open.close())
            self._open = None

    def _write_again(self, schema: pa.Schema) -> None:
        old = []
        for part in self._files:
            aside = part.path.with_suffix(".narrow")
            part.path.rename(aside)
            old.append(aside)
        self._files = []
        for path in old:
            for rows in _groups(path):
                self._write(_table(rows, self.kinds, schema))
            path.unlink()
        self._close_file()


class _OpenFile:
    """A Parquet file being written."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self._rows = 0
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd", compression_level=3, version="2.6")

    @property
    def is_full(self) -> bool:
        """Whether the next row group goes to another file."""
        return bool(self._sink.tell() >= FILE_BYTES)

    def write(self, table: pa.Table) -> None:
        """One row group."""
        self._writer.write_table(table, row_group_size=GROUP_ROWS)
        self._rows += table.num_rows

    def close(self) -> PartFile:
        """Finish the file."""
        self._writer.close()
        self._sink.close()
        return PartFile(self.path, self._rows, self.schema)


def _groups(path: Path) -> Iterator[list[Row]]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, use_threads=False).to_pylist()


def _table(rows: list[Row], kinds: Mapping[str, Kind], schema: pa.Schema | None = None) -> pa.Table:
    schema = schema or _schema(kinds)
    arrays = []
    for column in schema:
        kind = kinds[column.name]
        values = [fitted(row.get(column.name), kind) for row in rows]
        arrays.append(pa.array(values, type=column.type))
    return pa.table(arrays, schema=schema)


def _schema(kinds: Mapping[str, Kind]) -> pa.Schema:
    return pa.schema([pa.field(name, ARROW[kind]) for name, kind in kinds.items()])


def _kind(value: Any) -> Kind:
    return Kind.JSON if isinstance(value, JsonText) else kind_of(value)


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return _BYTES_OF_A_NUMBER

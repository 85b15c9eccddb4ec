"""Tables of one schema as a folder of files: row groups and files of sensible size, equal rows in equal bytes.

Knows Parquet and CSV; does not know what the rows mean or where the folder goes. Caller: `datasets`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

GROUP_ROWS = 1 << 17
GROUP_BYTES = 64 << 20
FILE_BYTES = 64 << 20

OpenWriter = Callable[[pa.NativeFile, pa.Schema], Any]


def parquet_writer(sink: pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    """Writes Parquet."""
    return pq.ParquetWriter(sink, schema, compression="zstd", compression_level=3, version="2.6")


def csv_writer(sink: pa.NativeFile, schema: pa.Schema) -> pa_csv.CSVWriter:
    """Writes CSV: UTF-8, a header, texts in quotes, nothing at all for null."""
    return pa_csv.CSVWriter(sink, schema)


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file that was written: its name, rows, bytes and sha256."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(slots=True)
class PartFiles:
    """Takes tables, and gives files at the end.

    Attributes:
        folder: where the files go.
        schema: of every table.
        suffix: of the files' names.
        open_writer: `parquet_writer` or `csv_writer`.
    """

    folder: Path
    schema: pa.Schema
    suffix: str
    open_writer: OpenWriter
    _waiting: list[pa.Table] = field(default_factory=list)
    _done: list[PartFile] = field(default_factory=list)
    _open: _OpenFile | None = None

    def add(self, table: pa.Table) -> None:
        """Take some rows."""
        while len(table):
            room = GROUP_ROWS - sum(map(len, self._waiting))
            self._waiting.append(table.slice(0, room))
            table = table.slice(room)
            waiting = sum(map(len, self._waiting))
            if waiting >= GROUP_ROWS or sum(piece.nbytes for piece in self._waiting) >= GROUP_BYTES:
                self._flush()

    def close(self) -> list[PartFile]:
        """Write what is left. A run without rows has one file with none."""
        if self._waiting or not (self._done or self._open):
            self._flush()
        self._close_file()
        return self._done

    def _flush(self) -> None:
        table = pa.concat_tables([self.schema.empty_table(), *self._waiting]).combine_chunks()
        self._waiting = []
        if self._open is not None and self._open.size >= FILE_BYTES:
            self._close_file()
        if self._open is None:
            path = self.folder / f"part-{len(self._done):05}.{self.suffix}"
            self._open = _OpenFile(path, self.schema, self.open_writer)
        self._open.write(table)

    def _close_file(self) -> None:
        if self._open is not None:
            self._done.append(self._open.close())
            self._open = None


class _OpenFile:
    """A file being written."""

    def __init__(self, path: Path, schema: pa.Schema, open_writer: OpenWriter) -> None:
        self._path, self._rows = path, 0
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = open_writer(self._sink, schema)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return int(self._sink.tell())

    def write(self, table: pa.Table) -> None:
        """One row group."""
        self._writer.write_table(table)
        self._rows += len(table)

    def close(self) -> PartFile:
        """Finish the file."""
        self._writer.close()
        self._sink.close()
        with self._path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return PartFile(self._path.name, self._rows, self._path.stat().st_size, sha256)

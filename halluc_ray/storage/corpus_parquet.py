"""Opening a corpus file as Parquet, by range, and saying what is wrong with one that is none.

Local files are read plainly, never memory-mapped: a file cut under a mapping would kill the process.
On S3 every range names the planned ETag. Callers: the plan (footers), shard reading.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray.errors import InputChanged, InputError, ObjectChanged, ObjectMissing
from halluc_ray.storage.files import CorpusFile, s3_bucket, verify_unchanged
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

if TYPE_CHECKING:
    from halluc_ray.storage.s3 import S3Store

_MAGIC = b"PAR1"
_ENCRYPTED = b"PARE"
_SMALLEST = 12  # magic, footer length, magic
_TAIL_BYTES = 64 << 10


def open_parquet(file: CorpusFile) -> pq.ParquetFile:
    """The file, its footer read and checked; column chunks are fetched together when rows are read.

    Close it, and call `verify_unchanged` after reading or when reading raises: on a local file only a
    second look shows a change.

    Raises:
        InputError: empty, not Parquet, encrypted, or cut; names the file.
        InputChanged: no longer the file that was planned.
    """
    if file.size == 0:
        verify_unchanged(file)
        raise InputError(f"{file.uri} is empty (0 bytes); write it again or leave it out of corpus.uri")
    source = _source(file)
    try:
        verify_unchanged(file)
        _check_frame(source, file)
        return pq.ParquetFile(source, pre_buffer=True)
    except (pa.ArrowException, OSError) as error:
        source.close()
        verify_unchanged(file)
        raise InputError(f"{file.uri}: its Parquet footer is damaged ({error}); write the file again") from error
    except InputError:
        source.close()
        raise


def _source(file: CorpusFile) -> pa.NativeFile:
    match parse_uri(file.uri):
        case LocalPlace(path):
            return _open_local(path, file)
        case S3Place(bucket, key):
            store = s3_bucket(bucket, endpoint=file.endpoint, region=file.region)
            return pa.PythonFile(_RangeFile(store, key, file), mode="r")
        case other:
            assert_never(other)


def _open_local(path: Path, file: CorpusFile) -> pa.NativeFile:
    try:
        return pa.OSFile(str(path), "rb")
    except FileNotFoundError as error:
        raise InputChanged(f"{file.uri} was removed after the run was planned; put it back or plan anew") from error
    except OSError as error:
        raise InputError(f"{file.uri} can not be read: {error}; grant read access") from error


def _check_frame(source: pa.NativeFile, file: CorpusFile) -> None:
    source.seek(max(0, file.size - 8))
    tail = source.read(8)
    source.seek(0)
    head = source.read(4)
    if _ENCRYPTED in (head, tail[-4:]):
        raise InputError(f"{file.uri} is encrypted Parquet, which is not read here; decrypt it first")
    if head != _MAGIC:
        raise InputError(
            f"{file.uri} is no Parquet file: it starts with {head!r}, not {_MAGIC!r}; `halluc-ray import` makes a "
            "corpus of JSON Lines, JSON or CSV; else leave it out"
        )
    footer_bytes = int.from_bytes(tail[:4], "little")
    if file.size < _SMALLEST or tail[-4:] != _MAGIC or footer_bytes + _SMALLEST > file.size:
        raise InputError(
            f"{file.uri} is cut: {file.size} bytes, and no Parquet footer at its end; copy or write it again"
        )


class _RangeFile(io.RawIOBase):
    """A stored object as a seekable file; the end of it, where the footer is, comes in one request."""

    def __init__(self, store: S3Store, key: str, file: CorpusFile) -> None:
        super().__init__()
        self._store, self._key, self._file = store, key, file
        self._position = 0
        self._tail_start = max(0, file.size - _TAIL_BYTES)
        self._tail: bytes | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = start + offset
        return self._position

    def size(self) -> int:
        return self._file.size

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._file.size - self._position)
        length = left if size is None or size < 0 else min(size, left)
        data = self._fetch(self._position, length) if length else b""
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _fetch(self, offset: int, length: int) -> bytes:
        if offset < self._tail_start:
            return self._range(offset, length)
        if self._tail is None:
            self._tail = self._range(self._tail_start, self._file.size - self._tail_start)
        return self._tail[offset - self._tail_start :][:length]

    def _range(self, offset: int, length: int) -> bytes:
        try:
            data = self._store.read_range(self._key, offset=offset, length=length, etag=self._file.version)
        except (ObjectChanged, ObjectMissing) as error:
            raise InputChanged(f"{self._file.uri} changed after the run was planned; start the run again") from error
        if len(data) != length:
            raise InputError(f"{self._file.uri}: {length} bytes asked for at {offset}, {len(data)} came")
        return data

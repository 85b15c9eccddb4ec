"""The bytes of a source file, from a folder or a bucket, decompressed, in bounded memory.

Counts the stored bytes that were read, for progress. Knows nothing of records. Callers: the readers.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, assert_never, cast

import pyarrow as pa

from halluc_ray.corpora.importing.sources import SourceFile
from halluc_ray.errors import InputChanged, InputError, ObjectChanged, ObjectMissing
from halluc_ray.storage.files import s3_bucket, verify_unchanged
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

if TYPE_CHECKING:
    from halluc_ray.storage.s3 import S3Store

_BLOCK_BYTES = 1 << 20
_REQUEST_BYTES = 8 << 20
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_UTF8_MARK = b"\xef\xbb\xbf"
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)

OnBytes = Callable[[int], None]


@contextmanager
def opened(source: SourceFile, *, on_bytes: OnBytes, encoding: str = "utf-8") -> Iterator[BinaryIO]:
    """The file as UTF-8 bytes (or whatever bytes it holds), read in sequence.

    Args:
        source: what to open.
        on_bytes: told how many stored bytes each read took.
        encoding: of text; what is not UTF-8 is turned into it on the way, a mark at the start is dropped.

    Raises:
        InputError: it can't be read or decompressed, or is in an encoding that was not said.
        InputChanged: it changed while it was read.
    """
    raw: io.BufferedReader[Any] = io.BufferedReader(_Counted(_stored(source), on_bytes), _BLOCK_BYTES)
    try:
        plain = _decompressed(raw, source)
        yield cast(BinaryIO, _as_utf8(plain, encoding, source))
    except _DAMAGED as error:
        verify_unchanged(source.file)
        raise InputError(
            f"{source.file.uri}: its {source.compression} compression is damaged or cut ({error}); copy it again"
        ) from error
    except OSError as error:
        verify_unchanged(source.file)
        raise InputError(f"{source.file.uri} can not be read: {error.strerror or error}") from error
    finally:
        raw.close()
    verify_unchanged(source.file)


def _stored(source: SourceFile) -> io.RawIOBase:
    match parse_uri(source.file.uri):
        case LocalPlace(path):
            return _open_local(path)
        case S3Place(bucket, key):
            store = s3_bucket(bucket, endpoint=source.file.endpoint, region=source.file.region)
            return _ObjectStream(store, key, source)
        case other:
            assert_never(other)


def _open_local(path: Path) -> io.RawIOBase:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror}; grant read access") from error


def _decompressed(raw: io.BufferedReader[Any], source: SourceFile) -> io.BufferedIOBase:
    match source.compression:
        case None:
            return raw
        case "gzip":
            return gzip.GzipFile(fileobj=raw)
        case "bz2":
            return bz2.BZ2File(raw)
        case "xz":
            return lzma.LZMAFile(raw)
        case _:
            return cast(io.BufferedIOBase, pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), source.compression))


def _as_utf8(plain: io.BufferedIOBase, encoding: str, source: SourceFile) -> io.BufferedIOBase:
    """A reader past the byte order mark; other encodings than UTF-8 are turned into it."""
    if source.format in ("parquet", "arrow"):
        return plain
    buffered: io.BufferedReader[Any] = io.BufferedReader(_Plain(plain), _BLOCK_BYTES)
    head = buffered.peek(4)[:4]
    if (wide := _UTF16.get(head[:2])) and codecs.lookup(encoding).name == "utf-8":
        raise InputError(f"{source.file.uri} is {wide.upper()} (it begins with {head[:2]!r}); say --encoding utf-16")
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii"):
        if head.startswith(_UTF8_MARK):
            buffered.read(len(_UTF8_MARK))
        return buffered
    return io.BufferedReader(_Recoded(buffered, encoding, source), _BLOCK_BYTES)


class _Counted(io.RawIOBase):
    """Tells how much was read of what is stored."""

    def __init__(self, inner: io.RawIOBase, on_bytes: OnBytes) -> None:
        super().__init__()
        self._inner, self._on_bytes = inner, on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._inner.readinto(buffer) or 0
        self._on_bytes(count)
        return count

    def close(self) -> None:
        self._inner.close()
        super().close()


class _Plain(io.RawIOBase):
    """A decompressor as a raw stream, so that one buffer serves all of them."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Recoded(io.RawIOBase):
    """Text of another encoding as UTF-8."""

    def __init__(self, inner: io.BufferedReader[Any], encoding: str, source: SourceFile) -> None:
        super().__init__()
        self._inner, self._encoding, self._source = inner, encoding, source
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._ready = b""
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            block = self._inner.read(_BLOCK_BYTES // 4)
            try:
                self._ready = self._decoder.decode(block, final=not block).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self._source.file.uri} is not {self._encoding}: {error.reason} near byte "
                    f"{self._offset + error.start}; say the right --encoding"
                ) from error
            self._offset += len(block)
            if not block:
                break
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


class _ObjectStream(io.RawIOBase):
    """A stored object, in order, some megabytes a request; each names the version that was listed."""

    def __init__(self, store: S3Store, key: str, source: SourceFile) -> None:
        super().__init__()
        self._store, self._key, self._source = store, key, source
        self._offset = 0
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._ready and self._offset < self._source.file.size:
            length = min(_REQUEST_BYTES, self._source.file.size - self._offset)
            try:
                self._ready = self._store.read_range(
                    self._key, offset=self._offset, length=length, etag=self._source.file.version
                )
            except (ObjectChanged, ObjectMissing) as error:
                raise InputChanged(f"{self._source.file.uri} changed while it was read; import it again") from error
            self._offset += len(self._ready)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

"""The images of a shard's rows as encoded bytes: those that stand in the corpus, and those that it points at.

Knows the forms a column may have, and where a path or URI leads from a corpus file; decodes no pixels.
Called by shard runs and the preview.
"""

from __future__ import annotations

import errno
import hashlib
import posixpath
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import pyarrow as pa

from halluc_ray.config import Store
from halluc_ray.engine.rows import ShardRows
from halluc_ray.errors import ObjectMissing, SpecError
from halluc_ray.records import Sample
from halluc_ray.storage.files import CorpusFile, s3_bucket
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

NULL, MISSING, UNDECODABLE = "null_image", "missing_image", "undecodable_image"
REFUSED, OVERSIZED = "refused_image", "oversized_image"
MAX_IMAGE_BYTES = 128 * 2**20
NOTE = "linked_images_sha256"
"""Of a commit whose rows point at images, which no corpus digest covers: sha256 over the images of its rows."""


_READERS = 8
_NOT_THERE = frozenset(
    [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP]
)
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class RowImages:
    """The images of a shard's rows.

    Attributes:
        rows: of each row its images, or why it has none; None where the system looks at none.
        linked: the corpus points at some of them.
    """

    rows: Sequence[tuple[bytes, ...] | str] | None = None
    linked: bool = False

    def note(self, samples: Sequence[Sample]) -> dict[str, str]:
        """What a commit says of images that the corpus points at; empty where it holds them all itself."""
        if not self.linked:
            return {}
        found = hashlib.sha256()
        for sample in samples:
            for image in sample.images:
                found.update(hashlib.sha256(image).digest())
        return {NOTE: found.hexdigest()}


def load_images(rows: ShardRows, file: CorpusFile, *, roles: Collection[str], store: Store) -> RowImages:
    """Images of each row, in their order; none are loaded for a system that does not look at them.

    A cell holds bytes, a path or URI, a struct of `bytes` and `path` (bytes first), or a list of any of
    these. A path without scheme starts at the corpus file's folder; what a bucket holds points at no
    file of this machine; any scheme but file:// and s3:// is refused.

    Args:
        rows: of one shard.
        file: the corpus file that holds them.
        roles: what the system reads of a row.
        store: how buckets are reached.

    Returns:
        Of each row its images, or a reason: `null_image` (none, or one of a list is null), `missing_image`,
        `refused_image`, `oversized_image`, `undecodable_image` (a path that is no UTF-8).

    Raises:
        StoreError: a bucket refuses, or does not answer.
        OSError: a disk does not answer.
    """
    column = rows.roles.get("image") if "image" in roles else None
    if column is None:
        return RowImages()
    cells = [_cell(column, position) for position in range(len(column))]
    links = dict.fromkeys(part for cell in cells if not isinstance(cell, str) for part in cell if isinstance(part, str))
    with ThreadPoolExecutor(_READERS) as pool:
        found = dict(zip(links, pool.map(lambda link: _follow(link, file, store), links), strict=True))
    return RowImages([cell if isinstance(cell, str) else _joined(cell, found) for cell in cells], bool(links))


def holds_links(kind: pa.DataType) -> bool:
    """Whether a column of images may point at them, instead of holding them.

    >>> holds_links(pa.list_(pa.string())), holds_links(pa.binary())
    (True, False)
    """
    if hasattr(kind, "value_type"):
        return holds_links(kind.value_type)
    texts = (pa.types.is_struct, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(kind) for is_kind in texts)


def _cell(column: pa.Array, position: int) -> list[bytes | str] | str:
    try:
        parts = list(_parts(column[position].as_py()))
    except UnicodeDecodeError:
        return UNDECODABLE
    if not parts or any(part is None for part in parts):
        return NULL
    return [part for part in parts if part is not None]


def _parts(value: Any) -> Iterator[bytes | str | None]:
    if isinstance(value, list):
        for part in value:
            yield from _parts(part)
    elif isinstance(value, dict):
        yield value["path"] if value["bytes"] is None else value["bytes"]
    else:
        yield value


def _joined(cell: Sequence[bytes | str], found: Mapping[str, bytes | _Reason]) -> tuple[bytes, ...] | str:
    images: list[bytes] = []
    for part in cell:
        image = found[part] if isinstance(part, str) else part
        if isinstance(image, _Reason):
            return str(image)
        if len(image) > MAX_IMAGE_BYTES:
            return OVERSIZED
        images.append(image)
    return tuple(images)


class _Reason(str):
    """Why a link leads nowhere."""

    __slots__ = ()


def _follow(link: str, file: CorpusFile, store: Store) -> bytes | _Reason:
    """Bytes behind a path or URI."""
    try:
        place = _place(link, parse_uri(file.uri))
    except SpecError:
        return _Reason(REFUSED)
    match place:
        case LocalPlace(path):
            return _read_file(path)
        case S3Place(bucket, key):
            objects = s3_bucket(bucket, endpoint=file.endpoint or store.endpoint, region=file.region or store.region)
            try:
                return objects.read_range(key, offset=0, length=MAX_IMAGE_BYTES + 1)
            except ObjectMissing:
                return _Reason(MISSING)
        case other:
            assert_never(other)


def _place(link: str, corpus: LocalPlace | S3Place) -> LocalPlace | S3Place:
    """Where a link leads from a corpus file; raises SpecError where it may not lead."""
    if _SCHEME.match(link):
        place = parse_uri(link)
        if isinstance(place, LocalPlace) and (isinstance(corpus, S3Place) or not link.startswith("file:")):
            raise SpecError(f"{link!r} leads from a bucket to this machine's files, or has an unknown scheme")
        return place
    if isinstance(corpus, LocalPlace):
        return LocalPlace(corpus.path.parent / link)
    key = posixpath.normpath(posixpath.join(posixpath.dirname(corpus.key), link))
    if key.startswith(("/", "../")):
        raise SpecError(f"{link!r} leads out of the bucket {corpus.bucket}")
    return S3Place(corpus.bucket, key)


def _read_file(path: Path) -> bytes | _Reason:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return _Reason(MISSING)
        return path.read_bytes() if about.st_size <= MAX_IMAGE_BYTES else _Reason(OVERSIZED)
    except ValueError:  # a NUL in the path
        return _Reason(MISSING)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return _Reason(MISSING)
        raise

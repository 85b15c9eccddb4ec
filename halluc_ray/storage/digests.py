"""Digests of corpus files: sha256 of the bytes, so that a file is the same file wherever it lies.

A local file is read once; its digest is cached by (path, size, mtime) under HALLUC_RAY_CACHE. On S3
the digest is the stored SHA-256; an object without one is known by its ETag. Caller: the plan.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import assert_never

from halluc_ray.config.cache import cache_folder
from halluc_ray.errors import InputChanged, InputError
from halluc_ray.storage.files import CorpusFile, s3_bucket, verify_unchanged
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

_HEX_DIGITS = 64
_SETTLED_NS = 100_000_000  # a file written less than this ago may be written again under the same mtime
_THREADS = 16


def file_digest(file: CorpusFile) -> str:
    """sha256 of the file's bytes in hex; `etag:<ETag>` for an object stored without a SHA-256.

    Raises:
        InputChanged: the file is no longer the one that was listed.
        InputError: it can't be read.
    """
    match parse_uri(file.uri):
        case LocalPlace(path):
            return _cached(file) or _read_and_cache(path, file)
        case S3Place(bucket, key):
            store = s3_bucket(bucket, endpoint=file.endpoint, region=file.region)
            return store.stored_sha256(key, etag=file.version) or f"etag:{file.version}"
        case other:
            assert_never(other)


def digests(files: Sequence[CorpusFile]) -> list[str]:
    """`file_digest` of each, in order, several at a time."""
    if not files:
        return []
    with ThreadPoolExecutor(max_workers=min(_THREADS, len(files))) as pool:
        return list(pool.map(file_digest, files))


def has_cached_digest(file: CorpusFile) -> bool:
    """Whether `file_digest` answers without reading the file's bytes."""
    return isinstance(parse_uri(file.uri), S3Place) or _cached(file) is not None


def _entry(file: CorpusFile) -> Path:
    known_as = hashlib.sha256(os.fsencode(f"{file.uri}\0{file.size}\0{file.version}")).hexdigest()
    return cache_folder() / "digests" / known_as[:2] / known_as


def _cached(file: CorpusFile) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):  # the cache saves time only: without it the file is read
        text = _entry(file).read_text("ascii")
        if len(text) == _HEX_DIGITS:
            return text
    return None


def _read_and_cache(path: Path, file: CorpusFile) -> str:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputChanged(f"{file.uri} was removed after it was listed; put it back and run again") from error
    except OSError as error:
        raise InputError(f"{file.uri} can not be read: {error.strerror}; grant read access") from error
    verify_unchanged(file)
    if time.time_ns() - int(file.version) > _SETTLED_NS:
        with contextlib.suppress(OSError):
            _write_entry(_entry(file), found)
    return found


def _write_entry(entry: Path, found: str) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = entry.with_name(f"{entry.name}.{secrets.token_hex(4)}")
    temporary.write_text(found, "ascii")
    temporary.replace(entry)

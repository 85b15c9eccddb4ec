"""Digests of corpus files: sha256 of the bytes, so that a file is the same file wherever it lies.

A local file is read once; its digest is cached by (path, size, mtime). On S3
the digest is the stored SHA-256; an object without one is known by its ETag. Caller: the plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import assert_never

from halluc_ray.config.digest_cache import KnownFile, cached_digest
from halluc_ray.errors import InputChanged, InputError
from halluc_ray.storage.files import CorpusFile, s3_bucket, verify_unchanged
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

_THREADS = 16


def file_digest(file: CorpusFile) -> str:
    """sha256 of the file's bytes in hex; `etag:<ETag>` for an object stored without a SHA-256.

    Raises:
        InputChanged: the file is no longer the one that was listed.
        InputError: it can't be read.
    """
    match parse_uri(file.uri):
        case LocalPlace(path):
            known = KnownFile(file.uri, file.size, file.version, written_ns=int(file.version))
            return cached_digest(known, lambda: _read(path, file))
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


def _read(path: Path, file: CorpusFile) -> str:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputChanged(f"{file.uri} was removed after it was listed; put it back and run again") from error
    except OSError as error:
        raise InputError(f"{file.uri} can not be read: {error.strerror}; grant read access") from error
    verify_unchanged(file)
    return found

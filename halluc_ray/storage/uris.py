"""What a user writes for a place, and what it stands for: a local path, or a bucket and a key.

Knows spelling only, touches nothing. Callers: `open_store`, `files`.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from halluc_ray.errors import SpecError

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/+")
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_ALLOWED = "a path (./out, /data/out), file:///data/out or s3://bucket/prefix"

_MAX_PATH_BYTES = 4096
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A path on a file system that every node sees."""

    path: Path


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket and a key or prefix in it, without slashes at its ends."""

    bucket: str
    key: str


def parse_uri(uri: str) -> LocalPlace | S3Place:
    """The place that a URI names. Local paths come back absolute.

    Raises:
        SpecError: an unknown scheme, no bucket, a host in a file URI.

    >>> parse_uri("s3://evals/nightly/")
    S3Place(bucket='evals', key='nightly')
    """
    if not uri.strip() or "\0" in uri:
        raise SpecError(f"{uri!r} names no place; write {_ALLOWED}")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return LocalPlace(_absolute(uri))
    match scheme.group(1).lower():
        case "file":
            return _local(uri)
        case "s3":
            return _s3(uri)
        case other:
            near = difflib.get_close_matches(other, ["s3", "file"], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}://?" if near else ""
            raise SpecError(f"{uri!r}: no store for scheme {other!r}; write {_ALLOWED}{hint}")


def _absolute(path: str) -> Path:
    try:
        found = Path(os.path.normpath(Path(path).expanduser().absolute()))
    except RuntimeError as error:  # pathlib's way to say that there is no such user
        raise SpecError(f"{path!r}: whose home folder `~` means is not known; write the whole path") from error
    if len(os.fsencode(found)) >= _MAX_PATH_BYTES or any(len(os.fsencode(p)) > _MAX_NAME_BYTES for p in found.parts):
        raise SpecError(
            f"{path[:60]!r}...: a path has at most {_MAX_PATH_BYTES - 1} bytes and a name in it at most "
            f"{_MAX_NAME_BYTES}; write a shorter one"
        )
    return found


def _local(uri: str) -> LocalPlace:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise SpecError(f"{uri!r} names the host {parts.netloc!r}; a local path is file:///{parts.netloc}{parts.path}")
    return LocalPlace(Path(unquote(parts.path)))


def _s3(uri: str) -> S3Place:
    bucket, _, key = uri.partition("//")[2].partition("/")
    if not _BUCKET.match(bucket):
        raise SpecError(
            f"{uri!r}: {bucket!r} is no bucket name (3 to 63 of a-z, 0-9, '.', '-'); write s3://bucket/prefix"
        )
    return S3Place(bucket, key.strip("/"))

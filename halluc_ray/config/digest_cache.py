"""Digests of files already read, kept on this machine: read a file once, know it until it changes.

Knows places, sizes and versions; does not know what the files hold, nor how they are read. The cache
saves time only: without it, or with a damaged entry, the file is read. Callers: digests of corpus
files (`storage`), digests of checkpoints (`models`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from halluc_ray.config.cache import cache_folder

_HEX_DIGITS = 64
_SETTLED_NS = 100_000_000  # a file written less than this ago may be written again under the same time


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One state of one file.

    Attributes:
        place: path or URI.
        size: bytes.
        version: changes with the bytes, such as an ETag or a modification time.
        written_ns: modification time, where the version is no more than that; None where every write has
            a version of its own.
    """

    place: str
    size: int
    version: str
    written_ns: int | None = None


def cached_digest(file: KnownFile, read: Callable[[], str], *, cache: Path | None = None) -> str:
    """The file's digest: as kept, else as read now.

    A file that had just been written when it was read is not kept: a later write could leave size and
    time as they are.

    Args:
        file: the state that the digest is of.
        read: makes the digest, sha256 in hex, from the bytes.
        cache: root of the cache; default: `cache_folder()`.

    Raises:
        Exception: whatever `read` raises; nothing is kept then.
    """
    entry = _entry(file, cache)
    kept = _kept(entry)
    if kept is not None:
        return kept
    settled = file.written_ns is None or time.time_ns() - file.written_ns > _SETTLED_NS
    found = read()
    if settled:
        with contextlib.suppress(OSError):
            _keep(entry, found)
    return found


def _entry(file: KnownFile, cache: Path | None) -> Path:
    known_as = hashlib.sha256(os.fsencode(f"{file.place}\0{file.size}\0{file.version}")).hexdigest()
    return (cache or cache_folder()) / "digests" / known_as[:2] / known_as


def _kept(entry: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = entry.read_text("ascii")
        if len(text) == _HEX_DIGITS:
            return text
    return None


def _keep(entry: Path, found: str) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = entry.with_name(f"{entry.name}.{secrets.token_hex(4)}")
    temporary.write_text(found, "ascii")
    temporary.replace(entry)

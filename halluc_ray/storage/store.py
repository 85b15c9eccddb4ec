"""The object store, as the rest of the house sees it.

Keys are slash-separated and relative to the store's root. A store is the truth of a run: its
create-only put is what makes a commit. Callers: commits, Parquet reading, reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object.

    Attributes:
        key: relative to the store's root.
        size: in bytes.
        etag: changes whenever the bytes do.
        modified: when it was written, Unix seconds by the store's clock; None where the call does not say
            (`list` and `info` do). No part of equality.
    """

    key: str
    size: int
    etag: str
    modified: float | None = field(default=None, compare=False)


class ObjectStore(Protocol):
    """What a store must do. Every call is bounded in time.

    Raises (every method): StoreUnavailable (retryable) when the store does not answer after the
    store's own retries; StoreError when it refuses.
    """

    @property
    def uri(self) -> str:
        """Root of the store, as a user would write it."""

    def read(self, key: str) -> bytes:
        """The whole object. Raises ObjectMissing."""

    def read_range(self, key: str, *, offset: int, length: int, etag: str | None = None) -> bytes:
        """`length` bytes from `offset` (fewer at the end).

        Raises ObjectMissing; ObjectChanged where `etag` is given and is no longer the object's.
        """

    def info(self, key: str) -> ObjectInfo | None:
        """Size and ETag, or None where there is no such object."""

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """Write or replace, atomically: a reader sees the old bytes or the new ones."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Create the object, durably; False, and nothing written, where the key exists."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in byte order of the keys."""

    def delete(self, key: str) -> None:
        """Remove the object; no error where there is none."""

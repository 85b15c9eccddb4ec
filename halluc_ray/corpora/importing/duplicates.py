"""How many ids occur more than once, in bounded memory: hashes go to buckets on disk, one bucket is counted at a time.

Knows ids only. Caller: the import.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
import xxhash

_BUCKETS: Final = 64
_HELD = 1 << 12
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found.

    Attributes:
        rows: rows whose id another row has before them.
        examples: some such ids.
    """

    rows: int
    examples: tuple[str, ...] = ()


class IdHashes:
    """64-bit hashes of ids, in bucket files by their highest bits."""

    def __init__(self, folder: Path) -> None:
        """The folder is this object's own."""
        folder.mkdir()
        self._folder = folder
        self._held = [array("Q") for _ in range(_BUCKETS)]

    def add(self, id: str) -> None:
        """Take one id."""
        value = xxhash.xxh3_64_intdigest(id.encode())
        bucket = value >> 58
        held = self._held[bucket]
        held.append(value)
        if len(held) >= _HELD:
            self._write(bucket)

    def count(self, parts: list[Path]) -> Duplicates:
        """Rows whose id was there before, and examples, which are looked up in the written files."""
        rows, examples = 0, set[int]()
        for bucket in range(_BUCKETS):
            self._write(bucket)
            path = self._folder / str(bucket)
            if not path.exists():
                continue
            values, counts = np.unique(np.fromfile(path, dtype=np.uint64), return_counts=True)
            rows += int((counts - 1).sum())
            if len(examples) < _EXAMPLES:
                examples.update(int(value) for value in values[counts > 1][:_EXAMPLES])
            path.unlink()
        return Duplicates(rows, _spelled(examples, parts) if rows else ())

    def _write(self, bucket: int) -> None:
        held = self._held[bucket]
        if held:
            with (self._folder / str(bucket)).open("ab") as file:
                held.tofile(file)
            self._held[bucket] = array("Q")


def _spelled(hashes: set[int], parts: list[Path]) -> tuple[str, ...]:
    found: dict[int, str] = {}
    wanted = set(sorted(hashes)[:_EXAMPLES])
    for path in parts:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["id"]):
                for id in batch.column(0).to_pylist():
                    value = xxhash.xxh3_64_intdigest(id.encode())
                    if value in wanted:
                        found.setdefault(value, id)
                if len(found) == len(wanted):
                    return tuple(sorted(found.values()))
    return tuple(sorted(found.values()))

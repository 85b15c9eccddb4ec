"""Cut a corpus into shards and name them.

Pure. A cut depends on its file and on the shard size alone, so an appended file costs its own
shards and no others. Called by the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from halluc_ray.config import digest
from halluc_ray.records import Shard, ShardSource

SHARD_ROWS = {
    "recorded": 65_536,
    "sequence-classification": 2_048,
    "embedder": 2_048,
    "dual-encoder": 1_024,
    "causal-lm": 256,
    "seq2seq-lm": 256,
    "choices": 256,
    "image-text-to-text": 256,
    "endpoint": 256,
}
"""`engine.shard_rows: auto`, by kind of system."""


def cut(file: str, group_rows: Sequence[int], *, shard_rows: int) -> Iterator[ShardSource]:
    """Cut one file: neighbouring small row groups together, a large one in slices.

    Args:
        file: the file's digest.
        group_rows: rows of each row group.
        shard_rows: most rows of a shard.

    Yields:
        Sources in file order; together they hold every row once.

    >>> [(s.group_start, s.group_stop, s.row_start, s.row_stop) for s in cut("f", [2, 2, 5], shard_rows=4)]
    [(0, 2, 0, 4), (2, 3, 0, 4), (2, 3, 4, 5)]
    """
    start, held = 0, 0
    for group, rows in enumerate(group_rows):
        if held and held + rows > shard_rows:
            yield ShardSource(file, start, group, 0, held)
            start, held = group, 0
        if rows > shard_rows:
            for row in range(0, rows, shard_rows):
                yield ShardSource(file, group, group + 1, row, min(row + shard_rows, rows))
            start = group + 1
        else:
            held += rows
    if held:
        yield ShardSource(file, start, len(group_rows), 0, held)


def shard_of(source: ShardSource, selection: dict[str, Any]) -> Shard:
    """Name a source under a selection (where, sample, limit's bound, on_bad_row)."""
    place = [source.file, source.group_start, source.group_stop, source.row_start, source.row_stop]
    return Shard(digest({"source": place, "selection": selection}), source)


def read_amplification(sources: Sequence[ShardSource], group_rows: dict[str, Sequence[int]]) -> float:
    """Rows decoded over rows planned, if every shard were read by another actor. 1.0 for an empty plan."""
    planned = sum(source.num_rows for source in sources)
    decoded = sum(sum(group_rows[s.file][s.group_start : s.group_stop]) for s in sources)
    return decoded / planned if planned else 1.0

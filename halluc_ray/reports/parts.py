"""Reading what the count stages of a run have committed.

Knows the commit protocol and that every shard must be there; does not know what the parts hold.
Memory: one marker per shard, and a bounded window of parts. Callers: `reduce`, `duplicates`,
`samples`, `files`, `exporting`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from halluc_ray.errors import RunIncomplete
from halluc_ray.records import Commit
from halluc_ray.records.runs import RunRecord
from halluc_ray.storage import commits as protocol
from halluc_ray.storage.store import ObjectStore

T = TypeVar("T")

_THREADS = 16
_WINDOW = 64


@dataclass(frozen=True, slots=True)
class CountCommits:
    """The markers of a run's count stages: stage name -> commits in shard order."""

    by_stage: Mapping[str, Sequence[Commit]]


def read_count_commits(store: ObjectStore, record: RunRecord) -> CountCommits:
    """Markers of every count stage of the run.

    Raises:
        RunIncomplete: shards are not committed; says how many, of which stage.
    """
    by_stage: dict[str, Sequence[Commit]] = {}
    for system in record.systems:
        if system.count in by_stage:
            continue
        wanted = [shard.key for shard in record.shards(system)]
        done = protocol.committed(store, system.count)
        missing = [key for key in wanted if key not in done]
        if missing:
            raise RunIncomplete(
                f"system {system.name or system.name_from!r}: {len(missing)} of {len(wanted)} shards of stage "
                f"{system.count} are not committed in {store.uri} (the first: {missing[0]}); "
                "give the same run command again, it does what is missing"
            )
        by_stage[system.count] = read_commits(store, system.count, wanted)
    return CountCommits(by_stage)


def read_commits(store: ObjectStore, stage: str, shards: Sequence[str]) -> list[Commit]:
    """Markers of the shards, in their order. Raises ObjectMissing where there is none."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda shard: protocol.read_commit(store, stage, shard), shards))


def iter_parts(
    store: ObjectStore, stage: str, commits: Sequence[Commit], *, part: str = "", window: int = _WINDOW
) -> Iterator[bytes]:
    """Bytes of one part of each commit, in order, at most `window` of them read ahead."""
    yield from _read_ahead(lambda commit: protocol.read_part(store, stage, commit, part), commits, window)


def iter_committed(store: ObjectStore, stage: str, shards: Sequence[str], *, window: int = _WINDOW) -> Iterator[bytes]:
    """Bytes of the main part of each shard, in order, markers read on the way. Raises ObjectMissing without one."""

    def read(shard: str) -> bytes:
        return protocol.read_part(store, stage, protocol.read_commit(store, stage, shard))

    yield from _read_ahead(read, shards, window)


def _read_ahead(read: Callable[[T], bytes], things: Sequence[T], window: int) -> Iterator[bytes]:
    pool = ThreadPoolExecutor(min(window, _THREADS))
    try:
        ahead: deque[Future[bytes]] = deque()
        for thing in things:
            ahead.append(pool.submit(read, thing))
            if len(ahead) >= window:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

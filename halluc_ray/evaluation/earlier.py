"""What earlier commands of a run have counted, read beside the work, so that a resumed run shows all of it.

The report does not stand on it: reduce reads the counts itself, and fails where they can't be read. Knows
stores and count stages, no Ray. Called by `running`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Self

import pyarrow as pa

from halluc_ray.engine.plan import Plan
from halluc_ray.engine.shard_counts import COUNTS_PART, Outcomes, outcomes_of
from halluc_ray.engine.tally import Tally
from halluc_ray.errors import HallucRayError
from halluc_ray.reports.parts import iter_parts, read_commits
from halluc_ray.storage import ObjectStore
from halluc_ray.storage.parquet import decode

_PATIENCE_S = 10.0


class EarlierCounts:
    """Reads the counts of shards that were committed before, on a thread of its own.

    Args:
        store: where the stages lie.
        plan: the plan.
        done: stage name -> shards that were committed when the command began to work.
    """

    def __init__(self, store: ObjectStore, plan: Plan, done: Mapping[str, frozenset[str]]) -> None:
        self._store = store
        self._shards: dict[str, list[str]] = {}
        for system in plan.context.systems:
            name = system.count.name
            wanted = dict.fromkeys(shard.key for shard in plan.shards(system))
            self._shards[name] = [shard for shard in wanted if shard in done[name]]
        self._unread = sum(map(len, self._shards.values()))
        self._read: queue.SimpleQueue[tuple[str, str, Outcomes]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="earlier-counts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(timeout=_PATIENCE_S)

    def add_to(self, tally: Tally) -> None:
        """Add what was read since the last call."""
        while not self._read.empty():
            tally.count(*self._read.get())
            self._unread -= 1
        tally.vitals.unread = self._unread

    def add_rest(self, tally: Tally) -> None:
        """Wait a little for what is still to be read, then add it."""
        self._thread.join(timeout=_PATIENCE_S)
        self.add_to(tally)

    def _run(self) -> None:
        for stage, shards in self._shards.items():
            try:
                commits = read_commits(self._store, stage, shards)
                for shard, data in zip(shards, iter_parts(self._store, stage, commits, part=COUNTS_PART), strict=True):
                    self._read.put((stage, shard, outcomes_of(decode(data))))
                    if self._stop.is_set():
                        return
            except (HallucRayError, OSError, pa.ArrowInvalid):
                continue  # they stay among the unread ones

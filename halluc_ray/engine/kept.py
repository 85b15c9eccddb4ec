"""Answers that were paid for, kept in the store until their shard is committed.

They lie among the parts of the generate stage, as a part named `answers` of an attempt that will never
win, so that sweeping a committed shard removes what was forgotten. No Ray. Called by shard runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from halluc_ray.errors import StoreError
from halluc_ray.models.endpoint.purse import COST_NOTE
from halluc_ray.models.execution import units_table
from halluc_ray.storage import ObjectStore, commits, keys, parquet

ANSWERS_PART = "answers"
_READERS = 16


class Costs:
    """What the committed shards of stages cost, each marker read once."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: dict[str, dict[str, int]] = {}

    def of(self, stage: str) -> dict[str, int]:
        """Shard -> millionths, for every committed shard of a stage."""
        known = self._known.setdefault(stage, {})
        new = sorted(commits.committed(self._store, stage) - known.keys())
        with ThreadPoolExecutor(_READERS) as pool:
            for commit in pool.map(lambda shard: commits.read_commit(self._store, stage, shard), new):
                known[commit.shard] = int(commit.notes.get(COST_NOTE, 0))
        return known


class KeptAnswers:
    """The finished answers of one shard of one stage; see `models.endpoint.generator.Kept`."""

    def __init__(self, store: ObjectStore, stage: str, shard: str, *, costs: Costs) -> None:
        self._store = store
        self._stage = stage
        self._shard = shard
        self._costs = costs
        self._key = keys.part_key(stage, shard, secrets.token_hex(6), ANSWERS_PART)

    def recall(self) -> pa.Table:
        """Units that earlier tries kept, each once.

        Raises:
            StoreError: an object is damaged.
        """
        return self._merged(self._keys(self._shard))

    def keep(self, units: pa.Table) -> None:
        """Keep these, in place of those kept before."""
        if units.num_rows:
            self._store.put(self._key, parquet.encode(units))
            self._forget(but=self._key)

    def spent(self, cost: Callable[[pa.Table], float]) -> float:
        """What the stage has cost so far: its commits, and what is kept of shards that have none."""
        committed = self._costs.of(self._stage)
        open_shards: dict[str, list[str]] = {}
        for key in self._keys():
            shard = key.rsplit("/", 1)[-1].split(".")[0]
            if shard not in committed:
                open_shards.setdefault(shard, []).append(key)
        return sum(committed.values()) + sum(cost(self._merged(found)) for found in open_shards.values())

    def forget(self) -> None:
        """The shard is committed: its answers are in its part."""
        self._forget(but=None)

    def _forget(self, *, but: str | None) -> None:
        for key in self._keys(self._shard):
            if key != but:
                self._store.delete(key)

    def _keys(self, shard: str = "") -> list[str]:
        prefix = keys.parts_prefix(self._stage, shard)
        return [info.key for info in self._store.list(prefix) if info.key.endswith(f".{ANSWERS_PART}.parquet")]

    def _merged(self, found: list[str]) -> pa.Table:
        units = {}
        for key in found:
            try:
                table = parquet.decode(self._store.read(key))
            except pa.ArrowInvalid as error:
                raise StoreError(f"{self._store.uri}/{key} is damaged ({error}); delete it to ask again") from error
            for unit in table.to_pylist():
                units[unit["row"], unit["draw"]] = unit
        return units_table(list(units.values()))

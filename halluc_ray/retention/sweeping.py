"""Free what was marked long enough ago: say so, look once more, delete in an order that readers survive.

Stages and runs go in batches. Each batch is announced (`storage.condemned`), then who is kept is looked up
again, then what is still needed by nobody is deleted: of a stage its commit markers first, so that no reader
meets a commit without its part; downstream stages before upstream ones; a run after its stages. Deleting
stops when the look is too old, and a new notice and a new look follow. Killed anywhere, the next call goes on.
Called by `collecting`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from halluc_ray.errors import ObjectMissing
from halluc_ray.records import StageKind
from halluc_ray.retention.contents import winner
from halluc_ray.retention.garbage import Garbage, Reason, attempt_of
from halluc_ray.retention.kept import Keeper, Needs
from halluc_ray.retention.marks import Marked
from halluc_ray.storage import ObjectInfo, ObjectStore, keys
from halluc_ray.storage.condemned import FREEING_S, condemned

_THREADS = 16
_BATCH_OBJECTS = 5_000
_BATCH_NAMES = 500
_BATCH_PARTS = 1_000
_DOWNSTREAM_FIRST = (StageKind.COUNT, StageKind.SCORE, StageKind.GENERATE)


class _LookIsOld(Exception):
    """Too long ago to delete anything on its word."""


class _Until:
    """How long a look holds. The wall's clock counts too: it goes on while a machine sleeps."""

    def __init__(self) -> None:
        self._monotonic, self._wall = time.monotonic() + FREEING_S, time.time() + FREEING_S

    @property
    def is_over(self) -> bool:
        """Nothing may be deleted any more on its word."""
        return time.monotonic() > self._monotonic or time.time() > self._wall


class Sweeper:
    """Frees garbage of one store.

    Args:
        store: the store.
        keeper: looks at who is kept.
        on_deleted: told each object that is gone.
    """

    def __init__(self, store: ObjectStore, *, keeper: Keeper, on_deleted: Callable[[], None]) -> None:
        self._store = store
        self._keeper = keeper
        self._on_deleted = on_deleted
        self._gone: set[str] = set()

    def sweep(self, ripe: Collection[Marked]) -> Iterator[tuple[Marked, Garbage]]:
        """Free what is still garbage.

        Args:
            ripe: whose marks are old enough; stages before the runs that named them.

        Yields:
            Each, with what of it was freed: without objects where it is needed again.

        Raises:
            StoreError: what was deleted before stays so, and the next call goes on.
        """
        for entry in ripe:
            if not entry.garbage.is_whole:
                yield entry, self._free_attempts(entry)
        for batch in _batches(sorted((entry for entry in ripe if entry.garbage.is_whole), key=_order)):
            yield from self._sweep_batch(batch)

    def _sweep_batch(self, batch: list[Marked]) -> Iterator[tuple[Marked, Garbage]]:
        left = list(batch)
        while left:
            with condemned(self._store, _names_of(left)):
                needs = self._keeper.look()
                until = _Until()
                try:
                    while left:
                        freed = self._free_whole(left[0], needs, until)
                        yield left.pop(0), freed
                except _LookIsOld:
                    continue

    def _free_whole(self, entry: Marked, needs: Needs, until: _Until) -> Garbage:
        garbage = entry.garbage
        if garbage.reason is Reason.STAGE:
            needed = garbage.name in needs.stages
            steps = _steps_of_stage(garbage)
        else:
            needed = needs.keeps_run(garbage.name)
            steps = [self._pointers(garbage), *_steps_of_run(garbage)]
        if not needed:
            for step in steps:
                self._delete(step, until=until)
        self._unmark(entry)
        return Garbage(garbage.reason, garbage.name, () if needed else garbage.objects)

    def _free_attempts(self, entry: Marked) -> Garbage:
        """Without the parts that a marker has come to name since they were listed."""
        garbage, freed = entry.garbage, list[ObjectInfo]()
        for start in range(0, len(garbage.objects), _BATCH_PARTS):
            chunk = garbage.objects[start : start + _BATCH_PARTS]
            shards = sorted({attempt_of(info.key)[0] for info in chunk})
            with ThreadPoolExecutor(_THREADS) as pool:
                won = set(zip(shards, pool.map(lambda s: winner(self._store, garbage.name, s), shards), strict=True))
            losing = [info for info in chunk if attempt_of(info.key) not in won]
            self._delete([info.key for info in losing], until=None)
            freed += losing
        self._unmark(entry)
        return Garbage(garbage.reason, garbage.name, tuple(freed))

    def _pointers(self, garbage: Garbage) -> list[str]:
        """Pointers of specs that still lead to the run."""
        return [
            info.key for info in garbage.objects if is_pointer(info) and points_to(self._store, info) == garbage.name
        ]

    def _unmark(self, entry: Marked) -> None:
        if entry.key is not None:
            self._store.delete(entry.key)

    def _delete(self, found: Iterable[str], *, until: _Until | None) -> None:
        def delete(key: str) -> str:
            if until is not None and until.is_over:
                raise _LookIsOld
            self._store.delete(key)
            return key

        pool = ThreadPoolExecutor(_THREADS)
        try:
            for key in pool.map(delete, [key for key in found if key not in self._gone]):
                self._gone.add(key)
                self._on_deleted()
        finally:
            pool.shutdown(cancel_futures=True)


def is_pointer(info: ObjectInfo) -> bool:
    """It leads from a spec to a run."""
    return info.key.startswith("specs/")


def points_to(store: ObjectStore, pointer: ObjectInfo) -> str:
    """The run that a spec's pointer leads to; empty where it is gone or leads nowhere."""
    try:
        return str(json.loads(store.read(pointer.key))["run_id"])
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return ""


def _order(entry: Marked) -> tuple[int, str]:
    garbage = entry.garbage
    if garbage.reason is Reason.RUN:
        return len(_DOWNSTREAM_FIRST), garbage.name
    return _DOWNSTREAM_FIRST.index(StageKind(garbage.name.partition("-")[0])), garbage.name


def _batches(entries: Iterable[Marked]) -> Iterator[list[Marked]]:
    batch: list[Marked] = []
    held = 0
    for entry in entries:
        size = len(entry.garbage.objects)
        if batch and (held + size > _BATCH_OBJECTS or len(batch) >= _BATCH_NAMES):
            yield batch
            batch, held = [], 0
        batch.append(entry)
        held += size
    if batch:
        yield batch


def _names_of(entries: Iterable[Marked]) -> set[str]:
    """Stages, runs and specs, as a run that starts names them."""
    names = set()
    for entry in entries:
        names.add(entry.garbage.name)
        pointers = (info.key for info in entry.garbage.objects if is_pointer(info))
        names |= {key.removeprefix("specs/").removesuffix(".json") for key in pointers}
    return names


def _steps_of_stage(garbage: Garbage) -> Sequence[list[str]]:
    """Commit markers, then parts, then what is left, and last what the stage was."""
    found = [info.key for info in garbage.objects]
    markers = [key for key in found if key.startswith(keys.commits_prefix(garbage.name))]
    parts = [key for key in found if key.startswith(keys.parts_prefix(garbage.name))]
    last = [key for key in found if key == keys.stage_key(garbage.name)]
    return [markers, parts, sorted(set(found) - {*markers, *parts, *last}), last]


def _steps_of_run(garbage: Garbage) -> Sequence[list[str]]:
    """Its record last: as long as that is there, the run can be made again."""
    files = [info.key for info in garbage.objects if not is_pointer(info)]
    record = keys.run_key(garbage.name, "run.json")
    return [[key for key in files if key != record], [key for key in files if key == record]]

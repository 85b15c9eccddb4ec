"""What lies under `stages/`, and which attempts in there lost or never ended.

Knows keys, commits and answers that were paid for; not which stages are needed. Called by `collecting`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from halluc_ray.engine.kept import ANSWERS_PART
from halluc_ray.errors import StoreError, StoreUnavailable
from halluc_ray.records import StageKind
from halluc_ray.retention.garbage import Garbage, Reason, attempt_of
from halluc_ray.storage import ObjectInfo, ObjectStore, commits, keys

READERS = 16
STAGE_NAME = rf"(?:{'|'.join(StageKind)})-[0-9a-f]{{32}}"
_STAGE_KEY = re.compile(
    rf"^stages/({STAGE_NAME})/(?:stage\.json|heartbeat\.json|commits/[^/]+\.json|parts/[^/.]+\.[^/.]+(?:\.[^/]+)?\.parquet)$"
)


@dataclass(frozen=True, slots=True)
class StageContents:
    """The objects of one stage, in byte order of their keys."""

    name: str
    objects: Sequence[ObjectInfo]

    @property
    def heartbeat(self) -> ObjectInfo | None:
        """Somebody's sign of life, where one was left."""
        key = keys.heartbeat_key(self.name)
        return next((info for info in self.objects if info.key == key), None)

    @property
    def committed(self) -> set[str]:
        """Keys of its committed shards."""
        prefix = keys.commits_prefix(self.name)
        found = (info.key.removeprefix(prefix) for info in self.objects if info.key.startswith(prefix))
        return {name.removesuffix(".json") for name in found}

    @property
    def parts(self) -> dict[str, dict[str, list[ObjectInfo]]]:
        """Shard -> attempt -> parts."""
        found: dict[str, dict[str, list[ObjectInfo]]] = {}
        prefix = keys.parts_prefix(self.name)
        for info in self.objects:
            if info.key.startswith(prefix):
                shard, attempt = attempt_of(info.key)
                found.setdefault(shard, {}).setdefault(attempt, []).append(info)
        return found


def list_stages(store: ObjectStore, *, on_progress: Callable[[int, int], None]) -> Mapping[str, StageContents]:
    """Every stage, by name. Objects whose keys are not ours are passed over.

    Args:
        store: the store.
        on_progress: told listings done, and listings in all.
    """
    prefixes = [f"stages/{kind}-{digit}" for kind in StageKind for digit in "0123456789abcdef"]
    found: dict[str, list[ObjectInfo]] = {}
    with ThreadPoolExecutor(READERS) as pool:
        for done, listed in enumerate(pool.map(lambda prefix: list(store.list(prefix)), prefixes), start=1):
            for info in listed:
                if match := _STAGE_KEY.match(info.key):
                    found.setdefault(match[1], []).append(info)
            on_progress(done, len(prefixes))
    return {name: StageContents(name, objects) for name, objects in found.items()}


def lost_attempts(store: ObjectStore, stage: StageContents) -> Iterator[Garbage]:
    """Parts in a stage that no commit names.

    Finished answers of a shard without a commit are none: they were paid for, and the next try reads them.
    """
    committed = stage.committed
    parts = stage.parts
    contested = [shard for shard, attempts in parts.items() if shard in committed and len(attempts) > 1]
    with ThreadPoolExecutor(READERS) as pool:
        winners = dict(zip(contested, pool.map(lambda shard: winner(store, stage.name, shard), contested), strict=True))
    lost = [
        info
        for shard, won in winners.items()
        if won is not None
        for attempt, found in parts[shard].items()
        if attempt != won
        for info in found
    ]
    open_shards = parts.keys() - committed
    unfinished = [info for shard in sorted(open_shards) for found in parts[shard].values() for info in found]
    unfinished = [info for info in unfinished if not info.key.endswith(f".{ANSWERS_PART}.parquet")]
    if lost:
        yield Garbage(Reason.LOST, stage.name, tuple(lost))
    if unfinished:
        yield Garbage(Reason.UNFINISHED, stage.name, tuple(unfinished))


def winner(store: ObjectStore, stage: str, shard: str) -> str | None:
    """The attempt that a shard's marker names; None where there is none, or none that can be read."""
    try:
        return commits.read_commit(store, stage, shard).attempt
    except StoreUnavailable:
        raise
    except StoreError:
        return None

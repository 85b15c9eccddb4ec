"""Which runs are kept, and so which stages are needed.

Conservative: whatever looks like the name of a stage or a run in a record that counts is taken for one, so
that a record of another version keeps what it names. A run whose age the store does not tell is kept. Knows
keys; called by `collecting` and, for the last look before something is freed, by `sweeping`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from halluc_ray.engine.heartbeat import read_beat
from halluc_ray.errors import ObjectMissing, StoreError
from halluc_ray.retention.contents import READERS, STAGE_NAME, StageContents
from halluc_ray.storage import ObjectInfo, ObjectStore, keys

LIVING_S = 3600.0
"""A driver beats every few seconds; one whose last beat is older than this is gone."""

_RUN_FILE = re.compile(r"^runs/([0-9a-f]{16})/.+$")
_NAMES_RUNS = re.compile(r"^suites/(?P<suite>[^/]+)/(nights/(?P<date>\d{4}-\d{2}-\d{2})?|releases/)[^/]+$")
_STAGES = re.compile(rf"\b{STAGE_NAME}\b".encode())
_RUNS = re.compile(rb"\b[0-9a-f]{16}\b")


class Why(StrEnum):
    """Why a run is kept."""

    LIVING = "living"
    YOUNG = "young"
    NIGHT = "night"
    RELEASE = "release"
    UNKNOWN_AGE = "age not known"


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder.

    Attributes:
        run_id: of the run.
        files: what lies in it.
        stages: that its record names.
        why: why it is kept; empty where it is not.
    """

    run_id: str
    files: tuple[ObjectInfo, ...]
    stages: frozenset[str]
    why: tuple[Why, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a look at the store found.

    Attributes:
        runs: every run, by id.
        stages: those that a kept run or a living driver needs, with all that they are made from.
    """

    runs: Mapping[str, Run]
    stages: frozenset[str]

    def keeps_run(self, run_id: str) -> bool:
        """The run is there and kept."""
        return run_id in self.runs and bool(self.runs[run_id].why)


class Keeper:
    """Looks at runs, nights and releases; what does not change is read once.

    Args:
        store: the store.
        keep_s: a run is kept for so long after its last sign, in seconds.
        nights_s: a night keeps its runs for so long after its scheduled date, in seconds; None: for good.
        now: Unix seconds by the store's clock.
        beating: stage that a living driver works on -> id of its run; see `beating_stages`.
    """

    def __init__(
        self, store: ObjectStore, *, keep_s: float, nights_s: float | None, now: float, beating: Mapping[str, str]
    ) -> None:
        self._store = store
        self._oldest = now - keep_s
        self._first_night = "" if nights_s is None else str(datetime.fromtimestamp(max(now - nights_s, 0), UTC).date())
        self._beating = dict(beating)
        self._read: dict[tuple[str, str], frozenset[bytes]] = {}

    def look(self) -> Needs:
        """Runs and needed stages as the store shows them now.

        Raises:
            StoreError: the record of a run is damaged, and so what it needs is not known.
        """
        folders: dict[str, list[ObjectInfo]] = {}
        for info in self._store.list("runs/"):
            if match := _RUN_FILE.match(info.key):
                folders.setdefault(match[1], []).append(info)
        named = self._named()
        records = self._names_in([info for files in folders.values() for info in files if _is_record(info)], _STAGES)
        runs = {}
        for run_id, files in sorted(folders.items()):
            stages = records.get(keys.run_key(run_id, "run.json"), frozenset())
            why = tuple(self._why(run_id, files, named))
            runs[run_id] = Run(run_id, tuple(files), _texts(stages), why)
        needed = {stage for run in runs.values() if run.why for stage in run.stages} | self._beating.keys()
        return Needs(runs, self._with_upstreams(needed))

    def _why(self, run_id: str, files: Iterable[ObjectInfo], named: Mapping[Why, frozenset[str]]) -> Iterable[Why]:
        times = [info.modified for info in files]
        if run_id in self._beating.values():
            yield Why.LIVING
        if None in times:
            yield Why.UNKNOWN_AGE
        elif max(time for time in times if time is not None) >= self._oldest:
            yield Why.YOUNG
        for why, run_ids in named.items():
            if run_id in run_ids:
                yield why

    def _named(self) -> Mapping[Why, frozenset[str]]:
        """Run ids that releases, and nights that keep theirs, name."""
        matches = [(info, match) for info in self._store.list("suites/") if (match := _NAMES_RUNS.match(info.key))]
        last: dict[str, str] = {}
        for _, match in matches:
            last[match["suite"]] = max(last.get(match["suite"], ""), match["date"] or "")
        since = {suite: min(self._first_night, date) for suite, date in last.items()}
        infos = [info for info, match in matches if match["date"] is None or match["date"] >= since[match["suite"]]]
        names = self._names_in(infos, _RUNS)
        found: dict[Why, set[str]] = {Why.NIGHT: set(), Why.RELEASE: set()}
        for key, run_ids in names.items():
            found[Why.NIGHT if "/nights/" in key else Why.RELEASE] |= _texts(run_ids)
        return {why: frozenset(run_ids) for why, run_ids in found.items()}

    def _with_upstreams(self, stages: Iterable[str]) -> frozenset[str]:
        found: set[str] = set()
        fresh = set(stages)
        while fresh:
            found |= fresh
            infos = [ObjectInfo(keys.stage_key(stage), 0, "") for stage in sorted(fresh)]
            fresh = {name for names in self._names_in(infos, _STAGES).values() for name in _texts(names)} - found
        return frozenset(found)

    def _names_in(self, infos: Iterable[ObjectInfo], pattern: re.Pattern[bytes]) -> dict[str, frozenset[bytes]]:
        """Key -> names in the object's bytes; of objects that are gone: none."""
        infos = list(infos)
        unread = [info for info in infos if (info.key, info.etag) not in self._read]
        with ThreadPoolExecutor(READERS) as pool:
            for info, data in zip(unread, pool.map(_reader(self._store), unread), strict=True):
                if data is not None:
                    self._read[info.key, info.etag] = frozenset(pattern.findall(data))
        return {info.key: self._read.get((info.key, info.etag), frozenset()) for info in infos}


def beating_stages(store: ObjectStore, stages: Iterable[StageContents], *, now: float) -> dict[str, str]:
    """Stage with a recent heartbeat -> id of the run that its driver works on; empty where it does not say."""
    found = {}
    for stage in stages:
        info = stage.heartbeat
        if info is None or (info.modified is not None and now - info.modified > LIVING_S):
            continue
        beat = read_beat(store, stage.name) or {}
        found[stage.name] = str(beat.get("progress", {}).get("run_id", ""))
    return found


def is_run_file(key: str) -> bool:
    """It lies in the folder of a run."""
    return _RUN_FILE.match(key) is not None


def _reader(store: ObjectStore) -> Callable[[ObjectInfo], bytes | None]:
    def read(info: ObjectInfo) -> bytes | None:
        try:
            data = store.read(info.key)
        except ObjectMissing:
            return None
        if _is_record(info):
            _refuse_damaged(data, f"{store.uri}/{info.key}")
        return data

    return read


def _refuse_damaged(record: bytes, where: str) -> None:
    try:
        json.loads(record)
    except ValueError:
        raise StoreError(
            f"{where} is damaged, so what the run needs is not known and nothing is freed; delete that file: starting "
            "the run again writes it anew"
        ) from None


def _is_record(info: ObjectInfo) -> bool:
    return info.key.endswith("/run.json")


def _texts(names: Iterable[bytes]) -> frozenset[str]:
    return frozenset(name.decode() for name in names)

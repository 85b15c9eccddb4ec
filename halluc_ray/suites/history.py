"""What stands in a store, read again and again: nights, reports, gates, what runs noted.

An object is read once for each version that a listing shows. One that can't be read is counted and
passed over; a listing that fails is counted, and what was known stays. Nothing is written. Knows keys
and shapes; not what is shown of them. Called by the exporter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from halluc_ray.errors import InputError, StoreError
from halluc_ray.reports.report import Rate
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.storage.store import ObjectInfo
from halluc_ray.suites.nights import Night, check_date
from halluc_ray.suites.order import by_date_and_verdict
from halluc_ray.suites.verdicts import GateResult

_NIGHT = re.compile(r"^suites/([^/]+)/nights/(\d{4}-\d{2}-\d{2})-[0-9a-f]+\.json$")
_REPORT = re.compile(r"^runs/([^/]+)/report\.json$")
_READERS = 16
_GATE = TypeAdapter(GateResult)
_MAX_OBJECT_BYTES = 64 << 20
MAX_DATES = 90
"""Of each suite, the nights of so many latest dates are read."""

T = TypeVar("T")


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class HeldDevices(_Lenient):
    """Devices that one command held."""

    kind: str = ""
    held_s: float = 0.0
    busy_s: dict[str, float] = {}


class Work(_Lenient):
    """One command that worked on a run; times are Unix seconds."""

    finished: float
    devices: HeldDevices | None = None
    cost: dict[str, float] = {}


class Noted(_Lenient):
    """Of telemetry.json: the commands that worked on a run."""

    work: tuple[Work, ...] = ()

    @property
    def finished(self) -> float | None:
        """When the last of them ended, Unix seconds."""
        return max((work.finished for work in self.work), default=None)


class KeptReport(_Lenient):
    """Of report.json: what series are made of; `rates` are those over all rows."""

    run_id: str
    failed_share: float
    rates: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class History:
    """One reading of a store.

    Attributes:
        nights: of the latest dates of each suite, by date, spec and run id.
        noted: run id -> what its commands noted; of every run that has a report. Empty for one whose
            stages were all committed before it began.
        reports: run id -> its report; of the runs that were asked for.
        gates: (suite, night's name) -> gate.json; of the latest night of each spec.
    """

    nights: Sequence[Night] = ()
    noted: Mapping[str, Noted] = field(default_factory=dict)
    reports: Mapping[str, KeptReport] = field(default_factory=dict)
    gates: Mapping[tuple[str, str], GateResult] = field(default_factory=dict)

    def latest(self) -> list[Night]:
        """The last night of each suite and spec; the most recent first.

        Of several records of one date (another checkpoint was found when the night was run again) the one
        with the worst verdict: none that failed hides behind another.
        """
        found = {(night.suite, night.spec): night for night in sorted(self.nights, key=by_date_and_verdict)}
        return sorted(found.values(), key=lambda night: (night.date, night.suite, night.spec), reverse=True)

    def last_runs(self, most: int) -> list[str]:
        """Ids of finished runs, the last first."""
        return sorted(self.noted, key=lambda run_id: (-(self.noted[run_id].finished or 0.0), run_id))[:most]


class HistoryReader:
    """Reads a store, remembering what did not change.

    Args:
        store: read only.
        runs: how many of the last finished runs have their reports read.

    Attributes:
        errors: listings and objects that could not be read, by part, since the reader was made.
        unreadable: objects of these that the last reading met.
    """

    def __init__(self, store: ObjectStore, *, runs: int) -> None:
        self._store = store
        self._runs = runs
        self._known: dict[str, tuple[str, Any]] = {}
        self.errors: Counter[str] = Counter()
        self.unreadable: Mapping[str, int] = {}

    def read(self) -> History:
        """The store as it is now.

        Raises:
            StoreError: it can't be listed (retryable where it does not answer).
        """
        try:
            listed = {info.key: info for prefix in ("suites/", "runs/") for info in self._store.list(prefix)}
        except StoreError:
            self.errors["listing"] += 1
            raise
        finished = [match[1] for key in listed if (match := _REPORT.match(key))]
        nights = self._all("nights", _recent(listed), _night)
        noted = self._all("telemetry", _there(listed, _keys(finished, "telemetry.json")), Noted.model_validate_json)
        base = History(
            sorted(nights.values(), key=lambda night: (night.date, night.spec, night.run_id)),
            dict.fromkeys(finished, Noted()) | {key.split("/")[1]: value for key, value in noted.items()},
        )
        wanted = dict.fromkeys([*(night.run_id for night in base.latest()), *base.last_runs(self._runs)])
        reports = self._all("reports", _there(listed, _keys(wanted, "report.json")), _report)
        judged = {keys.gate_key(n.suite, n.name, "gate.json"): (n.suite, n.name) for n in base.latest() if n.gate}
        gates = self._all("gates", _there(listed, list(judged)), _GATE.validate_json)
        read = {*nights, *noted, *reports, *gates}
        self._known = {key: value for key, value in self._known.items() if key in read}
        return History(
            base.nights,
            base.noted,
            {key.split("/")[1]: report for key, report in reports.items()},
            {judged[key]: gate for key, gate in gates.items()},
        )

    def _all(self, part: str, infos: Sequence[ObjectInfo], decode: Callable[[bytes], T]) -> dict[str, T]:
        """Key -> value of the objects that can be read."""
        with ThreadPoolExecutor(_READERS) as pool:
            read = list(pool.map(lambda info: self._one(info, decode), infos))
        missing = sum(value is None for value in read)
        self.errors[part] += missing
        self.unreadable = {**self.unreadable, part: missing}
        return {info.key: value for info, value in zip(infos, read, strict=True) if value is not None}

    def _one(self, info: ObjectInfo, decode: Callable[[bytes], T]) -> T | None:
        etag, value = self._known.get(info.key, ("", None))
        if etag == info.etag and value is not None:
            return value  # type: ignore[no-any-return]
        if info.size > _MAX_OBJECT_BYTES:
            return None
        try:
            fresh = decode(self._store.read(info.key))
        except (StoreError, InputError, ValidationError):
            return None
        self._known[info.key] = (info.etag, fresh)
        return fresh


def _recent(listed: Mapping[str, ObjectInfo]) -> list[ObjectInfo]:
    """Nights of each suite's latest dates."""
    matches = [(match, info) for key, info in listed.items() if (match := _NIGHT.match(key))]
    dates: dict[str, set[str]] = {}
    for match, _ in matches:
        dates.setdefault(match[1], set()).add(match[2])
    recent = {suite: set(sorted(found)[-MAX_DATES:]) for suite, found in dates.items()}
    return [info for match, info in matches if match[2] in recent[match[1]]]


def _keys(run_ids: Iterable[str], name: str) -> list[str]:
    return [keys.run_key(run_id, name) for run_id in run_ids]


def _there(listed: Mapping[str, ObjectInfo], wanted: Sequence[str]) -> list[ObjectInfo]:
    return [listed[key] for key in wanted if key in listed]


def _night(data: bytes) -> Night:
    night = Night.model_validate_json(data)
    check_date(night.date)
    return night


def _report(data: bytes) -> KeptReport:
    report = KeptReport.model_validate_json(data)
    return report.model_copy(update={"rates": tuple(rate for rate in report.rates if not rate.slice)})

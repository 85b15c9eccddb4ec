"""History: one create-only record per spec and night, with nothing in it that is not reproducible.

A record holds what a trend needs (rates over all rows with their intervals, the baseline, what was
missed before it) and names the run that holds the rest. Times, money and machines are not in it: the
same night run again gives the same bytes. Knows stores; called by `nightly`, the site and exporters.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from halluc_ray.config import canonical_json
from halluc_ray.errors import InputError, SpecError, StoreError
from halluc_ray.reports import Report
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.verdicts import Verdict

SCHEMA_VERSION = 1
_NAME = re.compile(r"^\d{4}-\d{2}-\d{2}-[0-9a-f]+\.json$")
_READERS = 16
_SATURDAY = 5
_DATE = len("2026-11-24")
_MOST_MISSED = 400
_FURTHEST_AHEAD = datetime.timedelta(days=366)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NightRate(_Record):
    """How one system did under one indicator over all rows; fields as in report.json."""

    system: str
    indicator: str
    hallucinated: int
    supported: int
    rows: int
    rate: float | None
    low: float | None
    high: float | None
    answered_share: float | None


class NightBaseline(_Record):
    """What the night was held against: a run, and what led to it."""

    run_id: str
    found_by: str


class NightGate(_Record):
    """What the gate said; `policy` is the digest of what it was asked."""

    verdict: Verdict
    reason: str
    policy: str


class Night(_Record):
    """One spec of a suite on one scheduled date.

    Attributes:
        spec: the entry's name in the suite.
        signature: of the report.
        checkpoints: system -> folder in its registry, where a pattern led to one.
        rates: over all rows.
        gate: None where the suite has no policy.
        missed: dates on which a night was expected since the one before, and none was recorded.
    """

    schema_version: int = SCHEMA_VERSION
    suite: str
    date: str
    spec: str
    run_id: str
    signature: str
    checkpoints: dict[str, str]
    failed_share: float
    too_many_failed: bool
    rates: tuple[NightRate, ...]
    baseline: NightBaseline | None
    gate: NightGate | None
    missed: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its object, without the ending."""
        return f"{self.date}-{self.run_id}"


def rates_of(report: Report) -> tuple[NightRate, ...]:
    """The rates over all rows of a report."""
    fields = NightRate.model_fields
    return tuple(NightRate(**{name: getattr(rate, name) for name in fields}) for rate in report.overall())


def write_night(store: ObjectStore, night: Night) -> tuple[Night, bool]:
    """Record a night, unless it is.

    Returns:
        The record that stands, ours or an earlier one, and whether it is new.

    Raises:
        SpecError: another spec of the suite is the very same run.
    """
    key = keys.night_key(night.suite, f"{night.name}.json")
    text = canonical_json(night.model_dump(mode="json")).encode()
    if store.put_new(key, text):
        return night, True
    standing = _decode(store.read(key), f"{store.uri}/{key}")
    if standing.spec != night.spec:
        raise SpecError(
            f"suite {night.suite}: specs {standing.spec} and {night.spec} are the same run {night.run_id}; keep one"
        )
    return standing, False


def read_nights(store: ObjectStore, suite: str, *, last_date: bool = False) -> list[Night]:
    """All of a suite's nights, by date; those of one date by spec and run id.

    Args:
        store: of the suite.
        suite: its name.
        last_date: read those of its last date alone.

    Raises:
        StoreError: an object there is no record.
    """
    prefix = keys.night_key(suite)
    names = [info.key for info in store.list(prefix) if _NAME.match(info.key.removeprefix(prefix))]
    if last_date and names:
        last = max(names).removeprefix(prefix)[:_DATE]
        names = [name for name in names if name.startswith(prefix + last)]
    with ThreadPoolExecutor(_READERS) as pool:
        nights = list(pool.map(lambda key: _decode(store.read(key), f"{store.uri}/{key}"), names))
    return sorted(nights, key=lambda night: (night.date, night.spec, night.run_id))


def suites_of(store: ObjectStore) -> list[str]:
    """Names of the suites that have nights in a store."""
    found = {info.key.split("/")[1] for info in store.list("suites/") if "/nights/" in info.key}
    return sorted(found)


def missed_dates(dates: Iterable[str], *, until: str, schedule: Literal["daily", "weekdays"] | None) -> list[str]:
    """Dates before `until`, after the first night, on which a night was expected and there is none.

    Args:
        dates: of the nights that there are, YYYY-MM-DD.
        until: the date that is looked from; itself not among the missed.
        schedule: when nights are expected; None: never.

    Returns:
        Of the last 400 days before `until`.

    >>> missed_dates(["2026-11-20", "2026-11-23"], until="2026-11-25", schedule="weekdays")
    ['2026-11-24']
    """
    known = {date for date in dates if date < until}
    if schedule is None or not known:
        return []
    last = datetime.date.fromisoformat(until)
    day = max(datetime.date.fromisoformat(min(known)), last - datetime.timedelta(days=_MOST_MISSED + 1))
    missed = []
    while (day := day + datetime.timedelta(days=1)) < last:
        if str(day) not in known and (schedule == "daily" or day.weekday() < _SATURDAY):
            missed.append(str(day))
    return missed


def missed_before(nights: Sequence[Night], *, date: str, schedule: Literal["daily", "weekdays"] | None) -> list[str]:
    """Missed dates between a night and the one before it."""
    earlier = max((night.date for night in nights if night.date < date), default=None)
    return missed_dates([earlier], until=date, schedule=schedule) if earlier else []


def latest_before(nights: Sequence[Night], *, date: str) -> Night | None:
    """The last night before a date that did not fail its gate; of several on one date, the one whose run id is last.

    A night that failed is never what others are held against: a fall would pass the night after.
    """
    standing = (n for n in nights if n.date < date and (n.gate is None or n.gate.verdict is not Verdict.FAIL))
    return max(standing, key=lambda n: (n.date, n.run_id), default=None)


def check_date(date: str) -> str:
    """A scheduled date as it stands in keys.

    Raises:
        InputError: it is no date of the form YYYY-MM-DD.
    """
    try:
        is_one = str(datetime.date.fromisoformat(date)) == date
    except ValueError:
        is_one = False
    if not is_one:
        raise InputError(f"{date!r} is no date; write it as YYYY-MM-DD")
    return date


def check_scheduled(date: str) -> str:
    """A date that a night can be scheduled on: its record stands for good, and is the latest until others pass it.

    Raises:
        InputError: it is no date, or more than a year ahead.
    """
    ahead = datetime.date.fromisoformat(check_date(date)) - datetime.datetime.now(datetime.UTC).date()
    if ahead > _FURTHEST_AHEAD:
        raise InputError(f"{date} is {ahead.days:,} days ahead; look at the year, and at this machine's clock")
    return date


def _decode(data: bytes, where: str) -> Night:
    try:
        night = Night.model_validate_json(data)
        check_date(night.date)
    except InputError as error:
        raise StoreError(f"{where} is no record of a night: {error}; move it away") from None
    except ValidationError as error:
        raise StoreError(
            f"{where} is no record of a night that this version reads ({error.error_count()} problems); "
            "read it with the version that wrote it, or move it away"
        ) from None
    if not where.endswith(f"/{keys.night_key(night.suite, f'{night.name}.json')}"):
        raise StoreError(f"{where} is the record of another night: {night.name} of {night.suite}; move it away")
    return night

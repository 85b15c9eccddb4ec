"""History: create-only, reproducible, and what is missing in it."""

import datetime
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from halluc_ray.errors import InputError, SpecError, StoreError
from halluc_ray.storage.local import LocalStore
from halluc_ray.suites.nights import (
    Night,
    check_date,
    check_scheduled,
    latest_before,
    missed_before,
    missed_dates,
    read_nights,
    suites_of,
    write_night,
)
from halluc_ray.suites.releases import name_release, read_release, release_dates


def a_night(date, run_id="ab12", spec="facts", **changes):
    fields = {
        "suite": "qa",
        "date": date,
        "spec": spec,
        "run_id": run_id,
        "signature": "s",
        "checkpoints": {},
        "failed_share": 0.0,
        "too_many_failed": False,
        "rates": (),
        "baseline": None,
        "gate": None,
        "missed": (),
    }
    return Night(**fields | changes)


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


def test_a_night_is_recorded_once_and_the_first_record_stands(store):
    first = a_night("2026-11-24")
    assert write_night(store, first) == (first, True)
    assert write_night(store, a_night("2026-11-24", missed=("2026-11-23",))) == (first, False)
    assert read_nights(store, "qa") == [first]
    assert suites_of(store) == ["qa"]
    [info] = list(store.list("suites/"))
    assert info.key == "suites/qa/nights/2026-11-24-ab12.json"
    assert json.loads(store.read(info.key))["date"] == "2026-11-24"


def test_of_many_at_once_one_wins_and_all_see_it(store):
    nights = [a_night("2026-11-24", signature=str(k)) for k in range(16)]
    with ThreadPoolExecutor(16) as pool:
        standing = list(pool.map(lambda night: write_night(store, night), nights))
    assert sum(new for _, new in standing) == 1
    assert len({night.signature for night, _ in standing}) == 1


def test_two_specs_that_are_one_run_are_refused(store):
    write_night(store, a_night("2026-11-24"))
    with pytest.raises(SpecError, match="suite qa: specs facts and news are the same run ab12; keep one"):
        write_night(store, a_night("2026-11-24", spec="news"))


def test_nights_come_by_date(store):
    for night in (a_night("2026-11-24"), a_night("2025-12-31", "ff"), a_night("2026-11-24", "00", spec="a")):
        write_night(store, night)
    assert [(n.date, n.spec) for n in read_nights(store, "qa")] == [
        ("2025-12-31", "facts"),
        ("2026-11-24", "a"),
        ("2026-11-24", "facts"),
    ]
    assert read_nights(store, "other") == []


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"schema_version": 99}'])
def test_what_is_no_record_is_named(store, data):
    store.put("suites/qa/nights/2026-11-24-ab12.json", data)
    with pytest.raises(StoreError, match=r"suites/qa/nights/2026-11-24-ab12.json is no record of a night"):
        read_nights(store, "qa")


@pytest.mark.parametrize("name", ["2026-11-25-ab12", "2026-11-24-ab13"])
def test_a_copy_under_another_name_is_no_night(store, name):
    write_night(store, a_night("2026-11-24"))
    store.put(f"suites/qa/nights/{name}.json", store.read("suites/qa/nights/2026-11-24-ab12.json"))
    with pytest.raises(StoreError, match=rf"{name}.json is the record of another night: 2026-11-24-ab12 of qa"):
        read_nights(store, "qa")


def test_a_date_that_the_calendar_lacks_is_no_nights(store):
    write_night(store, a_night("2026-02-30"))
    with pytest.raises(StoreError, match=r"2026-02-30-ab12.json is no record of a night: '2026-02-30' is no date"):
        read_nights(store, "qa")


def test_a_year_that_is_mistyped_is_refused():
    tomorrow = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)
    assert check_scheduled(str(tomorrow)) == str(tomorrow)
    for date in ("2226-11-24", "9999-12-31"):
        with pytest.raises(InputError, match=f"{date} is [0-9,]+ days ahead; look at the year"):
            check_scheduled(date)


def test_missed_nights_are_bounded():
    missed = missed_dates(["1026-11-24"], until="2026-11-24", schedule="daily")
    assert (len(missed), missed[-1]) == (400, "2026-11-23")
    assert len(missed_dates(["2025-10-19"], until="2026-11-24", schedule="daily")) == 400
    assert len(missed_dates(["2025-10-20"], until="2026-11-24", schedule="daily")) == 399


@pytest.mark.parametrize("data", [b"", b"[]", b'{"date": "2026-11-24"}', b'{"date": 1, "runs": {}}'])
def test_what_is_no_release_is_named(store, data):
    store.put("suites/qa/releases/v1.json", data)
    with pytest.raises(StoreError, match=r"suites/qa/releases/v1.json is no release that this version reads"):
        release_dates(store, "qa")
    with pytest.raises(StoreError, match=r"v1.json is no release"):
        read_release(store, suite="qa", release="v1")


def test_other_objects_in_the_folder_are_passed_over(store):
    store.put("suites/qa/nights/index.html", b"<p>")
    assert read_nights(store, "qa") == []


@pytest.mark.parametrize(
    ("dates", "schedule", "missed"),
    [
        (["2026-11-20", "2026-11-21"], "daily", ["2026-11-22", "2026-11-23", "2026-11-24"]),
        (["2026-11-20"], "weekdays", ["2026-11-23", "2026-11-24"]),
        (["2026-11-20"], None, []),
        ([], "daily", []),
        (["2026-11-25", "2026-11-26"], "daily", []),
        (["2026-11-24", "2026-11-23", "2026-11-23"], "daily", []),
        (["2026-11-22", "2026-11-24"], "daily", ["2026-11-23"]),
    ],
)
def test_missed_dates(dates, schedule, missed):
    """20 November 2026 is a Friday."""
    assert missed_dates(dates, until="2026-11-25", schedule=schedule) == missed


def test_a_leap_day_and_a_new_year_are_days():
    assert missed_dates(["2028-02-28"], until="2028-03-01", schedule="daily") == ["2028-02-29"]
    assert missed_dates(["2026-12-31"], until="2027-01-02", schedule="daily") == ["2027-01-01"]


def test_a_record_says_what_was_missed_since_the_night_before():
    nights = [a_night("2026-11-01"), a_night("2026-11-20")]
    assert missed_before(nights, date="2026-11-22", schedule="daily") == ["2026-11-21"]
    assert missed_before([], date="2026-11-22", schedule="daily") == []


def test_the_latest_is_earlier_than_tonight():
    nights = [a_night("2026-11-24", "bb"), a_night("2026-11-23", "aa"), a_night("2026-11-23", "cc")]
    assert latest_before(nights, date="2026-11-24").run_id == "cc"
    assert latest_before(nights, date="2026-11-23") is None


@pytest.mark.parametrize(
    "date", ["", "today", "2026-13-01", "2026-11-31", "20261124", "2026-W48-2", "２０２６-11-24", "../x"]
)
def test_what_is_no_date(date):
    with pytest.raises(InputError, match="is no date; write it as YYYY-MM-DD"):
        check_date(date)


def test_a_release_names_the_runs_of_a_night(store):
    for night in (a_night("2026-11-24"), a_night("2026-11-24", "cd", spec="news"), a_night("2026-11-25", "ef")):
        write_night(store, night)
    runs = {"facts": "ab12", "news": "cd"}
    for _ in range(2):
        assert name_release(store, suite="qa", release="v1.0", date="2026-11-24") == runs
    assert read_release(store, suite="qa", release="v1.0") == runs
    with pytest.raises(SpecError, match=r"release v1.0 of suite qa is the night of 2026-11-24; choose a new name"):
        name_release(store, suite="qa", release="v1.0", date="2026-11-25")
    with pytest.raises(InputError, match=r"no night on 2026-11-26 in .*; the last ones: 2026-11-24, 2026-11-25"):
        name_release(store, suite="qa", release="v2", date="2026-11-26")
    with pytest.raises(InputError, match=r"has no release 'v2' in .*; there is v1.0"):
        read_release(store, suite="qa", release="v2")
    for name in ("", "a/b", "..", "v 1", "v1\n", "v" * 61):
        with pytest.raises(SpecError, match="can't name a release"):
            name_release(store, suite="qa", release=name, date="2026-11-24")
    write_night(store, a_night("2026-11-25", "99"))
    with pytest.raises(InputError, match="two runs of facts on 2026-11-25"):
        name_release(store, suite="qa", release="v2", date="2026-11-25")

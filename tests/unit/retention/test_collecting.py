"""What is freed, what is kept and why, on real runs in a folder."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from halluc_ray.engine.heartbeat import Heartbeat
from halluc_ray.engine.kept import ANSWERS_PART
from halluc_ray.errors import InputError, SpecError, StoreError
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.retention import Collected, Reason, State, collect, collecting
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.nights import NightBaseline, write_night
from halluc_ray.suites.releases import name_release
from tests.unit.engine.whole import answers, begin, report_of, spec_of, write
from tests.unit.retention.aged import DAY, age, broken_commits, held, listing
from tests.unit.suites.test_nights import a_night

KEEP, WAIT = 30 * DAY, DAY


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    return spec_of(write(tmp_path / "c" / "one.parquet", answers(range(10))), tmp_path / "out")


@pytest.fixture
def other(tmp_path: Path) -> dict[str, Any]:
    """Another corpus column is sliced: generate and score stages are those of `spec`, the count stage is not."""
    return spec_of(tmp_path / "c" / "one.parquet", tmp_path / "out", slices=["topic"])


def call(store: ObjectStore, **changes: Any) -> Collected:
    found = collect(store, **({"keep_s": KEEP, "wait_s": WAIT} | changes))
    assert broken_commits(store) == []
    return found


def said(found: Collected) -> set[tuple[State, Reason]]:
    return {(total.state, total.reason) for total in found.totals()}


def freed(run: RunFolder) -> Collected:
    """Two calls, a day apart."""
    call(run.store)
    age(run.store.uri, 1.01)
    return call(run.store)


def test_an_old_run_goes_in_two_calls_with_all_that_it_alone_needs(spec: dict[str, Any]) -> None:
    run = begin(spec)
    report = report_of(run)
    assert call(run.store).totals() == []
    age(run.store.uri, 31)
    before = listing(run.store)

    first = call(run.store)
    assert said(first) == {(State.MARKED, Reason.STAGE), (State.MARKED, Reason.RUN)}
    assert len(first.items) == 4
    assert {key: etag for key, etag in listing(run.store).items() if not key.startswith("gc/")} == before
    assert len(listing(run.store, "gc/marks/")) == 4

    early = call(run.store)
    assert said(early) == {(State.WAITING, Reason.STAGE), (State.WAITING, Reason.RUN)}
    assert early.next_at == pytest.approx(first.next_at, abs=60)

    age(run.store.uri, 1.01)
    last = call(run.store)
    assert said(last) == {(State.FREED, Reason.STAGE), (State.FREED, Reason.RUN)}
    assert sum(item.objects for item in last.items) == len(before)
    assert listing(run.store) == {}

    assert report_of(begin(spec)) == report


def test_a_call_with_no_wait_marks_nothing_and_frees_at_once(spec: dict[str, Any]) -> None:
    run = begin(spec)
    age(run.store.uri, 31)
    assert said(call(run.store, wait_s=0)) == {(State.FREED, Reason.STAGE), (State.FREED, Reason.RUN)}
    assert listing(run.store) == {}


def test_what_a_kept_run_needs_too_stays(spec: dict[str, Any], other: dict[str, Any]) -> None:
    old = begin(spec)
    age(old.store.uri, 31)
    kept = begin(other)
    before = held(old.store)
    last = freed(old)
    assert sorted(item.name.split("-")[0] for item in last.items if item.reason is Reason.STAGE) == ["count"]
    gone = {key.split("/")[1] for key in before.keys() - held(old.store).keys() if key.startswith("stages/")}
    assert [name.split("-")[0] for name in gone] == ["count"]
    assert report_of(kept)["run_id"] == kept.run_id
    assert [run.run_id for run in last.kept] == [kept.run_id]


def test_a_spec_leads_to_its_kept_run(spec: dict[str, Any], tmp_path: Path) -> None:
    old = begin(spec)
    age(old.store.uri, 31)
    write(tmp_path / "c" / "one.parquet", answers(range(8)))
    new = begin(spec)
    freed(old)
    [pointer] = list(old.store.list("specs/"))
    assert json.loads(old.store.read(pointer.key)) == {"run_id": new.run_id}
    assert {key.split("/")[1] for key in listing(old.store, "runs/")} == {new.run_id}


def as_night(run: RunFolder) -> None:
    write_night(run.store, a_night("2026-11-24").model_copy(update={"run_id": run.run_id}))


def as_baseline(run: RunFolder) -> None:
    baseline = NightBaseline(run_id=run.run_id, found_by="run")
    write_night(run.store, a_night("2026-11-24").model_copy(update={"run_id": "f" * 16, "baseline": baseline}))


def as_release(run: RunFolder) -> None:
    as_night(run)
    name_release(run.store, suite="qa", release="v1", date="2026-11-24")
    run.store.delete(keys.night_key("qa", f"2026-11-24-{run.run_id}.json"))


@pytest.mark.parametrize(
    ("name", "why"),
    [(as_night, "night"), (as_baseline, "night"), (as_release, "release")],
    ids=["night", "baseline", "release"],
)
def test_a_run_that_history_names_stays(spec: dict[str, Any], name: Any, why: str) -> None:
    run = begin(spec)
    name(run)
    age(run.store.uri, 400)
    before = held(run.store)
    last = freed(run)
    assert held(run.store) == before
    assert [(kept.run_id, kept.why) for kept in last.kept] == [(run.run_id, (why,))]


def test_a_night_keeps_its_run_for_so_long_and_the_last_one_for_good(spec: dict[str, Any]) -> None:
    run = begin(spec)
    report_of(run)
    until = "2026-11-24"
    as_night(run)
    year = {"nights_s": 365 * DAY, "now": datetime.fromisoformat(f"{until}T12:00+00:00").timestamp() + 366 * DAY}
    assert State.MARKED not in {state for state, _ in said(call(run.store, dry_run=True, **year))}
    later = a_night("2026-11-25").model_copy(update={"run_id": "e" * 16})
    write_night(run.store, later)
    assert said(call(run.store, dry_run=True)) == set()
    assert said(call(run.store, dry_run=True, **year | {"nights_s": 367 * DAY})) == set()
    assert said(call(run.store, dry_run=True, **year)) == {(State.MARKED, Reason.STAGE), (State.MARKED, Reason.RUN)}
    name_release(run.store, suite="qa", release="v1", date=until)
    assert said(call(run.store, dry_run=True, **year)) == set()


def test_a_run_that_is_worked_on_stays_however_old(spec: dict[str, Any]) -> None:
    run = begin(spec, at_most=1)
    age(run.store.uri, 400)
    stage = run.record().systems[0].count
    with Heartbeat(run.store, [stage], describe=lambda: {"run_id": run.run_id}):
        found = call(run.store)
        assert [(kept.run_id, kept.why) for kept in found.kept] == [(run.run_id, ("living",))]
        with pytest.raises(InputError, match=r"process \d+ on .* works on count-.*wait an hour at least"):
            call(run.store, wait_s=0)
    assert found.totals() == []
    assert said(call(run.store)) == {(State.MARKED, Reason.STAGE), (State.MARKED, Reason.RUN)}


def test_a_run_that_is_started_again_is_young_again(spec: dict[str, Any]) -> None:
    run = begin(spec)
    age(run.store.uri, 31)
    call(run.store)
    age(run.store.uri, 1.01)
    begin(spec)
    before = held(run.store, "stages/")
    found = call(run.store)
    assert (found.totals(), found.unmarked) == ([], 4)
    assert held(run.store, "stages/") == before
    assert listing(run.store, "gc/") == {}


def test_a_stage_that_changed_since_it_was_marked_waits_anew(spec: dict[str, Any]) -> None:
    run = begin(spec)
    age(run.store.uri, 31)
    call(run.store)
    age(run.store.uri, 1.01)
    stage = run.record().systems[0].scores[0]
    run.store.put(keys.part_key(stage, "0" * 32, "beef"), b"new")
    states = {item.name: item.state for item in call(run.store).items}
    assert states.pop(stage) is State.MARKED
    assert states.pop(run.run_id) is State.WAITING, "a run goes after its stages"
    assert set(states.values()) == {State.FREED}
    age(run.store.uri, 1.01)
    call(run.store)
    assert listing(run.store) == {}


def test_lost_attempts(spec: dict[str, Any]) -> None:
    run = begin(spec)
    system = run.record().systems[0]
    [first, second, *_] = [shard.key for shard in run.record().shards(system)]
    before = held(run.store)
    run.store.put(keys.part_key(system.count, first, "dead"), b"lost")
    run.store.put(keys.part_key(system.count, first, "dead", "counts"), b"lost")
    run.store.put(keys.part_key(system.generate, second, "dead", ANSWERS_PART), b"in the part that was committed")
    run.store.put(keys.part_key(system.generate, "0" * 32, "dead"), b"never ended")
    paid = keys.part_key(system.generate, "1" * 32, "dead", ANSWERS_PART)
    run.store.put(paid, b"paid for")

    first_call = call(run.store)
    counts = {(item.reason, item.name): (item.attempts, item.objects) for item in first_call.items}
    assert counts == {
        (Reason.LOST, system.count): (1, 2),
        (Reason.LOST, system.generate): (1, 1),
        (Reason.UNFINISHED, system.generate): (1, 1),
    }
    run.store.put(keys.part_key(system.count, second, "late"), b"lost today")
    age(run.store.uri, 1.01, under="gc/")
    states = sorted((item.state, item.objects) for item in call(run.store).items)
    assert states == [("freed", 1), ("freed", 1), ("freed", 2), ("marked", 1)]
    age(run.store.uri, 1.01, under="gc/")
    call(run.store)
    assert held(run.store) == before | {paid: b"paid for"}


def test_an_attempt_that_was_committed_after_all_stays(spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The marker comes between the listing and the deletion."""
    run = begin(spec)
    stage = run.record().systems[0].generate
    [info, *_] = run.store.list(keys.commits_prefix(stage))
    marker = run.store.read(info.key)
    run.store.delete(info.key)
    call(run.store)
    age(run.store.uri, 1.01, under="gc/")
    tidy = collecting._tidy
    monkeypatch.setattr(
        collecting, "_tidy", lambda *a, **named: (run.store.put_new(info.key, marker), tidy(*a, **named))
    )
    before = held(run.store, "stages/")
    assert said(call(run.store)) == {(State.SPARED, Reason.UNFINISHED)}
    assert held(run.store, "stages/") == before | {info.key: marker}


def test_a_dry_run_writes_nothing_and_says_the_same(spec: dict[str, Any]) -> None:
    run = begin(spec)
    run.store.put(keys.probe_key("old"), b"x")
    age(run.store.uri, 31)
    before = listing(run.store)
    dry = call(run.store, dry_run=True)
    assert listing(run.store) == before
    wet = call(run.store)
    assert [(t.state, t.reason, t.objects, t.num_bytes) for t in dry.totals()] == [
        (t.state, t.reason, t.objects, t.num_bytes) for t in wet.totals()
    ]
    age(run.store.uri, 1.01)
    before = listing(run.store)
    dry = call(run.store, dry_run=True)
    assert listing(run.store) == before
    assert dry.totals() == call(run.store).totals()


def test_what_is_not_ours_stays(spec: dict[str, Any]) -> None:
    run = begin(spec)
    stage = run.record().systems[0].count
    foreign = [
        "runs/exp1/events.tfevents",
        "stages/notes.txt",
        "stages/train-01/x.parquet",
        f"stages/{stage}/notes.txt",
        f"stages/{stage}/parts/notes.txt",
        "suites/qa/index.html",
        "site/index.html",
        "readme.md",
    ]
    for key in foreign:
        run.store.put(key, b"foreign")
    age(run.store.uri, 31)
    freed(run)
    assert sorted(listing(run.store)) == sorted(foreign)


def test_probes_go_after_a_day_where_nobody_works(spec: dict[str, Any]) -> None:
    run = begin(spec)
    run.store.put(keys.probe_key("old"), b"x")
    age(run.store.uri, 1.01, under="probes/")
    run.store.put(keys.probe_key("new"), b"x")
    with Heartbeat(run.store, [run.record().systems[0].count], describe=lambda: {"run_id": run.run_id}):
        assert call(run.store).totals() == []
    assert said(call(run.store)) == {(State.FREED, Reason.PROBE)}
    assert list(listing(run.store, "probes/")) == [keys.probe_key("new")]


def test_refusals(spec: dict[str, Any], tmp_path: Path) -> None:
    run = begin(spec)
    with pytest.raises(SpecError, match="kept for an hour at least, not 60 s"):
        call(run.store, keep_s=60)
    for root in (tmp_path, tmp_path / "c", tmp_path / "out" / "runs"):
        with pytest.raises(InputError, match="is no output root: there is no stage and no run in it"):
            collect(type(run.store)(root), keep_s=KEEP, wait_s=WAIT)  # type: ignore[call-arg]
    run.store.put(keys.mark_key("broken"), b"[]")
    with pytest.raises(StoreError, match=r"broken\.json is no mark of garbage collection .*; delete it"):
        call(run.store)


def test_a_record_of_another_version_keeps_what_it_names(spec: dict[str, Any]) -> None:
    run = begin(spec)
    key = keys.run_key(run.run_id, "run.json")
    record = json.loads(run.store.read(key))
    run.store.put(key, json.dumps({"schema_version": 99, "all": {"stages": record}}).encode())
    age(run.store.uri, 28)
    before = held(run.store)
    freed(run)
    assert held(run.store) == before


def test_nothing_is_freed_where_the_record_of_a_run_is_damaged(spec: dict[str, Any]) -> None:
    run = begin(spec)
    key = keys.run_key(run.run_id, "run.json")
    run.store.put(key, run.store.read(key)[:-100])
    age(run.store.uri, 31)
    with pytest.raises(StoreError, match=rf"{run.run_id}/run\.json is damaged, .* nothing is freed; delete that file"):
        collect(run.store, keep_s=KEEP, wait_s=0)


def test_json_says_all(spec: dict[str, Any]) -> None:
    run = begin(spec)
    age(run.store.uri, 31)
    told = json.loads(call(run.store).to_json())
    assert [(total["state"], total["reason"], total["items"]) for total in told["totals"]] == [
        ("marked", "unreferenced stage", 3),
        ("marked", "old run", 1),
    ]
    assert told["items"][0]["until"] == told["next_at"]
    assert told["next_at"].endswith("+00:00")

"""Garbage collection on a folder and on a real S3 server: two calls, many objects, and who may do what."""

import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from halluc_ray.errors import InputError, StoreError
from halluc_ray.retention import Collected, Reason, State, collect, marks
from halluc_ray.storage import ObjectStore, commits, condemned, keys, open_store
from infra.object_store.server import ObjectServer

DAY = 86_400.0
KEEP, WAIT = 30 * DAY, DAY


def stage_name(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(16)}"


def a_run(store: ObjectStore, stages: list[str]) -> str:
    run_id = secrets.token_hex(8)
    record = {"systems": [{"generate": stages[0], "scores": stages[1:-1], "count": stages[-1]}]}
    store.put(keys.run_key(run_id, "run.json"), json.dumps(record).encode())
    store.put(keys.run_key(run_id, "telemetry.json"), b"{}")
    for stage in stages:
        store.put_new(keys.stage_key(stage), b"{}")
    return run_id


def call(store: ObjectStore, *, days: float = 0.0, dry_run: bool = False) -> Collected:
    """A collection so many days from now."""
    return collect(store, keep_s=KEEP, wait_s=WAIT, dry_run=dry_run, now=time.time() + days * DAY)


def test_objects_say_when_they_were_written(store: ObjectStore) -> None:
    store.put("a/b", b"x")
    [listed], info = list(store.list("a/")), store.info("a/b")
    assert info is not None
    assert info.modified == pytest.approx(time.time(), abs=30)
    assert listed.modified == pytest.approx(info.modified, abs=1)
    assert listed == info


def test_mark_then_free(store: ObjectStore) -> None:
    mine = [stage_name("generate"), stage_name("score"), stage_name("count")]
    old = a_run(store, mine)
    for stage in mine:
        commits.publish(store, stage, "a" * 32, parts={"": b"main", "counts": b"c"}, rows=1)
    store.put("specs/0123.json", b'{"run_id":"%s"}' % old.encode())
    store.put(keys.part_key(mine[0], "a" * 32, "dead"), b"lost")

    assert [(total.reason, total.objects) for total in call(store).totals()] == [(Reason.LOST, 1)]
    marked = call(store, days=31)
    assert {item.state for item in marked.items} == {State.MARKED}
    assert (len(marked.items), sum(item.objects for item in marked.items)) == (4, 3 + 9 + 1 + 3)
    with pytest.raises(InputError, match="no output root"):
        collect(open_store(f"{store.uri}/runs", endpoint=getattr(store, "endpoint", None)), keep_s=KEEP, wait_s=WAIT)
    assert {item.state for item in call(store, days=31.5, dry_run=True).items} == {State.FREED}
    assert {item.state for item in call(store, days=32.1).items} == {State.FREED}
    assert list(store.list("")) == []


def test_a_run_waits_for_a_notice_and_outlives_a_dead_collector(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(condemned, "PATIENCE_S", 0.2)
    monkeypatch.setattr(condemned, "_PAUSE_S", 0.05)
    assert not condemned.wait_until_free(store, {"count-1"}, say=said.append)
    with condemned.condemned(store, ["count-1", "count-2"]):
        assert not condemned.wait_until_free(store, {"count-3"}, say=said.append)
        assert said == []
        assert condemned.wait_until_free(store, {"count-2"}, say=said.append)
        assert set(said) == {"waiting: garbage collection frees count-2"}
        assert list(store.list(keys.condemned_key())) == [], "its collector has been silent for too long"
    store.put(keys.condemned_key("x"), b"[1]")
    with pytest.raises(StoreError, match="is no notice of garbage collection"):
        condemned.wait_until_free(store, {"count-2"}, say=said.append)
    monkeypatch.setattr(condemned, "PATIENCE_S", 60.0)
    condemned.forget_old(store, now=time.time())
    assert len(list(store.list(keys.condemned_key()))) == 1
    condemned.forget_old(store, now=time.time() + 70)
    assert list(store.list(keys.condemned_key())) == []


def test_six_thousand_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them lost attempts of a kept run, half in stages that nobody needs."""
    monkeypatch.setattr(marks, "PARTS_PER_MARK", 2_000)
    store = open_store(str(tmp_path / "out"))
    kept = [stage_name("generate"), stage_name("count")]
    a_run(store, kept)
    attic = [stage_name("count") for _ in range(50)]
    for number in range(1_500):
        shard = f"{number:032x}"
        raw_put(tmp_path / "out", keys.part_key(kept[0], shard, "dead"))
        raw_put(tmp_path / "out", keys.part_key(kept[0], shard, "deader"))
        raw_put(tmp_path / "out", keys.part_key(attic[number % 50], shard, "a"))
        raw_put(tmp_path / "out", keys.commit_key(attic[number % 50], shard))
    began = time.monotonic()
    marked = call(store)
    assert len(list(store.list("gc/marks/"))) == 50 + 2
    assert sum(item.objects for item in marked.items) == 6_000
    freed = call(store, days=1.1)
    took = time.monotonic() - began
    assert {item.state for item in freed.items} == {State.FREED}
    assert len(list(store.list(""))) == 4
    assert took < 20, f"{took:.1f} s"


def raw_put(root: Path, key: str) -> None:
    """Without the flush to disk, which would take a minute for so many."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{}")


def test_one_who_may_only_read_can_look_and_nothing_else(
    s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{s3_server.bucket}/retention-{secrets.token_hex(4)}"
    a_run(open_store(uri, endpoint=s3_server.endpoint), [stage_name("count")])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.reader.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.reader.secret)
    reader = open_store(uri, endpoint=s3_server.endpoint)
    assert call(reader, days=31, dry_run=True).totals() != []
    before = list(reader.list(""))
    with pytest.raises(StoreError):
        call(reader, days=31)
    assert list(reader.list("")) == before


def test_four_collectors_at_once(store: ObjectStore) -> None:
    stages = [stage_name(kind) for kind in ("generate", "score", "count") for _ in range(4)]
    a_run(store, stages)
    for stage in stages:
        commits.publish(store, stage, "b" * 32, parts={"": b"x"}, rows=1)
    call(store, days=31)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: call(store, days=32.1), range(4)))
    assert any(item.state is State.FREED for collected in found for item in collected.items)
    for info in store.list("gc/marks/"):
        store.delete(info.key)  # of what another one had freed meanwhile
    assert list(store.list("")) == []

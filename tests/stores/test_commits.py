"""The commit protocol on every store: races, kills, damage."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from halluc_ray.errors import ObjectMissing, StoreError, StoreUnavailable
from halluc_ray.records import Stage, StageKind
from halluc_ray.storage import ObjectStore, commits, keys

STAGE = Stage(StageKind.SCORE, "0123abcd", {"option": 1, "name": "é"})


def parts_of(store: ObjectStore, shard: str = "") -> list[str]:
    return [info.key for info in store.list(keys.parts_prefix(STAGE.name, shard))]


def test_declare_is_idempotent_and_notices_an_altered_store(store: ObjectStore) -> None:
    commits.declare(store, STAGE)
    before = list(store.list(""))
    commits.declare(store, STAGE)
    assert list(store.list("")) == before
    with pytest.raises(StoreError, match="does not hold what its digest covers"):
        commits.declare(store, replace(STAGE, covers={"option": 2}))


def test_published_parts_are_read_back(store: ObjectStore) -> None:
    commit = commits.publish(store, STAGE.name, "s1", parts={"": b"main", "counts": b"c"}, rows=3, notes={"halved": 1})
    assert commits.committed(store, STAGE.name) == {"s1"}
    assert commits.read_commit(store, STAGE.name, "s1") == commit
    assert (commit.rows, commit.notes) == (3, {"halved": 1})
    assert commits.read_part(store, STAGE.name, commit) == b"main"
    assert commits.read_part(store, STAGE.name, commit, "counts") == b"c"
    assert len(store.read(keys.commit_key(STAGE.name, "s1"))) < 1024


def test_publishing_twice_changes_nothing(store: ObjectStore) -> None:
    first = commits.publish(store, STAGE.name, "s1", parts={"": b"one", "counts": b"1"}, rows=1)
    before = list(store.list(""))
    second = commits.publish(store, STAGE.name, "s1", parts={"": b"two", "counts": b"2"}, rows=2)
    assert second == first
    assert list(store.list("")) == before


def test_concurrent_publishers_agree(store: ObjectStore) -> None:
    def publish(number: int) -> object:
        return commits.publish(store, STAGE.name, "s1", parts={"": b"bytes of %d" % number}, rows=number)

    with ThreadPoolExecutor(12) as pool:
        standing = list(pool.map(publish, range(12)))
    assert all(commit == standing[0] for commit in standing)
    assert len(parts_of(store)) == 1
    commit = commits.read_commit(store, STAGE.name, "s1")
    assert commits.read_part(store, STAGE.name, commit) == b"bytes of %d" % commit.rows


def test_sweep_takes_what_lost_and_leaves_the_rest(store: ObjectStore) -> None:
    commit = commits.publish(store, STAGE.name, "s1", parts={"": b"x", "counts": b"c"}, rows=1)
    store.put(keys.part_key(STAGE.name, "s1", "dead", ""), b"x")
    store.put(keys.part_key(STAGE.name, "s1", "dead", "counts"), b"x")
    in_flight = keys.part_key(STAGE.name, "s2", "alive", "")
    store.put(in_flight, b"x")
    assert commits.sweep(store, STAGE.name) == 2
    kept = {keys.part_key(STAGE.name, "s1", commit.attempt, name) for name in ("", "counts")}
    assert set(parts_of(store)) == kept | {in_flight}
    assert commits.sweep(store, STAGE.name) == 0


def test_damage_is_noticed(store: ObjectStore) -> None:
    commit = commits.publish(store, STAGE.name, "s1", parts={"": b"good bytes"}, rows=1)
    key = keys.part_key(STAGE.name, "s1", commit.attempt)
    store.put(key, b"goof bytes")
    with pytest.raises(StoreError, match=r"is damaged.*delete .*/commits/s1.json and run again"):
        commits.read_part(store, STAGE.name, commit)
    store.delete(key)
    with pytest.raises(StoreError, match="is committed, but gone"):
        commits.read_part(store, STAGE.name, commit)
    store.put(keys.commit_key(STAGE.name, "s1"), b"[]")
    with pytest.raises(StoreError, match="is no commit marker"):
        commits.read_commit(store, STAGE.name, "s1")
    with pytest.raises(ObjectMissing):
        commits.read_commit(store, STAGE.name, "s2")


class _LostAnswer:
    """A store whose create-only put is done, told as refused: a retry after a lost answer."""

    def __init__(self, store: ObjectStore, *, answer: bool | None) -> None:
        self._store, self._answer = store, answer

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put_new(self, key: str, data: bytes) -> bool:
        self._store.put_new(key, data)
        if self._answer is None:
            raise StoreUnavailable("no answer")
        return self._answer


def test_a_refusal_may_be_our_own_success(store: ObjectStore) -> None:
    commit = commits.publish(_LostAnswer(store, answer=False), STAGE.name, "s1", parts={"": b"x"}, rows=1)  # type: ignore[arg-type]
    assert commits.read_commit(store, STAGE.name, "s1") == commit
    assert commits.read_part(store, STAGE.name, commit) == b"x"


def test_trying_again_after_a_lost_answer_commits_once(store: ObjectStore) -> None:
    with pytest.raises(StoreUnavailable):
        commits.publish(_LostAnswer(store, answer=None), STAGE.name, "s1", parts={"": b"x"}, rows=1)  # type: ignore[arg-type]
    standing = commits.read_commit(store, STAGE.name, "s1")
    assert commits.publish(store, STAGE.name, "s1", parts={"": b"x"}, rows=1) == standing
    assert len(parts_of(store)) == 1


_KILLED = """
import os, pickle, signal, sys
from halluc_ray.storage import commits
store, when = pickle.loads(bytes.fromhex(sys.argv[1])), sys.argv[2]
real = type(store).put_new
def put_new(self, key, data):
    if when == "after":
        real(self, key, data)
    os.kill(os.getpid(), signal.SIGKILL)
type(store).put_new = put_new
commits.publish(store, sys.argv[3], "s1", parts={"": b"main", "counts": b"c"}, rows=1)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_publisher_killed_at_the_marker(store: ObjectStore, when: str) -> None:
    command = [sys.executable, "-c", _KILLED, pickle.dumps(store).hex(), when, STAGE.name]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    left = parts_of(store)
    assert len(left) == 2
    assert commits.committed(store, STAGE.name) == (set() if when == "before" else {"s1"})

    commit = commits.publish(store, STAGE.name, "s1", parts={"": b"main", "counts": b"c"}, rows=1)
    commits.sweep(store, STAGE.name)
    assert len(parts_of(store)) == 2
    assert (parts_of(store) == left) == (when == "after")
    assert commits.read_part(store, STAGE.name, commit, "counts") == b"c"


_LOOP = """
import pickle, sys
from halluc_ray.storage import commits
store = pickle.loads(bytes.fromhex(sys.argv[1]))
for number in range(10_000):
    commits.publish(store, sys.argv[2], f"s{number:05d}", parts={"": bytes(200_000), "counts": b"c"}, rows=number)
    sys.stdout.write("."); sys.stdout.flush()
"""


def test_a_publisher_killed_anywhere(store: ObjectStore) -> None:
    for until in (3, 11, 17):
        child = subprocess.Popen(
            [sys.executable, "-c", _LOOP, pickle.dumps(store).hex(), STAGE.name], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert len(child.stdout.read(until)) == until
        child.kill()
        child.wait(30)
        child.stdout.close()
    done = commits.committed(store, STAGE.name)
    assert len(done) >= 17
    before = {shard: commits.read_commit(store, STAGE.name, shard) for shard in done}
    for number in range(len(done) + 1):
        commits.publish(store, STAGE.name, f"s{number:05d}", parts={"": bytes(200_000), "counts": b"c"}, rows=number)
    commits.sweep(store, STAGE.name)
    now = {shard: commits.read_commit(store, STAGE.name, shard) for shard in commits.committed(store, STAGE.name)}
    assert now | before == now
    assert len(parts_of(store)) == 2 * len(now)
    for commit in now.values():
        assert commits.read_part(store, STAGE.name, commit) == bytes(200_000)

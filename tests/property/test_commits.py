"""Publishers that die at any step, in any order: each shard commits once, and what is committed stands."""

import contextlib
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from halluc_ray.records import Commit
from halluc_ray.storage import ObjectStore, commits, keys, open_store

STAGE = "count-00"
SHARDS = st.sampled_from(["a", "b", "ab"])


class Died(BaseException):
    """The publisher's process is gone; nothing after it runs."""


class Mortal:
    """A real store whose caller dies around its n-th write: before it, or after it took effect."""

    def __init__(self, store: ObjectStore, *, writes: int, effect: bool) -> None:
        self._store, self._left, self._effect = store, writes, effect

    def __getattr__(self, name: str) -> object:
        found = getattr(self._store, name)
        if name not in ("put", "put_new", "delete"):
            return found

        def mortal(*args: object) -> object:
            self._left -= 1
            if self._left > 0:
                return found(*args)
            if self._effect:
                found(*args)
            raise Died

        return mortal


class Publishers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(self.folder.name)
        self.standing: dict[str, Commit] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(shard=SHARDS, number=st.integers(0, 99))
    def publish(self, shard: str, number: int) -> None:
        commit = commits.publish(self.store, STAGE, shard, parts={"": b"%d" % number, "c": b"c"}, rows=number)
        assert self.standing.setdefault(shard, commit) == commit

    @rule(shard=SHARDS, number=st.integers(0, 99), writes=st.integers(1, 5), effect=st.booleans())
    def publish_and_die(self, shard: str, number: int, writes: int, effect: bool) -> None:
        mortal = Mortal(self.store, writes=writes, effect=effect)
        with contextlib.suppress(Died):
            commits.publish(mortal, STAGE, shard, parts={"": b"%d" % number, "c": b"c"}, rows=number)  # type: ignore[arg-type]
        if shard in commits.committed(self.store, STAGE):
            self.standing.setdefault(shard, commits.read_commit(self.store, STAGE, shard))

    @rule(writes=st.integers(1, 3), effect=st.booleans())
    def sweep_and_die(self, writes: int, effect: bool) -> None:
        with contextlib.suppress(Died):
            commits.sweep(Mortal(self.store, writes=writes, effect=effect), STAGE)  # type: ignore[arg-type]

    @rule()
    def sweep(self) -> None:
        commits.sweep(self.store, STAGE)
        for shard, commit in self.standing.items():
            left = {info.key for info in self.store.list(keys.parts_prefix(STAGE, shard))}
            assert left == {keys.part_key(STAGE, shard, commit.attempt, name) for name in ("", "c")}

    @invariant()
    def what_is_committed_stands(self) -> None:
        assert commits.committed(self.store, STAGE) == self.standing.keys()
        for shard, commit in self.standing.items():
            assert commits.read_commit(self.store, STAGE, shard) == commit
            assert commits.read_part(self.store, STAGE, commit) == b"%d" % commit.rows
            assert commits.read_part(self.store, STAGE, commit, "c") == b"c"


TestPublishers = Publishers.TestCase
TestPublishers.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)

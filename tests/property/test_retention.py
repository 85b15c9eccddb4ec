"""Runs that start, die, grow old and are named by nights, and collectors that die: what a kept run needs stands."""

import contextlib
import json
import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from halluc_ray.retention import collect
from halluc_ray.storage import ObjectStore, commits, condemned, keys, open_store
from tests.unit.retention.aged import DAY, Died, Dying, age, broken_commits

KEEP_DAYS = 30.0
SHARDS = ("a" * 32, "b" * 32)
STAGES = [f"{kind}-{digit * 32}" for kind in ("generate", "score", "count") for digit in "01"]
RUNS = {
    "0" * 16: (STAGES[0], STAGES[2], STAGES[4]),
    "1" * 16: (STAGES[0], STAGES[2], STAGES[5]),
    "2" * 16: (STAGES[1], STAGES[3], STAGES[5]),
}
DEATHS = {"writes": st.integers(1, 30), "effect": st.booleans()}
A_RUN = st.sampled_from(sorted(RUNS))


def content(stage: str, shard: str) -> bytes:
    return f"{stage} {shard}".encode()


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(self.folder.name)
        self.store.put("suites/qa/index.html", b"history makes it an output root")
        self.days = 0.0
        self.whole_since: dict[str, float] = {}  # run -> day of its last sign
        self.named: set[str] = set()

    def teardown(self) -> None:
        for _ in range(2):
            age(self.folder.name, 400)
            self.collect(self.store)
        left = {key.split("/")[1] for key in self.keys("stages/")}
        assert left == {stage for run in self.named for stage in RUNS[run]}
        assert {key.split("/")[1] for key in self.keys("runs/")} == self.named
        self.folder.cleanup()

    def keys(self, prefix: str) -> list[str]:
        return [info.key for info in self.store.list(prefix)]

    def collect(self, store: ObjectStore) -> None:
        collect(store, keep_s=KEEP_DAYS * DAY, wait_s=DAY)

    def start(self, run: str, store: ObjectStore) -> None:
        """As a run starts and computes: show itself, heed notices, commit what is missing."""
        store.put_new(keys.run_key(run, "run.json"), json.dumps(RUNS[run]).encode())
        store.put(keys.run_key(run, "telemetry.json"), b"{}")
        condemned.wait_until_free(store, RUNS[run], say=lambda message: None)
        for stage in RUNS[run]:
            store.put_new(keys.stage_key(stage), b"{}")
            for shard in SHARDS:
                if not commits.is_committed(store, stage, shard):
                    commits.publish(store, stage, shard, parts={"": content(stage, shard), "c": b"c"}, rows=1)

    @rule(run=A_RUN)
    def run_to_the_end(self, run: str) -> None:
        self.start(run, self.store)
        self.whole_since[run] = self.days

    @rule(run=A_RUN, **DEATHS)
    def run_and_die(self, run: str, writes: int, effect: bool) -> None:
        with contextlib.suppress(Died):
            self.start(run, Dying(self.folder.name, writes=writes, effect=effect))

    @rule(days=st.sampled_from([0.5, 1.1, 20.0, 31.0]))
    def wait(self, days: float) -> None:
        age(self.folder.name, days)
        self.days += days

    @rule(run=A_RUN)
    def record_a_night(self, run: str) -> None:
        if run in self.kept():
            self.store.put_new(keys.night_key("qa", f"2026-11-24-{run}.json"), f'{{"run_id":"{run}"}}'.encode())
            self.named.add(run)

    @rule()
    def collect_garbage(self) -> None:
        self.collect(self.store)

    @rule(**DEATHS)
    def collect_garbage_and_die(self, writes: int, effect: bool) -> None:
        with contextlib.suppress(Died):
            self.collect(Dying(self.folder.name, writes=writes, effect=effect))
        for key in self.keys(keys.condemned_key()):
            self.store.delete(key)  # as a run does when it has waited for long enough

    def kept(self) -> set[str]:
        """Runs that were whole, and whose last sign is young or that a night names."""
        young = {run for run, since in self.whole_since.items() if self.days - since < KEEP_DAYS}
        return young | (self.named & self.whole_since.keys())

    @invariant()
    def what_a_kept_run_needs_stands(self) -> None:
        assert broken_commits(self.store) == []
        for run in self.kept():
            for stage in RUNS[run]:
                for shard in SHARDS:
                    commit = commits.read_commit(self.store, stage, shard)
                    assert commits.read_part(self.store, stage, commit) == content(stage, shard)
                    assert commits.read_part(self.store, stage, commit, "c") == b"c"


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)

"""A run that starts while a collector frees what it stands on, interleaved call by call; collectors that die."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from halluc_ray.config.load import spec_digest
from halluc_ray.engine.plan import Plan
from halluc_ray.errors import HallucRayError
from halluc_ray.evaluation import runs, starting
from halluc_ray.evaluation.planning import done_shards
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.retention import collect, collecting, contents, kept, marks, sweeping
from halluc_ray.storage import ObjectStore, commits, condemned, keys, open_store
from tests.unit.engine.whole import answers, begin, compute, plan_of, report_of, spec_of, write
from tests.unit.retention.aged import DAY, Died, Dying, Watched, age, broken_commits, held, listing

KEEP, WAIT = 30 * DAY, DAY
HISTORY = "suites/qa/index.html"


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls come in one order, nobody waits long or for the disk, and nobody looks up versions hundreds of times."""
    for module in (collecting, contents, kept, marks):
        monkeypatch.setattr(module, "READERS", 1)
    monkeypatch.setattr(sweeping, "_THREADS", 1)
    monkeypatch.setattr(condemned, "_PAUSE_S", 0.002)
    monkeypatch.setattr(runs, "_versions", dict)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    return spec_of(write(tmp_path / "c" / "one.parquet", answers(range(4))), tmp_path / "out")


@pytest.fixture
def ripe(spec: dict[str, Any], tmp_path: Path) -> Path:
    """A store with an old run of one shard, all of it marked a day ago."""
    run = begin(spec)
    age(run.store.uri, 31)
    collect(run.store, keep_s=KEEP, wait_s=WAIT)
    age(run.store.uri, 1.01)
    run.store.put(HISTORY, b"kept")
    shutil.move(tmp_path / "out", tmp_path / "ripe")
    return tmp_path / "ripe"


class Collector:
    """A collection in a thread, which stops before its n-th call from the notice on until it is let go."""

    def __init__(self, root: str, *, stop: int) -> None:
        self.calls = 0
        self._left, self._noticed = stop, False
        self._reached, self._released = threading.Event(), threading.Event()
        self._store = Watched(root, self._before)
        self._error: HallucRayError | None = None
        self._thread = threading.Thread(target=self._run)

    def run_until_it_stops(self) -> None:
        self._thread.start()
        assert self._reached.wait(20)

    def let_go(self) -> None:
        self._released.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def _before(self, name: str, key: str) -> None:
        self._noticed = self._noticed or (name == "put" and key.startswith("gc/condemned/"))
        if self._noticed:
            self.calls += 1
            self._left -= 1
            if self._left < 0 and not self._released.is_set():
                self._reached.set()
                self._released.wait(20)

    def _run(self) -> None:
        try:
            collect(self._store, keep_s=KEEP, wait_s=WAIT)
        except HallucRayError as error:
            self._error = error
        self._reached.set()


def relied_on(run: RunFolder, plan: Plan, *, say: Callable[[str], None]) -> dict[str, frozenset[str]]:
    """What a run takes as done when it starts."""
    starting.begin(run, plan, say=say)
    return done_shards(run.store, plan)


def schedules(ripe: Path, spec: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Where the collector stops, and before which call of the run's start it goes on, or begins."""
    shutil.copytree(ripe, spec["output"])
    whole = Collector(spec["output"], stop=10_000)
    whole.run_until_it_stops()
    whole.let_go()
    assert list(listing(open_store(spec["output"]))) == [HISTORY]
    shutil.rmtree(spec["output"])
    assert 15 < whole.calls < 60
    yield from ((stop, call) for stop in range(whole.calls + 1) for call in range(1, 10))


@pytest.mark.parametrize("same_run", [True, False], ids=["the old run again", "another run of the same stages"])
def test_a_run_starts_while_what_it_needs_is_freed(ripe: Path, spec: dict[str, Any], same_run: bool) -> None:
    starts = spec if same_run else spec | {"systems": [{"kind": "recorded", "name": "renamed"}]}
    plan = plan_of(starts)
    waited = 0
    for stop, call in schedules(ripe, spec):
        if not same_run and (stop + call) % 3:
            continue
        shutil.copytree(ripe, spec["output"])
        collector = Collector(spec["output"], stop=stop)
        collector.run_until_it_stops()
        calls = 0

        def before(name: str, key: str, *, call: int = call, collector: Collector = collector) -> None:
            nonlocal calls
            calls += 1
            if calls == call:
                collector.let_go()

        run = RunFolder(Watched(spec["output"], before), plan.run_id)
        said: list[str] = []
        done = relied_on(run, plan, say=said.append)
        collector.let_go()
        waited += bool(said)
        check(run, plan, done)
        shutil.rmtree(spec["output"])
    assert waited > 10


def test_a_start_that_is_held_up_while_a_collector_works(ripe: Path, spec: dict[str, Any]) -> None:
    """The other way round: the run stops before its n-th call, and the collector before any of its own."""
    plan = plan_of(spec)
    for stop, call in schedules(ripe, spec):
        shutil.copytree(ripe, spec["output"])
        collector = Collector(spec["output"], stop=stop)
        calls = 0

        def before(name: str, key: str, *, call: int = call, collector: Collector = collector) -> None:
            nonlocal calls
            calls += 1
            if calls == call:
                collector.run_until_it_stops()

        run = RunFolder(Watched(spec["output"], before), plan.run_id)
        done = relied_on(run, plan, say=lambda message, collector=collector: collector.let_go())
        if calls >= call:
            collector.let_go()
        check(run, plan, done)
        shutil.rmtree(spec["output"])


def check(run: RunFolder, plan: Plan, done: dict[str, frozenset[str]]) -> None:
    """What the run took as done is there, and its record too; what is missing is computed."""
    store = open_store(run.store.uri)
    assert broken_commits(store) == []
    for stage, shards in done.items():
        for shard in shards:
            commit = commits.read_commit(store, stage, shard)
            for part in commit.parts:
                commits.read_part(store, stage, commit, part)
    assert run.record() == plan.record
    assert len(listing(store, "specs/")) >= 1


@pytest.mark.parametrize("effect", [True, False], ids=["after the write", "before it"])
def test_a_collector_killed_anywhere(
    ripe: Path, spec: dict[str, Any], effect: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ripe, spec["output"])
    report = report_of(begin(spec))
    monkeypatch.setattr(condemned, "PATIENCE_S", 0.0)
    deaths, died = 0, True
    while died:
        deaths += 1
        shutil.rmtree(spec["output"])
        shutil.copytree(ripe, spec["output"])
        died = dies(spec["output"], writes=deaths, effect=effect)
        store = open_store(spec["output"])
        assert broken_commits(store) == []
        files = [key.rpartition("/")[2] for key in listing(store, "runs/")]
        assert not files or "run.json" in files, "a run's record goes last"
        if deaths % 3 == 0:
            assert starts_again(spec) == report
        else:
            collect(store, keep_s=KEEP, wait_s=WAIT)
            age(spec["output"], 1.01)
            collect(store, keep_s=KEEP, wait_s=WAIT)
            assert list(listing(store)) == [HISTORY]
    assert deaths > 15


def dies(root: str, *, writes: int, effect: bool) -> bool:
    try:
        collect(Dying(root, writes=writes, effect=effect), keep_s=KEEP, wait_s=WAIT)
    except Died:
        return True
    return False


def starts_again(spec: dict[str, Any]) -> dict[str, Any]:
    plan = plan_of(spec)
    run = RunFolder(open_store(spec["output"]), plan.run_id)
    starting.begin(run, plan, say=lambda message: None)
    compute(plan, run.store)
    return report_of(run)


def test_two_collectors_at_once(ripe: Path, spec: dict[str, Any]) -> None:
    shutil.copytree(ripe, spec["output"])
    kept_run = begin(spec | {"slices": ["topic"]})
    before = held(kept_run.store)
    collectors = [Collector(spec["output"], stop=10_000) for _ in range(4)]
    for collector in collectors:
        collector._thread.start()
    for collector in collectors:
        collector.let_go()
    assert broken_commits(kept_run.store) == []
    collect(kept_run.store, keep_s=KEEP, wait_s=WAIT)
    old = plan_of(spec)
    alone = (old.run_id, old.context.systems[0].count.name, spec_digest(old.context.spec), "gc/")
    assert held(kept_run.store) == {key: data for key, data in before.items() if not any(name in key for name in alone)}


def test_deleting_stops_when_the_look_is_old(ripe: Path, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that is held up for too long announces, and looks, again."""
    shutil.copytree(ripe, spec["output"])
    notices = 0
    over = iter([False] * 4 + [True] + [False] * 1000)

    def before(name: str, key: str) -> None:
        nonlocal notices
        notices += name == "put" and key.startswith(keys.condemned_key())

    monkeypatch.setattr(sweeping._Until, "is_over", property(lambda self: next(over)))
    store: ObjectStore = Watched(spec["output"], before)
    found = collect(store, keep_s=KEEP, wait_s=WAIT)
    assert notices == 2
    assert sum(item.objects for item in found.items) == 10
    assert list(listing(store)) == [HISTORY]

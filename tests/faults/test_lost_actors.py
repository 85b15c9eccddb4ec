"""Actors that are of no use any more are replaced; what can never work ends the run at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from halluc_ray.engine import driver as driving
from halluc_ray.engine.driver import Driven, Driver
from halluc_ray.engine.placement import Placement
from halluc_ray.engine.tally import Tally
from halluc_ray.engine.worker import HallucRayWorker
from halluc_ray.errors import HallucRayError, ModelError, StoreUnavailable, WorkerLost
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.storage import open_store
from halluc_ray.storage.probe import leave_nonce
from tests.unit.engine.whole import answers, plan_of, spec_of, write

SHARDS = 8


def drive(monkeypatch: pytest.MonkeyPatch, folder: Path, worker: type[HallucRayWorker], *, actors: int = 1) -> Driven:
    """Run eight shards of recorded answers with another worker in the actors' place."""
    corpus = write(folder / "c" / "a.parquet", answers(range(5 * SHARDS)), group_rows=5)
    plan = plan_of(spec_of(corpus, folder / "out", engine={"shard_rows": 5, "actors": actors}))
    store = open_store(plan.context.spec.output)
    tasks = missing_tasks(plan, done_shards(store, plan))
    assert len(tasks) == SHARDS
    monkeypatch.setattr(driving, "HallucRayWorker", worker)
    placement = Placement("cpu", None, 2, {"num_cpus": 1})
    tally = Tally(plan, tasks)
    made = Driver(plan, tasks, placement=placement, nonce=leave_nonce(store), tally=tally, on_tick=lambda: None)
    driven = made.run()
    committed = done_shards(store, plan)
    assert len(committed[plan.context.systems[0].count.name]) == SHARDS - len(driven.given_up)
    return driven


def first(folder: Path, mark: str) -> bool:
    """Whether no process has said this before."""
    try:
        (folder / mark).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def lasting(error: HallucRayError, folder: Path) -> type[HallucRayWorker]:
    """A worker class whose first actor reports `error` for every task, ever after."""

    class Sick(HallucRayWorker):
        _sick: bool | None = None

        def run(self, task: Any) -> Any:
            report = super().run(task) if not self._is_sick() else None
            return report or driving.ShardReport(task.key, {}, {}, {}, {}, error)

        def _is_sick(self) -> bool:
            if self._sick is None:
                self._sick = first(folder, "sick")
            return self._sick

    return Sick


def test_an_actor_that_lost_its_device_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ray_here: None
) -> None:
    driven = drive(monkeypatch, tmp_path, lasting(WorkerLost("the device is gone"), tmp_path))
    assert not driven.given_up
    assert [actor["shards"] for actor in driven.actors] == [0, SHARDS]


def test_an_actor_that_misses_the_store_once_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ray_here: None
) -> None:
    class Hasty(HallucRayWorker):
        def sit(self) -> Any:
            seat, trouble = super().sit()
            return seat, StoreUnavailable("no answer") if first(tmp_path, "sat") else trouble

    assert [actor["shards"] for actor in drive(monkeypatch, tmp_path, Hasty).actors] == [SHARDS]


def test_actors_that_never_come_up_say_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ray_here: None) -> None:
    class Stillborn(HallucRayWorker):
        def sit(self) -> Any:
            seat, _ = super().sit()
            return seat, StoreUnavailable("the bucket sleeps")

    monkeypatch.setattr(driving, "MAX_LOST_IN_A_ROW", 2)
    with pytest.raises(WorkerLost, match=r"2 actors were lost one after another.*the bucket sleeps"):
        drive(monkeypatch, tmp_path, Stillborn)


def test_a_model_that_can_not_be_run_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ray_here: None
) -> None:
    with pytest.raises(ModelError, match="no weights"):
        drive(monkeypatch, tmp_path, lasting(ModelError("no weights for the head"), tmp_path))

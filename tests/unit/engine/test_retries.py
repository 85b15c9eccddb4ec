"""A task that is tried again asks no model for what an earlier try committed."""

from pathlib import Path

import pytest

from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.errors import StoreUnavailable
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.wiring.indicators import wire_indicators
from tests.unit.engine.checkpoints import save_checkpoint
from tests.unit.engine.test_scoring import Echo
from tests.unit.engine.whole import answers, plan_of, spec_of, write


class Flaky:
    """A real store that does not answer when the first score is written."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self._failed = store, False

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes) -> object:
        if key.startswith("stages/score-") and not self._failed:
            self._failed = True
            raise StoreUnavailable("no answer")
        return self._store.put(key, data)


def test_a_second_try_reads_the_generation_that_the_first_committed(tmp_path: Path) -> None:
    corpus = write(tmp_path / "c" / "one.parquet", answers(range(4)))
    model = {"kind": "causal-lm", "name": "m", "checkpoint": str(save_checkpoint(tmp_path / "model"))}
    plan = plan_of(spec_of(corpus, tmp_path / "out", systems=[model]))
    store = open_store(plan.context.spec.output)
    asked: list[str] = []

    def generator_for(system: object) -> Echo:
        asked.append("model")
        return Echo()

    indicators = [wired.indicator for wired in wire_indicators(plan.context.spec.indicators)]
    runner = ShardRunner(plan.context, store=Flaky(store), indicators=indicators, generator_for=generator_for)
    [task] = missing_tasks(plan, done_shards(store, plan))
    with pytest.raises(StoreUnavailable):
        runner.run(task)
    before = list(store.list("stages/generate-"))
    report = runner.run(task)
    assert asked == ["model"]
    assert set(report.committed) == task.missing
    assert list(store.list("stages/generate-")) == before
    assert not missing_tasks(plan, done_shards(store, plan))

"""Several draws of a row tell less than as many rows."""

from pathlib import Path

import pyarrow as pa
import pytest

from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.evaluation.comparing import compare
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.models.execution import Generated
from halluc_ray.records.schemas import GENERATIONS
from halluc_ray.storage import open_store
from halluc_ray.wiring.indicators import wire_indicators
from tests.unit.engine.checkpoints import save_checkpoint
from tests.unit.engine.whole import answers, begin, plan_of, report_of, spec_of, write


class Stubborn:
    """Says the same in each of its draws: the truth for even ids, a wrong number for odd ones."""

    def __init__(self, draws: int) -> None:
        self.draws = draws

    def generate(self, samples: list, failures: list) -> Generated:
        assert not failures
        units = [(sample, draw) for sample in samples for draw in range(self.draws)]
        said = [str(int(sample.id[1:]) + 1 + int(sample.id[1:]) % 2) for sample, _ in units]
        columns = {name: [None] * len(units) for name in GENERATIONS.names} | {
            "row": [sample.row for sample, _ in units],
            "draw": [draw for _, draw in units],
            "id": [sample.id for sample, _ in units],
            "text": said,
        }
        return Generated(pa.table(columns, schema=GENERATIONS), {})

    def close(self) -> None:
        pass


def run_with(folder: Path, draws: int) -> RunFolder:
    corpus = write(folder / "c" / "one.parquet", answers(range(200)), group_rows=50)
    decoding = {"samples": draws, "temperature": 0.7} if draws > 1 else {}
    checkpoint = save_checkpoint(folder / "model")
    model = {"kind": "causal-lm", "name": "m", "checkpoint": str(checkpoint), "decoding": decoding}
    plan = plan_of(spec_of(corpus, folder / "out", systems=[model], engine={"shard_rows": 50}))
    run = RunFolder(open_store(plan.context.spec.output), plan.run_id)
    run.begin(plan)
    indicators = [wired.indicator for wired in wire_indicators(plan.context.spec.indicators)]
    runner = ShardRunner(
        plan.context, store=run.store, indicators=indicators, generator_for=lambda system: Stubborn(draws)
    )
    for task in missing_tasks(plan, done_shards(run.store, plan)):
        runner.run(task)
    return run


def report_with(folder: Path, draws: int) -> dict:
    return report_of(run_with(folder, draws))


def test_draws_that_agree_narrow_no_interval(tmp_path: Path) -> None:
    once, thrice = report_with(tmp_path / "1", 1), report_with(tmp_path / "3", 3)
    [one], [three] = once["rates"], thrice["rates"]
    assert (three["rows"], three["rate"]) == (3 * one["rows"], one["rate"])
    assert three["high"] - three["low"] == pytest.approx(one["high"] - one["low"], rel=0.1)  # ids share buckets
    [clusters] = thrice["clusters"]
    assert clusters["design_effect"] == pytest.approx(3, rel=0.2)
    assert once["clusters"] == []
    assert "ci:wilson-draws@" in thrice["signature"]
    assert "ci:wilson@" in once["signature"]


def test_draws_of_a_row_are_one_cluster_of_pairs(tmp_path: Path) -> None:
    run = run_with(tmp_path, 3)
    clerk = begin(spec_of(tmp_path / "c", tmp_path / "out2", engine={"shard_rows": 200}))
    found = compare(clerk.uri, run.uri, systems=("clerk", "m"))
    pairing, [whole] = found.pairings[0], found.overall()
    assert (pairing.units_a, pairing.units_b, pairing.paired, pairing.only_b) == (200, 600, 200, 400)
    assert (whole.test, whole.clusters, pairing.cluster) == ("clusters", whole.pairs, "draws")
    [same] = compare(run.uri, run.uri).overall()
    assert same.clusters == same.pairs / 3

"""Failed units stay away from indicators; undecodable bytes fail under those that read them."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.config import RunSpec
from halluc_ray.engine.plan import build_plan
from halluc_ray.engine.scoring import batch_of, decide, score_units
from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.engine.units import Units
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.indicators.answer_mismatch import AnswerMismatch
from halluc_ray.indicators.protocol import IndicatorOptions, decide_at
from halluc_ray.indicators.rows import Verdict, score_rows
from halluc_ray.models.execution import Generated
from halluc_ray.records import Outcome
from halluc_ray.records.schemas import GENERATIONS
from halluc_ray.storage import commits, open_store, parquet
from halluc_ray.wiring.indicators import wire_indicators
from tests.unit.engine.checkpoints import save_checkpoint
from tests.unit.engine.test_rows import reader, shards
from tests.unit.engine.whole import spec_of, write

assert reader  # the fixture


class Watcher:
    """Scores 1 for every response that says so, and remembers what it was shown."""

    kind: ClassVar[str] = "watcher"
    semantics_version: ClassVar[int] = 1
    recorded_only: ClassVar[bool] = False
    Options: ClassVar[type[IndicatorOptions]] = IndicatorOptions
    columns = frozenset({"response", "reference"})

    def __init__(self):
        self.seen = []

    def score(self, batch):
        self.seen += list(zip(batch.values("response"), batch.values("reference"), strict=True))
        return score_rows(batch, ("response",), lambda text: Verdict(float(text == "wrong"), reason="read"))

    def decide(self, score, state):
        return decide_at(score, state, at=1.0)


def units_of(generations, rows):
    length = len(generations["row"])
    columns = {name: generations.get(name, [None] * length) for name in GENERATIONS.names}
    return Units.of(pa.table(columns, schema=GENERATIONS), rows)


@pytest.fixture
def rows(reader):
    table = pa.table({"id": ["a", "b", "c"], "truth": [b"x", b"\xff", b"z"]})
    read, parquet = reader(table, id="id", reference="truth")
    return read.read(shards(parquet, 10)[0], columns={"truth"})


DRAWS = {
    "row": [0, 0, 1, 1, 2, 2],
    "draw": [0, 1] * 3,
    "id": ["a", "a", "b", "b", "c", "c"],
    "failure": [None, "model_error", None, None, "null_prompt", "null_prompt"],
    "text": ["wrong", None, "right", "wrong", None, None],
}


def test_failed_units_never_reach_an_indicator_and_draws_keep_their_row(rows):
    units, watcher = units_of(DRAWS, rows), Watcher()
    batch = batch_of(units, watcher.columns, generated=frozenset({"response"}), labels={})
    table = score_units(watcher, units, batch, read=frozenset({"reference"}))
    assert watcher.seen == [("wrong", ["x"]), ("right", None), ("wrong", None)]
    assert table["reason"].to_pylist() == [
        "read", "model_error", "undecodable_reference", "undecodable_reference", "null_prompt", "null_prompt"
    ]  # fmt: skip
    assert table["draw"].to_pylist() == [0, 1] * 3
    outcomes = [Outcome(code).label for code in decide(watcher, table)]
    assert outcomes == ["hallucinated", *["failed"] * 5]


def test_per_unit_repeats_rows_for_their_draws(rows):
    units = units_of(DRAWS, rows)
    assert units.per_unit(pa.array([10, 20, 30])).to_pylist() == [10, 10, 20, 20, 30, 30]
    assert units.column("column:truth").to_pylist()[::2] == [b"x", b"\xff", b"z"]


def test_a_shard_that_failed_whole_asks_no_indicator(rows):
    class Refusing(Watcher):
        def score(self, batch):
            raise AssertionError("asked")

    failed = DRAWS | {"failure": ["null_prompt"] * 6, "text": [None] * 6}
    units = units_of(failed, rows)
    table = score_units(
        Refusing(),
        units,
        batch_of(units, Watcher.columns, generated=frozenset({"response"}), labels={}),
        read=frozenset({"reference"}),
    )
    assert table["state"].to_pylist() == [Outcome.FAILED] * 6
    assert set(table["reason"].to_pylist()) == {"null_prompt"}


def test_what_judges_recorded_answers_only(rows):
    table = score_units(Watcher(), units_of(DRAWS, rows), None, read=frozenset())
    assert [Outcome(code).label for code in decide(Watcher(), table)] == [
        "not_applicable", "failed", "not_applicable", "not_applicable", "failed", "failed"
    ]  # fmt: skip
    assert table["reason"][0].as_py() == "no_such_output"


def test_no_units(reader):
    read, parquet = reader(where="a < 0", id="id", reference="answers")
    rows = read.read(shards(parquet, 10)[0], columns={"answers"})
    empty = units_of({name: [] for name in ("row", "draw", "id", "failure", "text")}, rows)
    indicator = AnswerMismatch(AnswerMismatch.Options())
    batch = batch_of(empty, indicator.columns, generated=frozenset({"response"}), labels={})
    table = score_units(indicator, empty, batch, read=frozenset({"reference"}))
    assert table.num_rows == len(decide(indicator, table)) == 0


class Echo:
    """A generator that answers `yes` to every row it is given."""

    def generate(self, samples, failures):
        rows = sorted([(s.row, s.id, None) for s in samples] + [(f.row, f.id, f.reason) for f in failures])
        columns = {name: [None] * len(rows) for name in GENERATIONS.names} | {
            "row": [row for row, _, _ in rows],
            "draw": [0] * len(rows),
            "id": [id_ for _, id_, _ in rows],
            "failure": [reason for *_, reason in rows],
            "text": [None if reason else "yes" for *_, reason in rows],
        }
        return Generated(pa.table(columns, schema=GENERATIONS), {})

    def close(self):
        pass


@pytest.mark.parametrize("corpus", [{}, {"where": "answer IS NOT NULL"}])
def test_recorded_bytes_do_not_fail_what_a_model_said(tmp_path, corpus):
    """The corpus' own answers are another system's; that they can't be read is not the model's fault."""
    table = {"id": ["a", "b"], "question": ["q?", "r?"], "truth": ["yes", "yes"], "answer": [b"\xff", b"no"]}
    uri = write(tmp_path / "c" / "one.parquet", pa.table(table))
    model = {"kind": "causal-lm", "name": "m", "checkpoint": str(save_checkpoint(tmp_path / "model"))}
    spec = RunSpec.model_validate(
        spec_of(uri, tmp_path / "out", systems=[model, {"kind": "recorded", "name": "clerk"}], corpus=corpus)
    )
    plan, store = build_plan(spec, device="cpu"), open_store(spec.output)
    indicators = [wired.indicator for wired in wire_indicators(spec.indicators)]
    runner = ShardRunner(plan.context, store=store, indicators=indicators, generator_for=lambda system: Echo())
    for task in missing_tasks(plan, done_shards(store, plan)):
        runner.run(task)
    found = []
    for system in plan.context.systems:
        commit = commits.read_commit(store, system.count.name, plan.shards(system)[0].key)
        verdicts = parquet.decode(commits.read_part(store, system.count.name, commit))
        found.append([Outcome(code).label for code in verdicts["outcome_0"].to_pylist()])
    assert found == [["supported", "supported"], ["failed", "hallucinated"]]


def test_scores_survive_their_parquet(rows):
    units = units_of(DRAWS, rows)
    indicator = AnswerMismatch(AnswerMismatch.Options())
    table = score_units(
        indicator,
        units,
        batch_of(units, indicator.columns, generated=frozenset({"response"}), labels={}),
        read=frozenset({"reference"}),
    )
    again = pq.read_table(pa.BufferReader(parquet.encode(table)))
    assert np.array_equal(decide(indicator, table), decide(indicator, again))

"""Records go to disk and to other processes and come back the same."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from halluc_ray.config import canonical_json, digest
from halluc_ray.records import OUTCOMES, Shard, ShardSource
from halluc_ray.records.counts import exact_sums, merge, sum_of_limbs
from halluc_ray.records.runs import RunRecord
from halluc_ray.records.schemas import COUNTS, SCORED, verdict_schema
from tests.unit.engine.whole import answers, plan_of, spec_of, write


def test_six_outcomes_and_none_is_the_mark_of_a_score():
    assert [outcome.label for outcome in OUTCOMES] == [
        "hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed"
    ]  # fmt: skip
    assert [int(outcome) for outcome in OUTCOMES] == list(range(6))
    assert SCORED not in list(OUTCOMES)


@pytest.fixture
def plan(tmp_path):
    corpus = write(tmp_path / "c" / "one.parquet", answers(range(20)), group_rows=12)
    return plan_of(spec_of(corpus, tmp_path / "out", slices=["topic", ["topic", "source"]]))


def test_a_run_record_comes_back_from_its_json(plan):
    text = canonical_json(plan.record.model_dump(mode="json"))
    again = RunRecord.model_validate_json(text)
    assert again == plan.record
    assert digest(again.model_dump(mode="json"), length=16) == plan.run_id
    [system] = again.systems
    assert tuple(again.shards(system)) == plan.shards(plan.context.systems[0])


def test_what_actors_are_given_crosses_processes(plan):
    again = pickle.loads(pickle.dumps(plan.context))
    assert again.systems == plan.context.systems
    assert again.selection == plan.context.selection


def test_rows_of_a_shard():
    shard = Shard("k", ShardSource("f", 2, 3, 10, 25))
    assert shard.source.num_rows == 15
    assert pickle.loads(pickle.dumps(shard)) == shard


def test_zeros_leave_the_counts_and_keys_are_sorted():
    def row(stat, value):
        return pa.table({n: [v] for n, v in zip(COUNTS.names, ("t", 0, "[]", "", 0, stat, value), strict=True)}, COUNTS)

    merged = merge([row("b", 1), row("a", 2), row("c", 5), row("c", -5)])
    assert list(zip(merged["stat"].to_pylist(), merged["value"].to_pylist(), strict=True)) == [("a", 2), ("b", 1)]
    assert merged.schema == COUNTS


def test_sums_by_group_keep_what_floats_lose():
    values = np.array([1e16, 1.0, -1e16, 0.1, 0.2, -0.3, 0.0])
    groups = np.array([0, 0, 0, 1, 1, 1, 2])
    limbs = dict(exact_sums(values, groups, num_groups=3))
    totals = [float(sum_of_limbs({f"limb_{k}": int(t[group]) for k, t in limbs.items()})) for group in range(3)]
    assert totals == [1.0, 2.7755575615628914e-17, 0.0]


def test_one_outcome_column_per_indicator():
    assert [name for name in verdict_schema(3).names if name.startswith("outcome_")] == [
        f"outcome_{k}" for k in range(3)
    ]

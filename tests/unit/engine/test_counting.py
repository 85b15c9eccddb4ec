"""Counts of a whole shard by hand, and the column types that slices and clusters may have."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from halluc_ray.engine import counting
from halluc_ray.errors import ConservationError
from halluc_ray.records.counts import sum_of_limbs
from halluc_ray.records.schemas import GENERATIONS
from halluc_ray.storage import open_store
from tests.unit.engine.whole import COLUMNS, answers, begin, compute, plan_of, report_of, spec_of, write


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pa.array(["x", None, "x"]), ['["x"]', "[null]"]),
        (pa.array([b"x", None, b"\xff"]), ['["x"]', "[null]", '["\\\\xff"]']),
        (pa.array([b"x", b"y", b"x"], pa.binary(1)), ['["x"]', '["y"]']),
        (pa.array([7, None, 7], pa.int8()), ["[7]", "[null]"]),
        (pa.array([2**64 - 1], pa.uint64()), [f"[{2**64 - 1}]"]),
        (pa.array([True, False, None]), ["[true]", "[false]", "[null]"]),
        (pa.array([0, 1], pa.date32()), ['["1970-01-01"]', '["1970-01-02"]']),
        (pa.array(["中", "中"]).dictionary_encode(), ['["中"]']),
        (pa.nulls(2), ["[null]"]),
        (pa.array([], pa.string()), []),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_cells_have_plain_names(column, names):
    cells = counting.group(1, pa.array([""] * len(column), pa.string()), [column])
    assert sorted(cells.names) == sorted(names)
    again = [json.loads(cells.names[cell])[0] for cell in cells.of_unit]
    assert len(set(map(str, again))) == cells.size


def test_a_code_that_is_no_outcome_is_an_error():
    cells = counting.group(0, pa.array(["", ""]), [])
    with pytest.raises(ConservationError, match="outcomes add up to 1, there are 2 rows"):
        counting.count_outcomes(counting.CountsBuilder(), cells, [np.array([0, 6], dtype=np.uint8)])


@pytest.mark.parametrize(
    "clusters",
    [
        pa.array([None if k == 4 else f"s{k // 3}".encode() for k in range(30)]),
        pa.array([f"{k // 3:02}".encode() for k in range(30)], pa.binary(2)),
        pa.array([b"\xff" if k == 7 else b"ok" for k in range(30)]),
        pa.array([f"s{k // 3}" for k in range(30)], pa.string_view()),
        pa.array([f"s{k // 3}" for k in range(30)]).dictionary_encode(),
        pa.array([k // 3 for k in range(30)]),
        pa.array([k % 2 == 0 for k in range(30)]),
        pa.nulls(30),
    ],
    ids=lambda clusters: str(clusters.type),
)
def test_clusters_and_slices_of_every_type_go_through(tmp_path, clusters):
    table = pa.table(answers(range(30))).append_column("group", clusters)
    corpus = write(tmp_path / "c" / "one.parquet", table)
    changes = {"slices": ["group", ["topic", "group"]], "corpus": {"cluster": "group"}}
    report = report_of(begin(spec_of(corpus, tmp_path / "out", **changes)))
    whole = next(rate for rate in report["rates"] if not rate["slice"])
    for columns in ({"group"}, {"topic", "group"}):
        assert sum(rate["rows"] for rate in report["rates"] if set(rate["slice"]) == columns) == whole["rows"] == 30


ANSWERS_NAMED_MAIN = {"kind": "answer_mismatch", "name": "main"}


def test_a_shard_by_hand(tmp_path):
    corpus = write(tmp_path / "c" / "one.parquet", answers(range(40)))
    changes = {"slices": ["topic"], "summaries": [{"name": "w", "column": "words", "where": "words >= 1"}]}
    report = report_of(begin(spec_of(corpus, tmp_path / "out", **changes)))
    wanted = Counter()
    for k in range(40):
        verdict = "not_applicable" if k % 11 == 0 else "abstained" if k % 7 == 0 else None
        verdict = verdict or ("hallucinated" if k % 5 == 0 else "supported")
        for cell in ({}, {"topic": ("a", "b", None)[k % 3]}):
            wanted[str(cell), verdict] += 1
    for rate in report["rates"]:
        found = {name: rate[name] for name in ("hallucinated", "supported", "abstained", "not_applicable", "failed")}
        assert found == {name: wanted[str(rate["slice"]), name] for name in found}
    whole = next(mean for mean in report["summaries"] if not mean["slice"])
    assert (whole["rows"], whole["mean"]) == (36, sum(k / 4 for k in range(4, 40)) / 36)


def test_the_mean_of_an_indicators_scores(tmp_path):
    """Each score is 0 or 1, so that its mean is the rate, cell by cell; what has no score is skipped."""
    corpus = write(tmp_path / "c" / "one.parquet", answers(range(40)))
    summaries = [
        {"name": "words", "column": "words"},
        {"name": "wrong", "score": "main"},
        {"name": "wrong of many", "score": "main", "where": "words >= 5"},
    ]
    changes = {
        "indicators": [{"kind": "recorded_score", "column": "words", "below": 2}, ANSWERS_NAMED_MAIN],
        "slices": ["topic"],
        "summaries": summaries,
    }
    report = report_of(begin(spec_of(corpus, tmp_path / "out", **changes)))
    means = {(mean["name"], str(mean["slice"])): mean for mean in report["summaries"]}
    rates = [rate for rate in report["rates"] if rate["indicator"] == "main"]
    assert len(rates) == 4
    for rate in rates:
        mean = means["wrong", str(rate["slice"])]
        defined = rate["hallucinated"] + rate["supported"]
        assert (mean["mean"], mean["rows"], mean["skipped"]) == (rate["rate"], defined, rate["rows"] - defined)
    wrong = [k % 5 == 0 for k in range(20, 40) if k % 11 and k % 7]
    assert means["wrong of many", "{}"]["mean"] == sum(wrong) / len(wrong)
    assert "summary:wrong=score(main)|" in report["signature"]


@pytest.mark.parametrize("shard_rows", [1, 3, 7, 100])
def test_report_does_not_depend_on_the_cut(tmp_path, shard_rows):
    corpus = write(tmp_path / "c" / "one.parquet", answers(range(40)), group_rows=6)
    found = []
    for size in (40, shard_rows):
        changes = {"engine": {"shard_rows": size}, "slices": ["topic"], "corpus": {"cluster": "source", "sample": 0.7}}
        report = report_of(begin(spec_of(corpus, tmp_path / "out", **changes)))
        found.append({name: report[name] for name in ("rates", "reasons", "clusters")} | {"rows": report["corpus"]})
    assert found[0] == found[1]


def test_a_corpus_that_holds_one_file_twice(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / "c" / f"{name}.parquet", answers(range(8)))
    plan = plan_of(spec_of(tmp_path / "c", tmp_path / "out", corpus={"columns": COLUMNS}))
    run = begin(plan.context.spec.model_dump(mode="json", exclude_defaults=True))
    assert compute(plan, open_store(str(tmp_path / "out"))) == 0
    report = report_of(run)
    assert (report["corpus"]["rows"], report["rates"][0]["rows"]) == (16, 16)
    assert report["corpus"]["duplicate_ids"]["ids"] == 8


def test_units_of_smaller_batches_than_planned_are_counted():
    two = pa.table({f.name: pa.nulls(2, f.type) for f in GENERATIONS})
    builder = counting.CountsBuilder()
    counting.count_units(builder, counting.group(0, pa.array(["", ""]), []), two, rebatched=True)
    assert {row["stat"]: row["value"] for row in builder.build().to_pylist()} == {"rows": 2, "rebatched": 2}


def test_sums_of_large_integers_are_exact():
    values = pa.array([2**53 + 1, 2**62, None, -(2**62), -1])
    builder = counting.CountsBuilder()
    everything = counting.group(0, pa.array([""] * 5), [])
    counting.count_summary(builder, everything, values, np.array([True] * 5), item=0)
    found = {row["stat"]: row["value"] for row in builder.build().to_pylist()}
    assert sum_of_limbs(found) == 2**53
    assert (found["rows"], found["skipped"]) == (4, 1)

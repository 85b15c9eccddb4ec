"""Comparisons of whole runs, against plain Python over the same answers and against pandas."""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import halluc_ray
from halluc_ray.cli.app import app
from halluc_ray.errors import InputError, RunIncomplete, SpecError
from halluc_ray.evaluation.comparing import compare, read_side
from halluc_ray.reports.comparison_page import render_comparison
from halluc_ray.statistics.paired import holm, mcnemar
from tests.unit.engine.whole import COLUMNS, answers, begin, write
from tests.unit.engine.whole import spec_of as small_shards

ROWS = 300
ENGINE = {"shard_rows": 80}


def spec_of(uri, output, /, **changes):
    return small_shards(uri, output, **{"engine": ENGINE} | changes)


def outcome(answer, truth):
    if truth is None:
        return "not_applicable"
    if answer is None:
        return "failed"
    return "abstained" if "know" in answer else "supported" if answer == truth else "hallucinated"


def two_answers():
    table = answers(range(ROWS))
    table["other"] = ["I don't know." if k % 13 == 0 else str(k + 1 + (k % 4 == 0)) for k in range(ROWS)]
    table["other"][17] = None
    return table


@pytest.fixture(scope="module")
def table():
    return two_answers()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("compared")
    write(folder / "corpus" / "x.parquet", table, group_rows=7)
    clerk = begin(spec_of(folder / "corpus", folder / "out", slices=["topic"]))
    mapped = {"columns": {**COLUMNS, "response": "other"}}
    other = begin(
        spec_of(
            folder / "corpus",
            folder / "out",
            slices=["topic"],
            corpus=mapped,
            systems=[{"kind": "recorded", "name": "other"}],
        )
    )
    return clerk, other


def expected(table, keep=lambda k: True):
    crossed = Counter(
        (outcome(table["answer"][k], table["truth"][k]), outcome(table["other"][k], table["truth"][k]))
        for k in range(ROWS)
        if keep(k)
    )
    h, s = "hallucinated", "supported"
    return crossed, {"worse": crossed[s, h], "better": crossed[h, s], "both": crossed[h, h], "neither": crossed[s, s]}


@pytest.mark.parametrize("by", ["row", "id", "question"])
def test_counts_are_those_of_plain_python(runs, table, by):
    found = compare(runs[0].uri, runs[1].uri, by=by)
    [whole] = found.overall()
    crossed, counts = expected(table)
    assert {name: getattr(whole, name) for name in counts} == counts
    assert {(c.outcome_a, c.outcome_b): c.units for c in found.pairings[0].crossed} == crossed
    assert whole.pairs == sum(counts.values())
    assert whole.units == ROWS
    assert whole.difference == pytest.approx((counts["worse"] - counts["better"]) / whole.pairs)
    silent = sum(times for (a, _), times in crossed.items() if a in ("abstained", "failed"))
    assert whole.answered_a == pytest.approx(1 - silent / ROWS)


def test_slices_and_their_family(runs, table):
    found = compare(runs[0].uri, runs[1].uri)
    for entry in found.cells():
        counts = expected(table, keep=lambda k: table["topic"][k] == entry.slice["topic"])[1]  # noqa: B023
        assert {name: getattr(entry, name) for name in counts} == counts
        assert entry.p_value == pytest.approx(mcnemar(worse=counts["worse"], better=counts["better"]))
    assert {entry.slice["topic"] for entry in found.cells()} == {"a", "b", None}
    assert found.family == 4
    assert [e.p_holm for e in found.differences] == pytest.approx(holm([e.p_value for e in found.differences]))


def test_a_comparison_turns_its_sign_with_its_sides(runs):
    there, back = compare(runs[0].uri, runs[1].uri), compare(runs[1].uri, runs[0].uri)
    for one, other in zip(there.differences, back.differences, strict=True):
        assert (one.worse, one.difference, one.p_value) == (other.better, -other.difference, other.p_value)
        assert one.low == pytest.approx(-other.high)


def test_flips_hold_both_answers(runs, table):
    found = compare(runs[0].uri, runs[1].uri, flips=500)
    counts = expected(table)[1]
    assert Counter(flip.direction for flip in found.flips) == {"worse": counts["worse"], "better": counts["better"]}
    for flip in found.flips:
        row = int(flip.id.removeprefix("q"))
        assert (flip.a.response, flip.b.response) == (table["answer"][row], table["other"][row])
        assert flip.prompt == table["question"][row]
        wrong = flip.b if flip.direction == "worse" else flip.a
        assert wrong.response[wrong.span_start : wrong.span_stop] == wrong.response
        assert wrong.against == table["truth"][row]


def test_the_python_face(runs):
    whole = compare(runs[0].uri, runs[1].uri)
    assert halluc_ray.compare(runs[0].uri, f"{runs[1].uri}#other") == whole


def test_the_same_comparison_has_the_same_bytes(runs):
    first = compare(runs[0].uri, runs[1].uri).to_json()
    assert first == compare(runs[0].uri, runs[1].uri).to_json()
    assert json.loads(first)["pairings"][0]["paired"] == ROWS
    assert b"/tmp" not in first


def test_a_run_against_itself_changes_nothing(runs):
    found = compare(runs[0].uri, runs[0].uri)
    assert all((entry.worse, entry.better, entry.p_value) == (0, 0, 1.0) for entry in found.differences)
    assert found.flips == ()


def test_other_corpora_are_refused_or_met_by_id(tmp_path, table):
    write(tmp_path / "all" / "x.parquet", table)
    half = {name: values[100:] for name, values in table.items()}
    write(tmp_path / "half" / "x.parquet", half)
    whole, part = (
        begin(spec_of(tmp_path / "all", tmp_path / "out")),
        begin(spec_of(tmp_path / "half", tmp_path / "out")),
    )
    with pytest.raises(SpecError, match=r"300 rows in 1 file; 200 rows in 1 file.*--by id"):
        compare(whole.uri, part.uri)
    found = compare(whole.uri, part.uri, by="id")
    pairing = found.pairings[0]
    assert (pairing.paired, pairing.only_a, pairing.only_b) == (200, 100, 0)
    assert "200 units have a partner by id; 100 are in A alone" in found.notes[0]


def test_other_cuts_of_one_corpus_are_paired_by_row(tmp_path, table):
    write(tmp_path / "corpus" / "x.parquet", table, group_rows=40)
    write(tmp_path / "corpus" / "y.parquet", {name: values[:50] for name, values in table.items()}, group_rows=9)
    write(tmp_path / "corpus" / "z.parquet", {name: values[:50] for name, values in table.items()}, group_rows=9)
    fine = begin(spec_of(tmp_path / "corpus", tmp_path / "out", engine={"shard_rows": 7}))
    coarse = begin(spec_of(tmp_path / "corpus", tmp_path / "out2", engine={"shard_rows": 64}))
    found = compare(fine.uri, coarse.uri)
    assert found.pairings[0].paired == 400
    [whole] = found.overall()
    assert (whole.worse, whole.better, found.pairings[0].only_a) == (0, 0, 0)


def test_duplicate_keys_are_refused_with_examples(tmp_path, table):
    twice = {**table, "id": [f"q{k % 290}" for k in range(ROWS)]}
    write(tmp_path / "corpus" / "x.parquet", twice)
    run = begin(spec_of(tmp_path / "corpus", tmp_path / "out"))
    with pytest.raises(SpecError, match=r"10 values occur more than once .* \(such as 'q0', 'q1', 'q2'\)"):
        compare(run.uri, run.uri, by="id")


def test_null_keys_have_no_partner(tmp_path, table):
    some = {**table, "article": [None if k < 5 else f"文章{k}" for k in range(ROWS)]}
    write(tmp_path / "corpus" / "x.parquet", some)
    run = begin(spec_of(tmp_path / "corpus", tmp_path / "out"))
    pairing = compare(run.uri, run.uri, by="article").pairings[0]
    assert (pairing.paired, pairing.without_key_a, pairing.only_b) == (295, 5, 5)


def test_clusters_widen_the_interval(tmp_path, table):
    worse = {
        **table,
        "answer": ["1"] * ROWS,
        "truth": ["1"] * ROWS,
        "other": [str(1 + k // 30 % 2) for k in range(ROWS)],
    }
    worse["source"] = [f"s{k // 30}" for k in range(ROWS)]
    write(tmp_path / "corpus" / "x.parquet", worse)
    sides = []
    for column in ("answer", "other"):
        for cluster in (None, "source"):
            corpus = {"columns": {**COLUMNS, "response": column}, "cluster": cluster}
            sides.append(begin(spec_of(tmp_path / "corpus", tmp_path / "out", corpus=corpus)).uri)
    [alone] = compare(sides[0], sides[2]).overall()
    [shared] = compare(sides[1], sides[3]).overall()
    assert (alone.test, shared.test, shared.clusters) == ("mcnemar", "clusters", 10)
    assert shared.difference == alone.difference == 0.5
    # ten clusters, half of them changed as a whole: t(9) = 2.262 times sqrt(10/9 * 0.25 / 10)
    assert shared.high - shared.low == pytest.approx(2 * 2.2621572 * (10 / 9 * 0.25 / 10) ** 0.5, rel=1e-6)
    assert alone.high - alone.low < 0.15


def test_a_corpus_that_is_gone_leaves_slices_unread(runs, tmp_path, table):
    write(tmp_path / "corpus" / "x.parquet", table)
    run = begin(spec_of(tmp_path / "corpus", tmp_path / "out", slices=["topic"]))
    (tmp_path / "corpus" / "x.parquet").unlink()
    with pytest.raises(InputError, match="'topic': the corpus file of digest"):
        compare(run.uri, run.uri)


def test_names_of_systems(runs, tmp_path):
    with pytest.raises(SpecError, match=r"name the two of its systems"):
        compare(runs[0].uri)
    with pytest.raises(SpecError, match=r"no system is called 'nobody'.*clerk"):
        compare(runs[0].uri, runs[1].uri, systems=("nobody", "other"))
    assert read_side(f"{runs[0].uri}#clerk") == (runs[0].uri, "clerk")
    assert read_side(runs[0].uri) == (runs[0].uri, None)
    assert read_side("s3://a#b/out/runs/1f0c") == ("s3://a#b/out/runs/1f0c", None)
    assert read_side("s3://a#b/out/runs/1f0c#org/model-7b") == ("s3://a#b/out/runs/1f0c", "org/model-7b")


def test_models_of_the_leaderboard_against_pandas(corpora, tmp_path):
    """Rows are paired by a column; which rows of two models are one article is not known, so by their order."""
    files = sorted((corpora / "vectara_leaderboard").glob("*.parquet"))
    frame = pd.concat([pd.read_parquet(file) for file in files])
    chosen = sorted(frame["model"].unique())[:3]
    frame = frame[frame["model"].isin(chosen)].copy()
    frame["article"] = frame.groupby("model").cumcount()
    write(tmp_path / "corpus" / "x.parquet", pa.Table.from_pandas(frame, preserve_index=False), group_rows=5000)
    indicator = {"name": "hhem", "kind": "recorded_score", "column": "hhem_score", "below": 0.5, "valid": "is_valid"}
    spec = {"corpus": {"uri": str(tmp_path / "corpus"), "columns": {"id": "id"}}, "indicators": [indicator]}
    spec |= {"systems": [{"kind": "recorded", "name_from": "model"}], "slices": ["eval_name"]}
    run = begin(spec | {"output": str(tmp_path / "out")})
    a, b = chosen[0], chosen[2]
    with pytest.raises(SpecError, match="none in common by row"):
        compare(run.uri, systems=(a, b))
    found = compare(run.uri, systems=(a, b), by="article")
    wide = frame.pivot(index="article", columns="model", values=["hhem_score", "is_valid", "eval_name"])
    wide = wide[wide["is_valid"][a].astype(bool) & wide["is_valid"][b].astype(bool)]
    for entry in found.differences:
        part = wide[wide["eval_name"][a] == entry.slice["eval_name"]] if entry.slice else wide
        bad_a, bad_b = part["hhem_score"][a] < 0.5, part["hhem_score"][b] < 0.5
        assert entry.pairs == len(part)
        assert (entry.worse, entry.better) == ((~bad_a & bad_b).sum(), (bad_a & ~bad_b).sum())
        assert entry.difference == pytest.approx(bad_b.mean() - bad_a.mean(), abs=1e-12)


def test_a_run_that_is_not_complete_is_not_compared(runs, tmp_path, table):
    write(tmp_path / "corpus" / "x.parquet", table)
    started = begin(spec_of(tmp_path / "corpus", tmp_path / "out"), at_most=1)
    with pytest.raises(RunIncomplete, match="are not committed"):
        compare(started.uri, runs[0].uri)


def test_an_empty_corpus_and_a_system_without_a_defined_row(tmp_path, table):
    write(tmp_path / "none" / "x.parquet", pa.table(table).slice(0, 0))
    empty = begin(spec_of(tmp_path / "none", tmp_path / "out"))
    with pytest.raises(SpecError, match="nothing to compare"):
        compare(empty.uri, empty.uri, by="id")
    silent = {**table, "answer": ["I don't know."] * ROWS}
    write(tmp_path / "silent" / "x.parquet", silent)
    run = begin(spec_of(tmp_path / "silent", tmp_path / "out", slices=["topic"]))
    found = compare(run.uri, run.uri)
    assert {entry.pairs for entry in found.differences} == {0}
    assert found.pairings[0].small_cells == 3
    assert {(entry.difference, entry.p_holm) for entry in found.differences} == {(None, None)}
    assert "No answer flipped." in render_comparison(found)
    assert json.loads(found.to_json())["family"] == 0


def test_indicators_that_differ_are_told(runs, tmp_path, table):
    write(tmp_path / "corpus" / "x.parquet", table)
    kinds = [{"kind": "answer_mismatch", "mode": "contains"}, {"kind": "answer_mismatch", "name": "second"}]
    more = begin(spec_of(tmp_path / "corpus", tmp_path / "out", indicators=kinds))
    plain = begin(spec_of(tmp_path / "corpus", tmp_path / "out"))
    notes = "; ".join(compare(plain.uri, more.uri).notes)
    assert "answer_mismatch has other options in B" in notes
    assert "second is in B alone" in notes
    other = begin(spec_of(tmp_path / "corpus", tmp_path / "out", indicators=[{"kind": "answer_mismatch", "name": "z"}]))
    with pytest.raises(SpecError, match="no indicator in common: answer_mismatch and z"):
        compare(plain.uri, other.uri)


def test_the_command(runs, tmp_path):
    done = CliRunner().invoke(app, ["compare", *(run.uri for run in runs), "--save", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "Holm's adjustment is over 4 comparisons" in done.output
    assert "Got worse: answer_mismatch, q" in done.output
    saved = (tmp_path / "out" / "comparison.json").read_bytes()
    printed = CliRunner().invoke(app, ["compare", *(f"{run.uri}" for run in runs), "--json"])
    assert printed.output.encode() == saved
    refused = CliRunner().invoke(app, ["compare", runs[0].uri, runs[1].uri, "--by", "nowhere"])
    assert refused.exit_code == 2
    assert "has no column 'nowhere'; it has id, question" in refused.output


def test_slices_of_very_many_cells_are_bounded(tmp_path):
    rows = 3 * 4096
    many = {
        "id": [f"q{k}" for k in range(rows)],
        "question": ["?"] * rows,
        "truth": ["1"] * rows,
        "answer": ["1"] * rows,
    }
    many["topic"] = [k % 5000 if k < 10_000 else 7 for k in range(rows)]
    write(tmp_path / "corpus" / "x.parquet", many, group_rows=rows)
    run = begin(spec_of(tmp_path / "corpus", tmp_path / "out", slices=["topic"], engine={"shard_rows": rows}))
    found = compare(run.uri, run.uri)
    assert [entry.slice for entry in found.differences] == [{}, {"topic": 7}]
    assert found.differences[1].pairs == rows - 10_000 + 2
    assert (found.pairings[0].cells_left_out, found.pairings[0].small_cells) == (904, 4095)
    assert "904 slice cells" in found.notes[0]

"""What is printed at the end of a run and for samples, as text."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pyarrow as pa
import pytest
from rich.console import Console

from halluc_ray.cli.tables import no_rows_message, print_evaluation, print_samples
from halluc_ray.evaluation import Evaluation
from halluc_ray.records.counts import merge
from halluc_ray.reports import build_report
from halluc_ray.reports.duplicates import NO_DUPLICATES
from halluc_ray.reports.reduce import combine
from halluc_ray.reports.report import Corpus
from halluc_ray.storage import open_store
from tests.unit.reports.handmade import Handmade, Row, Verdict


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120)


def test_samples_show_texts_before_outcomes_and_no_offsets(console):
    row = {"file": "8afc01166e9f43909d67", "row": 17, "draw": 0, "system": "tuned", "id": "q8"}
    row |= {"mismatch": "hallucinated", "mismatch_span": "Rome", "mismatch_span_start": 0, "response": "Rome"}
    print_samples(console, pa.Table.from_pylist([row]), limit=1)
    lines = console.file.getvalue().splitlines()
    assert [line.split()[0] for line in lines if line][:-1] == [
        "row",
        "system",
        "id",
        "response",
        "mismatch",
        "mismatch_span",
    ]
    assert lines[0] == "row 17 of file 8afc01166e9f, draw 0"
    assert lines[-1] == "1 row; there may be more: raise --limit"


def test_systems_to_compare_stand_below_each_other(console, tmp_path):
    cells = [("b", "en"), ("a", "zh"), ("a", "en"), ("b", "zh"), ("a", None)]
    rows = [Row(id="1", verdicts=(Verdict("supported"),), model=model, lang=lang) for model, lang in cells]
    run = Handmade(open_store(str(tmp_path / "out")), tmp_path, rows, slices=(("lang",), ("lang", "model")))
    counts = combine(run.record(), [merge([run.counts(rows, with_left_out=True)])])
    report = build_report(run.record(), counts, run_id="r", duplicates=NO_DUPLICATES)
    print_evaluation(console, Evaluation("r", "out/runs/r", report, shards=1, shards_computed=0))
    text = console.file.getvalue()
    assert re.findall(r"^ (en|zh) +(a|b) ", text, re.MULTILINE) == [("en", "a"), ("en", "b"), ("zh", "a"), ("zh", "b")]
    assert re.search(r"^ \(null\) +a ", text, re.MULTILINE)
    assert "Also in the report: by lang, model." in text
    assert "Nothing to compute: the one shard was committed before." in text


def test_means_are_printed_over_all_rows(console, tmp_path):
    rows = [
        Row(id=str(k), verdicts=(Verdict("supported"),), model="b", words=words) for k, words in enumerate((1, 2, 2))
    ]
    run = Handmade(open_store(str(tmp_path / "out")), tmp_path, rows)
    counts = combine(run.record(), [merge([run.counts(rows, with_left_out=True)])])
    report = build_report(run.record(), counts, run_id="r", duplicates=NO_DUPLICATES)
    print_evaluation(console, Evaluation("r", "out/runs/r", report, shards=1, shards_computed=0))
    assert re.search(r"^Means *\n.*mean *\n b +mean_words +3 +1\.667 *$", console.file.getvalue(), re.MULTILINE)


def test_no_row_found_says_what_an_outcome_may_be(console):
    empty = pa.table(
        {"file": pa.array([], pa.string()), "row": pa.array([], pa.int64()), "draw": pa.array([], pa.int32())}
    )
    print_samples(console, empty, limit=20)
    assert console.file.getvalue().startswith("0 rows; an outcome is one of hallucinated, supported, abstained, ")


def test_a_plain_classifier_has_an_error_rate(console, tmp_path):
    rows = [Row(id="1", verdicts=(Verdict("supported"),))]
    kind = {"kind": "sequence-classification", "names_from_column": False}
    run = Handmade(store=None, folder=tmp_path, rows=rows, indicators=(("wrong", "label_mismatch", {}),), **kind)
    counts = combine(run.record(), [merge([run.counts(rows)])])
    report = build_report(run.record(), counts, run_id="r", duplicates=NO_DUPLICATES)
    print_evaluation(console, Evaluation("r", "out/runs/r", report, shards=2, shards_computed=2))
    assert console.file.getvalue().startswith("Error rate")


def test_a_report_over_no_row_says_what_left_them_out(tmp_path):
    rows = [Row(id=str(k), verdicts=(Verdict("supported"),)) for k in range(3)]
    run = Handmade(open_store(str(tmp_path / "out")), tmp_path, rows)
    counts = combine(run.record(), [merge([run.counts(rows, with_left_out=True)])])
    report = build_report(run.record(), counts, run_id="r", duplicates=NO_DUPLICATES)
    none = Corpus(1, 1_000, 0, {"where": 997, "where_null": 1, "sample": 0, "limit": 2}, 0, {})
    done = Evaluation("r", "out/runs/r", replace(report, corpus=none), shards=1, shards_computed=1)
    assert no_rows_message(done).startswith(
        "no row was evaluated: the corpus has 1,000 rows, left out are 997 rows by corpus.where; 1 row by corpus.where "
        "(it is null); 2 rows by corpus.limit; "
    )

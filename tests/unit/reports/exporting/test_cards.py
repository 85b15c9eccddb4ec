"""What goes to a model card: the table in Markdown, and model-index as the hub's own library reads it."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard

from halluc_ray.errors import InputError, SpecError
from halluc_ray.evaluation.exporting import export_markdown, export_model_index, export_rates
from halluc_ray.reports.exporting.markdown import markdown_table
from halluc_ray.reports.exporting.model_index import CardDataset
from halluc_ray.reports.files import read_report
from halluc_ray.reports.signature import corpus_digest
from halluc_ray.storage import keys, open_store
from tests.unit.reports.exporting.finished import RUN_ID, finished
from tests.unit.reports.handmade import Row, Verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("run")
    return finished(open_store(str(folder / "out")), folder)


@pytest.fixture(scope="module")
def report(run):
    return read_report(run.store, RUN_ID)


def test_the_table_says_each_rate_with_its_interval(run, report, tmp_path: Path):
    export_markdown(run, str(tmp_path / "card.md"))
    text = (tmp_path / "card.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| m")]
    assert [(row[0], row[1]) for row in rows] == [("m0", "judged"), ("m0", "label"), ("m1", "judged"), ("m1", "label")]
    for row, rate in zip(rows, report.overall(), strict=True):
        ends = "–" if rate.rate is None else f"{rate.low * 100:.1f} % to {rate.high * 100:.1f} %"
        share = "–" if rate.rate is None else f"{rate.rate * 100:.1f} %"
        assert row[2:] == [share, ends, str(rate.defined), f"{rate.answered_share * 100:.1f} %"]
    assert f"`{report.signature}`" in text
    assert "95 % interval" in text


def test_names_are_no_markup(report):
    rates = tuple(replace(rate, system="a|b <img src=x> `c` [d](e)\n# f") for rate in report.rates)
    text = markdown_table(replace(report, rates=rates, signature="odd `` one"))
    assert r"| a\|b \<img src=x\> \`c\` \[d\]\(e\) \# f |" in text
    assert "``` odd `` one ```" in text


def test_model_index_is_what_the_hubs_library_reads(run, report, tmp_path: Path):
    where, missing = export_model_index(
        run, str(tmp_path / "README.md"), system="m0", dataset=CardDataset("Our questions", "ours/questions", "test")
    )
    assert (where, missing) == (str(tmp_path / "README.md"), ())
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.model_name == "m0"
    rates = [rate for rate in report.overall() if rate.system == "m0"]
    found = card.data.eval_results
    assert [result.metric_value for result in found] == [rate.rate for rate in rates]
    assert [result.metric_type for result in found] == ["hallucination_rate", "error_rate"]
    for result, rate in zip(found, rates, strict=True):
        named = (result.dataset_name, result.dataset_type, result.dataset_split, result.dataset_revision)
        assert named == ("Our questions", "ours/questions", "test", corpus_digest(run.record()))
        assert (result.metric_args["low"], result.metric_args["high"]) == (rate.low, rate.high)
        assert result.metric_args["signature"] == report.signature
        assert result.verified is False
    again = ModelCard(str(card))
    assert again.data.eval_results == found


def test_what_the_run_does_not_know_is_left_out(run, tmp_path: Path):
    export_model_index(run, str(tmp_path / "a.md"), system="m1", dataset=CardDataset())
    result = ModelCard.load(tmp_path / "a.md").data.eval_results[0]
    digest = corpus_digest(run.record())
    assert (result.dataset_name, result.dataset_type, result.dataset_split) == (f"corpus {digest}", "custom", None)


def test_a_card_is_of_one_system(run, tmp_path: Path):
    with pytest.raises(SpecError, match="name it with --system: m0, m1"):
        export_model_index(run, str(tmp_path / "a.md"), system=None, dataset=CardDataset())
    with pytest.raises(SpecError, match=r"no system is called 'm2'.*m0, m1"):
        export_model_index(run, str(tmp_path / "a.md"), system="m2", dataset=CardDataset())
    assert not (tmp_path / "a.md").exists()


def test_an_indicator_without_a_rate_is_told_and_has_no_entry(tmp_path: Path):
    rows = [Row("a", (Verdict("supported"), Verdict("abstained")))]
    run = finished(open_store(str(tmp_path / "out")), tmp_path, rows=rows)
    _, missing = export_model_index(run, str(tmp_path / "a.md"), system=None, dataset=CardDataset())
    assert missing == ("label",)
    assert len(ModelCard.load(tmp_path / "a.md").data.eval_results) == 1
    rows = [Row("a", (Verdict("failed"), Verdict("abstained")))]
    run = finished(open_store(str(tmp_path / "none")), tmp_path, rows=rows)
    with pytest.raises(InputError, match="no rate under any indicator"):
        export_model_index(run, str(tmp_path / "b.md"), system=None, dataset=CardDataset())


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_rates_are_those_of_the_report(run, tmp_path: Path, form):
    out = tmp_path / f"rates.{form}"
    export_rates(run, str(out), form=form)
    told = json.loads(run.store.read(keys.run_key(RUN_ID, "report.json")))["rates"]
    if form == "parquet":
        rows = pq.read_table(out).to_pylist()
        assert [dict(row, slice=json.loads(row["slice"])) for row in rows] == [{"run_id": RUN_ID, **r} for r in told]
    else:
        read = list(csv.DictReader(io.StringIO(out.read_text())))
        assert [float(row["rate"]) if row["rate"] else None for row in read] == [rate["rate"] for rate in told]
        assert [json.loads(row["slice"]) for row in read] == [rate["slice"] for rate in told]


def test_a_file_is_replaced_only_if_said(run, tmp_path: Path):
    out = tmp_path / "deep" / "rates.csv"
    export_rates(run, str(out), form="csv")
    before = out.read_bytes()
    out.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"rates\.csv exists.*--overwrite"):
        export_rates(run, str(out), form="csv")
    assert out.read_bytes() == b"mine"
    export_rates(run, str(out), form="csv", overwrite=True)
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["rates.csv"]
    with pytest.raises(InputError, match="is a folder"):
        export_rates(run, str(tmp_path), form="csv", overwrite=True)
    with pytest.raises(SpecError, match="is a bucket"):
        export_rates(run, "s3://bucket", form="csv")

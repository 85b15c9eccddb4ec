"""Verdicts as a dataset: every row, its own texts, the report's counts, the same bytes, and only over an export."""

import json
from collections import Counter
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.errors import ConservationError, InputError, RunIncomplete
from halluc_ray.evaluation.exporting import export_verdicts
from halluc_ray.reports.exporting import part_files, verdicts
from halluc_ray.reports.exporting.spreadsheets import guarded, guarded_schema
from halluc_ray.storage import keys, open_store
from tests.unit.reports.exporting.finished import OUTCOMES, RUN_ID, finished
from tests.unit.reports.handmade import Row, Verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """One that no test alters."""
    folder = tmp_path_factory.mktemp("run")
    return finished(open_store(str(folder / "out")), folder)


@pytest.fixture
def own_run(tmp_path: Path):
    return finished(open_store(str(tmp_path / "out")), tmp_path, shard_rows=45)


def rates_of(run) -> list[dict]:
    return json.loads(run.store.read(keys.run_key(RUN_ID, "report.json")))["rates"]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_counts_equal_those_of_the_report_in_every_slice(run, tmp_path: Path, form):
    export_verdicts(run, str(tmp_path / "e"), form=form)
    read = pd.read_parquet if form == "parquet" else pd.read_csv
    table = read(tmp_path / "e" / f"part-00000.{form}").astype(object)
    table = table.where(table.notna(), None)
    whole = Counter(zip(table["system"], table["indicator"], table["outcome"], strict=True))
    cells = Counter(zip(table["system"], table["indicator"], table["outcome"], table["lang"], strict=True))
    assert len(rates_of(run)) > 8
    for rate in rates_of(run):
        for outcome in OUTCOMES:
            key = (rate["system"], rate["indicator"], outcome)
            assert (cells[(*key, rate["slice"]["lang"])] if rate["slice"] else whole[key]) == rate[outcome]
    assert len(table) == sum(rate["rows"] for rate in rates_of(run) if not rate["slice"])


def test_a_row_is_a_unit_under_an_indicator_where_it_stands_in_the_corpus(run, tmp_path: Path):
    export_verdicts(run, str(tmp_path / "e"), form="parquet")
    rows = pq.read_table(tmp_path / "e" / "part-00000.parquet").to_pylist()
    assert [(row["id"], row["indicator"]) for row in rows[:3]] == [("q0", "judged"), ("q0", "label"), ("q1", "judged")]
    assert [row["row"] for row in rows[::2]] == list(range(45))
    assert rows[22 * 2] == {
        "id": "q22",
        "draw": 0,
        "system": "m0",
        "indicator": "judged",
        "outcome": "not_applicable",
        "score": None,
        "reason": "why 1",
        "failure": None,
        "file": "f" * 64,
        "row": 22,
        "lang": "zh",
    }
    assert rows[6 * 2]["score"] == 1.0


@pytest.mark.parametrize("units_at_once", [1, 8_192])
def test_texts_and_evidence_are_the_rows_own(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units_at_once):
    monkeypatch.setattr(verdicts, "UNITS_AT_ONCE", units_at_once)
    export_verdicts(run, str(tmp_path / "e"), form="parquet", texts=True)
    row = pq.read_table(tmp_path / "e" / "part-00000.parquet").to_pylist()[2 * 18]
    texts = ("prompt", "response", "reference", "span", "span_start", "against", "label")
    assert [row[name] for name in texts] == ["Question 18?", "=answer 18", "ref 18", "=a", 0, "held 18", None]


def test_the_answer_of_a_model_is_what_it_generated(tmp_path: Path):
    store = open_store(str(tmp_path / "out"))
    run = finished(store, tmp_path, kind="causal-lm", names_from_column=False, corpus_response="a human's")
    export_verdicts(run, str(tmp_path / "e"), form="parquet", texts=True)
    assert pq.read_table(tmp_path / "e" / "part-00000.parquet")["response"][2 * 7].as_py() == "=answer 7"
    run = finished(open_store(str(tmp_path / "recorded")), tmp_path, corpus_response="a human's")
    export_verdicts(run, str(tmp_path / "r"), form="parquet", texts=True)
    assert pq.read_table(tmp_path / "r" / "part-00000.parquet")["response"][2 * 7].as_py() == "a human's"


def test_libraries_read_the_folder(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(part_files, "GROUP_ROWS", 7)
    monkeypatch.setattr(part_files, "FILE_BYTES", 1)
    done = export_verdicts(run, str(tmp_path / "e"), form="parquet", texts=True)
    assert [file.rows for file in done.files] == [7] * 12 + [6]
    frame = pd.read_parquet(tmp_path / "e")
    assert frame["id"].tolist() == [f"q{at // 2}" for at in range(90)]
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "e" / "*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["id"] == frame["id"].tolist()
    assert set(loaded.column_names) == set(frame.columns)


def test_the_same_run_gives_the_same_bytes_wherever_its_shards_were_computed(tmp_path: Path):
    found = []
    for name, reverse in (("a", False), ("b", True)):
        run = finished(open_store(str(tmp_path / name)), tmp_path, reverse=reverse)
        for form in ("parquet", "csv"):
            out = tmp_path / f"{name}-{form}"
            export_verdicts(run, str(out), form=form, texts=True)
            found.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert set(found[0]) == {"_export.json", "part-00000.parquet"}
    assert not [name for name in (tmp_path, b"/runs/") if str(name).encode() in found[0]["_export.json"]]


def test_texts_of_csv_are_no_formulas_and_come_back(run, tmp_path: Path):
    done = export_verdicts(run, str(tmp_path / "e"), form="csv", texts=True)
    frame = pd.read_csv(tmp_path / "e" / "part-00000.csv")
    assert done.guarded_cells == 90 + 8  # answers under two indicators, and the spans among them
    assert set(frame["response"].str[:2]) == {"'="}
    assert frame["response"].str.removeprefix("'").tolist() == [f"=answer {at // 2}" for at in range(90)]


def test_names_of_columns_in_csv_are_no_formulas():
    table = pa.table({"=cmd": ["=1"], "n": [1], "@x": [2]})
    found, changed = guarded(table)
    assert (found.column_names, changed) == (["'=cmd", "n", "'@x"], 1)
    assert guarded_schema(table.schema) == found.schema


def test_what_does_not_add_up_is_not_exported(own_run, tmp_path: Path):
    key = keys.run_key(RUN_ID, "report.json")
    report = json.loads(own_run.store.read(key))
    report["rates"][0]["hallucinated"] += 1
    own_run.store.put(key, json.dumps(report).encode())
    with pytest.raises(ConservationError, match=r"'m0', indicator 'judged'.*8 rows hallucinated.*says 9"):
        export_verdicts(own_run, str(tmp_path / "e"), form="parquet")
    assert not (tmp_path / "e").exists()
    assert not list(tmp_path.glob(".e*"))


def test_a_run_that_is_not_finished_is_none_to_export(own_run, tmp_path: Path):
    own_run.store.delete(keys.run_key(RUN_ID, "report.json"))
    with pytest.raises(RunIncomplete, match=r"report\.json is not there"):
        export_verdicts(own_run, str(tmp_path / "e"), form="parquet")


def test_a_corpus_that_is_gone_is_said_and_can_be_done_without(own_run, tmp_path: Path):
    (tmp_path / "corpus.parquet").unlink()
    with pytest.raises(InputError, match=r"1 of 1 corpus files.*ffffffffffff.*--no-slices"):
        export_verdicts(own_run, str(tmp_path / "e"), form="parquet")
    export_verdicts(own_run, str(tmp_path / "e"), form="parquet", slices=False)
    assert "lang" not in pq.read_schema(tmp_path / "e" / "part-00000.parquet").names


def test_only_an_export_is_replaced_and_only_if_said(run, tmp_path: Path):
    out = tmp_path / "e"
    export_verdicts(run, str(out), form="csv")
    with pytest.raises(InputError, match=r"holds an export already.*--overwrite"):
        export_verdicts(run, str(out), form="parquet")
    export_verdicts(run, str(out), form="parquet", overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["_export.json", "part-00000.parquet"]
    (out / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"mine\.txt beside an export"):
        export_verdicts(run, str(out), form="parquet", overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "part-00000.parquet").write_bytes(b"of somebody else")
    with pytest.raises(InputError, match="which no export wrote"):
        export_verdicts(run, str(tmp_path / "other"), form="parquet", overwrite=True)


def test_a_run_without_rows_is_a_file_without_rows(tmp_path: Path):
    run = finished(open_store(str(tmp_path / "out")), tmp_path, rows=[])
    done = export_verdicts(run, str(tmp_path / "e"), form="parquet")
    assert (done.rows, len(pd.read_parquet(tmp_path / "e"))) == (0, 0)


def test_a_slice_named_like_a_column_gets_another_name(tmp_path: Path):
    rows = [Row("a", (Verdict("supported"), Verdict("failed")), prompt="p")]
    run = finished(open_store(str(tmp_path / "out")), tmp_path, rows=rows, slices=(("prompt",), ("lang", "id")))
    export_verdicts(run, str(tmp_path / "e"), form="parquet")
    names = pq.read_schema(tmp_path / "e" / "part-00000.parquet").names
    assert names[-3:] == ["slice_prompt", "lang", "slice_id"]


def test_progress_ends_at_all_rows(run, tmp_path: Path):
    told: list[tuple[int, int]] = []
    export_verdicts(run, str(tmp_path / "e"), form="parquet", on_rows=lambda rows, total: told.append((rows, total)))
    assert told[-1] == (90, 90)

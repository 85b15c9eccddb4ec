"""`halluc-ray export`: each form from the command line, its codes, and options that belong elsewhere."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from halluc_ray.cli.app import app
from halluc_ray.storage import open_store
from tests.unit.reports.exporting.finished import finished

runner = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("run")
    return finished(open_store(str(folder / "out")), folder, shard_rows=45).uri


def export(*arguments: object):
    return runner.invoke(app, ["export", *map(str, arguments)])


def test_verdicts_are_parquet_by_default(run, tmp_path: Path):
    done = export(run, tmp_path / "e")
    assert (done.exit_code, done.stdout) == (0, f"90 verdicts in 1 file: {tmp_path / 'e'}\n")
    assert len(pd.read_parquet(tmp_path / "e")) == 90
    assert export(run, tmp_path / "e").exit_code == 2
    assert export(run, tmp_path / "e", "--overwrite", "--no-slices").exit_code == 0
    assert "lang" not in pd.read_parquet(tmp_path / "e").columns


def test_csv_says_how_many_texts_it_guards(run, tmp_path: Path):
    done = export(run, tmp_path / "e", "--format", "csv", "--texts")
    assert done.exit_code == 0
    assert done.stderr.startswith("98 texts begin as formulas do")


@pytest.mark.parametrize(
    ("options", "first"),
    [
        (("--format", "csv", "--what", "rates"), '"run_id","system"'),
        (("--what", "rates"), "PAR1"),
        (("--format", "markdown"), "| System | Indicator |"),
        (("--format", "model-index", "--system", "m1", "--split", "test"), "---\nmodel-index:\n- name: m1"),
    ],
)
def test_files(run, tmp_path: Path, options, first):
    out = tmp_path / "file"
    done = export(run, out, *options)
    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    assert out.read_bytes().startswith(first.encode())
    refused = export(run, out, *options)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert export(run, out, *options, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("o", "--texts", "--format", "markdown"), "--texts belongs to --format parquet and csv"),
        (("o", "--texts", "--what", "rates"), "--texts belongs to verdicts"),
        (("o", "--no-slices", "--what", "rates"), "--no-slices belongs to verdicts"),
        (("o", "--what", "rates", "--format", "mlflow"), "--what belongs"),
        (("o", "--dataset-id", "x"), "--dataset-id belongs to --format model-index"),
        (("o", "--experiment", "x"), "--experiment belongs to --format mlflow"),
        ((), "OUT is missing: a folder or file"),
        (("--format", "mlflow"), "OUT is missing: a tracking URI, or MLFLOW_TRACKING_URI"),
        (("sqlite:///x.db", "--format", "mlflow", "--overwrite"), "--overwrite: what MLflow holds is left alone"),
        (("o", "--format", "model-index"), "name it with --system: m0, m1"),
    ],
)
def test_options_that_belong_elsewhere_are_refused(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options, told):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    done = export(run, *options)
    assert done.exit_code == 2
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_mlflow_takes_its_usual_environment(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://x")
    done = export(run, "--format", "mlflow")
    assert done.exit_code == 2
    assert "MLflow can't use 'nowhere://x'" in done.stderr

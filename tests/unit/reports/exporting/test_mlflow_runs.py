"""Runs in MLflow's own database store: what is logged, and that logging twice changes nothing."""

import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from halluc_ray.errors import SpecError
from halluc_ray.evaluation.exporting import export_mlflow
from halluc_ray.reports.exporting import mlflow_runs
from halluc_ray.reports.files import read_report
from halluc_ray.storage import keys, open_store
from tests.unit.reports.exporting.finished import OUTCOMES, RUN_ID, finished


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("run")
    found = finished(open_store(str(folder / "out")), folder)
    found.store.put(keys.night_key("qa", f"2026-11-24-{RUN_ID}.json"), b"{}")
    found.store.put(keys.night_key("other", "2026-11-24-1f0c.json"), b"{}")
    return found


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory):
    """A database that the tests share: making its tables takes some seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


def runs_of(tracking: str, experiment: str):
    client = MlflowClient(tracking_uri=tracking)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return client, {one.data.tags["halluc_ray.system"]: one for one in found}


def test_a_system_is_a_run_with_the_reports_numbers(run, tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    logged = export_mlflow(run, tracking, experiment="评测/a b")
    assert [(one.system, one.new) for one in logged] == [("m0", True), ("m1", True)]
    assert list(tmp_path.iterdir()) == [], "artifacts lie beside the database"
    client, found = runs_of(tracking, "评测/a b")
    report = read_report(run.store, RUN_ID)
    for rate in report.overall():
        metrics = found[rate.system].data.metrics
        for name in ("rate", "low", "high", "answered_share", "rows", *OUTCOMES):
            value = getattr(rate, name)
            assert metrics.get(f"{rate.indicator}/{name}") == (None if value is None else pytest.approx(value, abs=0))
    one = found["m0"]
    assert one.info.status == "FINISHED"
    assert one.data.tags["halluc_ray.run_id"] == RUN_ID
    assert one.data.tags["halluc_ray.suite"] == "qa"
    assert one.data.params["signature"] == report.signature
    page = client.download_artifacts(one.info.run_id, "report.html", str(tmp_path))
    assert Path(page).read_text() == "<p>the page</p>"
    data = Path(client.download_artifacts(one.info.run_id, "report.json", str(tmp_path))).read_bytes()
    assert data == run.store.read(keys.run_key(RUN_ID, "report.json"))


def test_logging_again_changes_nothing(run, tracking, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mlflow_runs, "PAGE", 1)
    first = export_mlflow(run, tracking, experiment="twice")
    again = export_mlflow(run, tracking, experiment="twice")
    assert [one.new for one in again] == [False, False]
    assert [one.mlflow_run_id for one in again] == [one.mlflow_run_id for one in first]
    assert len(runs_of(tracking, "twice")[1]) == 2


def test_what_a_killed_command_left_is_completed(run, tracking, monkeypatch: pytest.MonkeyPatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_text", killed)
        with pytest.raises(KeyboardInterrupt):
            export_mlflow(run, tracking, experiment="killed")
    assert [one.info.status for one in runs_of(tracking, "killed")[1].values()] == ["RUNNING"]
    export_mlflow(run, tracking, experiment="killed")
    client, found = runs_of(tracking, "killed")
    assert {name: one.info.status for name, one in found.items()} == {"m0": "FINISHED", "m1": "FINISHED"}
    assert len(client.get_metric_history(found["m0"].info.run_id, "judged/rate")) == 1


def test_without_the_library_the_extra_is_named(run, tracking, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SpecError, match=r"halluc-ray\[mlflow\]"):
        export_mlflow(run, tracking, experiment="x")


@pytest.mark.parametrize("uri", ["nowhere://x", "file:///tmp/mlruns-that-nobody-has"])
def test_a_store_that_mlflow_refuses_is_an_error_of_one_line(run, uri):
    with pytest.raises(SpecError, match="MLflow can't use") as error:
        export_mlflow(run, uri, experiment="x")
    assert "\n" not in str(error.value)


def test_a_deleted_experiment_is_not_written_to(run, tracking):
    client = MlflowClient(tracking_uri=tracking)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(SpecError, match="was deleted"):
        export_mlflow(run, tracking, experiment="gone")

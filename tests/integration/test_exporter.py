"""The exporter as a command: scraped by a real Prometheus, written for a node exporter, stopped, misused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from halluc_ray.records.metrics import OF_A_STORE
from halluc_ray.suites.nights import NightGate, write_night
from halluc_ray.suites.verdicts import Verdict
from infra.object_store.server import free_ports
from tests.unit.engine.whole import answers, begin, report_of, spec_of, write
from tests.unit.suites.test_nights import a_night

MONITORING = Path(__file__).parents[2] / "infra" / "monitoring"
COMMAND = [sys.executable, "-m", "halluc_ray.cli.app", "exporter"]
OUTCOMES = ("hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed")
with_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus and promtool are not installed here",
)


def once(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def serving(store: Path, *options: str) -> Iterator[str]:
    """Address of an exporter that reads every second; at the end it must stop by itself and in order."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*COMMAND, str(store), "--port", "0", "--every", "1", *options],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        yield urllib.parse.urlparse(process.stdout.readline().strip()).netloc
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


@contextmanager
def prometheus(folder: Path, target: str, *, alertmanager: str = "") -> Iterator[str]:
    """Base URL of a Prometheus that runs the exporter's job and the rules of our configuration."""
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    [job] = [job for job in config["scrape_configs"] if job["job_name"] == "halluc_ray_nights"]
    job["static_configs"], job["scrape_interval"] = [{"targets": [target]}], "1s"
    config["global"] |= {"scrape_timeout": "1s", "evaluation_interval": "1s"}
    config |= {"scrape_configs": [job], "rule_files": [str(MONITORING / "nights.yml")]}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def answered(url: str, **query: str) -> Any:
    """What Prometheus says, once it says something."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=5) as answer:
                data = json.load(answer)["data"]
            if found := data.get("result") or data.get("alerts"):
                return found
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"nothing at {url} {query}")


@pytest.fixture
def run(tmp_path: Path):
    write(tmp_path / "corpus" / "a.parquet", answers(range(40)))
    run = begin(spec_of(tmp_path / "corpus", tmp_path / "out", slices=["topic"]))
    report_of(run)
    return run


def the_rate(run) -> dict[str, Any]:
    report = json.loads(run.store.read(f"runs/{run.run_id}/report.json"))
    [rate] = [rate for rate in report["rates"] if not rate["slice"]]
    return dict(rate)


@with_prometheus
def test_prometheus_has_the_numbers_of_the_report_and_the_alert_fires(run, tmp_path: Path) -> None:
    rate = the_rate(run)
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with serving(tmp_path / "out") as target, prometheus(folder, target) as url:

        def value(name: str, **labels: str) -> float:
            selector = ",".join(f'{key}="{text}"' for key, text in labels.items())
            [found] = answered(f"{url}/api/v1/query", query=f"halluc_ray_{name}{{{selector}}}")
            return float(found["value"][1])

        of_run = {"run_id": run.run_id, "system": "clerk", "indicator": "answer_mismatch"}
        assert value("run_hallucination_rate", **of_run) == rate["rate"]
        assert value("run_hallucination_rate_low", **of_run) == rate["low"]
        assert value("run_hallucination_rate_high", **of_run) == rate["high"]
        assert [value("run_units", **of_run, outcome=name) for name in OUTCOMES] == [rate[name] for name in OUTCOMES]

        gate = NightGate(verdict=Verdict.FAIL, reason="r", policy="p")
        write_night(run.store, a_night("2026-11-24", run_id=run.run_id, gate=gate))  # while it is served
        of_night = {"suite": "qa", "spec": "facts"}
        assert value("night_gate", **of_night, verdict="FAIL") == 1
        assert value("night_hallucination_rate", **of_night, indicator="answer_mismatch") == rate["rate"]
        alert = answered(f"{url}/api/v1/query", query='ALERTS{alertname="NightGateFailed",alertstate="firing"}')
        assert alert[0]["metric"]["spec"] == "facts"


def test_the_text_file_is_open_metrics(run, tmp_path: Path) -> None:
    path = tmp_path / "halluc_ray.prom"
    done = once(str(tmp_path / "out"), "--textfile", str(path))
    assert done.returncode == 0, done.stderr
    families = {family.name: family for family in text_string_to_metric_families(path.read_text())}
    assert families["halluc_ray_run_hallucination_rate"].samples[0].value == the_rate(run)["rate"]
    assert set(families) <= {metric.name for metric in OF_A_STORE}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["corpus", "halluc_ray.prom", "out"]


@with_prometheus
def test_promtool_finds_no_fault_in_names_and_text(run, tmp_path: Path) -> None:
    """In OpenMetrics and in the older text format, which a node exporter reads."""
    write_night(run.store, a_night("2026-11-24", gate=NightGate(verdict=Verdict.PASS, reason="r", policy="p")))
    path = tmp_path / "halluc_ray.prom"
    assert once(str(tmp_path / "out"), "--textfile", str(path)).returncode == 0
    with serving(tmp_path / "out") as target:
        time.sleep(1.5)
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=5) as answer:
            served = answer.read()
    assert b"halluc_ray_night_gate" in served
    done = subprocess.run(["promtool", "check", "metrics"], input=served, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=path.read_bytes(), capture_output=True, timeout=60, check=False)
    # It parses; in OpenMetrics a counter's help stands under its name without `_total`.
    assert done.stderr.decode().splitlines() == ["halluc_ray_exporter_store_errors_total no help text"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --port (serve) and --textfile (write once)"),
        (["--port", "0", "--textfile", "x"], "give one of --port (serve) and --textfile (write once)"),
        (["--textfile", "no/such/folder/x.prom"], "no/such/folder/x.prom can't be written (No such file or directory)"),
        (["--port", "{taken}"], "can't be served on (Address already in use)"),
    ],
)
def test_misuse_is_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = once(str(tmp_path), *(argument.format(taken=port) for argument in arguments))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_with_nothing_in_it_is_told(tmp_path: Path) -> None:
    done = once(str(tmp_path / "typo"), "--textfile", str(tmp_path / "x.prom"))
    assert done.returncode == 0
    assert "typo holds no night and no finished run" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_a_store_that_refuses_is_in_the_file(tmp_path: Path) -> None:
    loop, path = tmp_path / "loop", tmp_path / "x.prom"
    loop.symlink_to(loop)
    done = once(str(loop), "--textfile", str(path))
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "halluc_ray_exporter_up 0.0" in path.read_text()

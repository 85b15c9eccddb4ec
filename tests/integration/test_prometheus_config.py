"""The monitoring configuration, accepted by promtool, run by a real Prometheus that scrapes a real endpoint."""

import http.server
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.object_store.server import free_ports

MONITORING = Path(__file__).parents[2] / "infra" / "monitoring"
RULES = ("alerts.yml", "nights.yml")
RAY_DISCOVERY_FILE = "/tmp/ray/prom_metrics_service_discovery.json"

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus and promtool are not installed here",
)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False
    )


def test_promtool_accepts_the_configuration() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tests", ["alerts_test.yml", "nights_test.yml"])
def test_alert_rules_fire_when_they_should(tests: str) -> None:
    done = promtool("test", "rules", tests)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("alerts", "shards_failed) > 0", "shards_failed) > 5"),
        ("alerts", "failed_share > 0.01", "failed_share > 0.1"),
        ("alerts", "failed_share > 0.01", "failed_share >= 0.01"),
        ("alerts", "retries_total[15m])) > 10", "retries_total[15m])) > 2"),
        ("alerts", "> on (run_id) max by (run_id) (delta(", "> on (run_id) -max by (run_id) (delta("),
        ("alerts", "store_errors_total[15m])) > 5", "store_errors_total[15m])) > 3"),
        ("nights", 'verdict="FAIL"', 'verdict="PASS"'),
        ("nights", "> 2 * 86400", "> 4 * 86400"),
        ("nights", "night_missed) > 0", "night_missed) > 1"),
        ("nights", "unless on (suite) halluc_ray_night_missed", "unless on (suite) halluc_ray_night_none"),
        ("nights", "exporter_up) == 0", "exporter_up) == 2"),
        ("nights", '{part="nights"}) == 0', '{part="nights"}) == 2'),
        ("nights", "> 26 * 3600", "> 36 * 3600"),
    ],
)
def test_rule_tests_can_fail(tmp_path: Path, name: str, right: str, wrong: str) -> None:
    rules = (MONITORING / f"{name}.yml").read_text()
    assert right in rules
    (tmp_path / f"{name}.yml").write_text(rules.replace(right, wrong))
    shutil.copy(MONITORING / f"{name}_test.yml", tmp_path)
    assert promtool("test", "rules", str(tmp_path / f"{name}_test.yml")).returncode == 1


class _Metrics(http.server.BaseHTTPRequestHandler):
    """One node's metrics endpoint."""

    def do_GET(self) -> None:
        body = b'# TYPE ray_node_mem_used gauge\nray_node_mem_used{SessionName="s"} 42\n'
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def prometheus(tmp_path: Path, endpoint: str) -> Iterator[str]:
    """Base URL of a Prometheus that runs our configuration; only the discovery file's place and the pace differ."""
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    discovery = tmp_path / "prom_metrics_service_discovery.json"
    discovery.write_text(json.dumps([{"labels": {"job": "ray"}, "targets": [endpoint]}]))
    scrape = config["scrape_configs"][0]["file_sd_configs"][0]
    assert scrape["files"] == [RAY_DISCOVERY_FILE]
    scrape["files"] = [str(discovery)]
    del config["scrape_configs"][1:]  # the exporter's own test scrapes one
    del config["alerting"]  # the dashboards' test has an Alertmanager
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(MONITORING / name) for name in RULES]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def eventually(url: str, holds: Any, *, limit_s: float = 30) -> Any:
    """Body of the URL once `holds` is true of it."""
    deadline = time.monotonic() + limit_s
    body = ""
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                body = answer.read().decode()
            if holds(body):
                return body
        except urllib.error.URLError as error:
            body = str(error)
        time.sleep(0.2)
    raise AssertionError(f"{url} after {limit_s} s: {body}")


def test_prometheus_runs_the_configuration(prometheus: str) -> None:
    eventually(f"{prometheus}/-/ready", lambda body: "Ready" in body)
    rules = json.loads(eventually(f"{prometheus}/api/v1/rules", lambda body: "EvaluationStalled" in body))
    loaded = [rule for group in rules["data"]["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded if rule["type"] == "alerting"} == {
        "EvaluationFailedRows",
        "EvaluationGaveUpShards",
        "EvaluationRetryStorm",
        "EvaluationStalled",
        "EvaluationStoreErrors",
        "ExporterGone",
        "HistoryUnreadable",
        "NightFailedRows",
        "NightGateFailed",
        "NightGateInconclusive",
        "NightMissing",
        "RayNodeOutOfMemorySoon",
        "RayNodeDiskFull",
    }
    query = urllib.parse.urlencode({"query": 'ray_node_mem_used{job="ray"}'})
    eventually(f"{prometheus}/api/v1/query?{query}", lambda body: '"42"' in body)

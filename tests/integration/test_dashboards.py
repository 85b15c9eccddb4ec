"""Dashboards and alerts on a real Prometheus, which scrapes a real exporter and tells a real Alertmanager."""

import datetime
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from halluc_ray.suites.nights import NightGate, write_night
from halluc_ray.suites.verdicts import Verdict
from infra.object_store.server import free_ports
from tests.boards import BOARDS, answers, asked, filled, offered
from tests.integration.test_exporter import MONITORING, OUTCOMES, prometheus, serving, with_prometheus
from tests.unit.engine.whole import answers as corpus
from tests.unit.engine.whole import begin, report_of, spec_of, write
from tests.unit.suites.hooks import Hook, hook
from tests.unit.suites.test_exporter import check, failed, keep_gate
from tests.unit.suites.test_nights import a_night

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
SUITE = "name: qa\nspecs: [facts.yaml]\nschedule: daily\ndevices: {cpu: {price_per_hour: 36}}\n"
VARIABLES = {
    "suite": "qa", "spec": ".*", "system": ".*", "indicator": "answer_mismatch", "run_id": "r", "SessionName": ".*",
    "node": ".*", "__rate_interval": "1m",
}  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """A Prometheus that knows a store, the report of the store's run, and who is told of alerts."""

    url: str
    rate: dict[str, Any]
    run_id: str
    told: Hook


@contextmanager
def alertmanager(folder: Path, told: Hook) -> Iterator[str]:
    """Address of an Alertmanager that runs the example; only the webhooks' address and the pace differ."""
    if ALERTMANAGER is None:
        yield ""
        return
    config = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    config["route"]["group_wait"] = "0s"
    for receiver in config["receivers"]:
        receiver["webhook_configs"][0]["url"] = told.url
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [ALERTMANAGER, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alerts'}"]
    with (folder / "alerts.log").open("w") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address={address}", "--cluster.listen-address="], stdout=log, stderr=log
        )
    try:
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two nights, the later of which failed its gate, with a check of each verdict."""
    folder = tmp_path_factory.mktemp("watched")
    write(folder / "corpus" / "a.parquet", corpus(range(40)))
    run = begin(spec_of(folder / "corpus", folder / "out", slices=["topic"]))
    report = report_of(run)
    work = {"finished": 5.5, "started": 1, "devices": {"kind": "cpu", "held_s": 100, "busy_s": {"clerk": 50}}}
    run.store.put(f"runs/{run.run_id}/telemetry.json", json.dumps({"work": [work]}).encode())
    today = datetime.datetime.now(datetime.UTC).date()
    passed = NightGate(verdict=Verdict.PASS, reason="r", policy="p")
    write_night(run.store, a_night(str(today - datetime.timedelta(days=2)), run_id=run.run_id, gate=passed))
    night = failed(str(today - datetime.timedelta(days=1)), run_id=run.run_id)
    write_night(run.store, night)
    keep_gate(run.store, night, *(check(verdict, 0.4, {"topic": verdict}) for verdict in Verdict))
    (folder / "suite.yaml").write_text(SUITE)
    with (
        hook() as told,
        serving(folder / "out", "--suite", str(folder / "suite.yaml")) as target,
        alertmanager(folder, told) as alerts,
        prometheus(folder, target, alertmanager=alerts) as url,
    ):
        [rate] = [rate for rate in report["rates"] if not rate["slice"]]
        yield Watched(url, rate, run.run_id, told)


def values(series: list[dict[str, Any]]) -> list[float]:
    return [float(one["value"][1]) for one in series]


@with_prometheus
def test_each_query_of_the_nightly_dashboard_has_the_reports_numbers(watched: Watched) -> None:
    found = answers(watched.url, "nightly", variables=VARIABLES)
    rate, low, high, answered = (watched.rate[name] for name in ("rate", "low", "high", "answered_share"))
    assert values(found["Rate", "A"]) == [rate]
    assert [values(found["$system", ref]) for ref in "ABC"] == [[rate], [low], [high]]
    assert [values(found["Rates", ref]) for ref in "ABCDE"] == [[rate], [low], [high], [answered], [40]]
    assert [values(found["Finished runs", ref]) for ref in "ABC"] == [[rate], [low], [high]]
    assert values(found["Answered share", "A"]) == [answered]
    outcomes = {one["metric"]["outcome"]: float(one["value"][1]) for one in found["Outcomes", "A"]}
    assert outcomes == {name: watched.rate[name] for name in OUTCOMES}
    assert values(found["Gate", "A"]) == values(found["Gate by night", "A"]) == [2]
    assert sorted(values(found["Failing checks by night", "A"])) == [1, 2]
    assert {one["metric"]["slice"] for one in found["Checks that did not pass", "A"]} == {
        "topic=FAIL",
        "topic=INCONCLUSIVE",
    }
    assert values(found["Device-seconds", "A"]) == [100]
    assert values(found["Money", "A"]) == [pytest.approx(1.0)]
    assert values(found["Missed", "A"]) == [0]
    assert 86_400 <= values(found["Last success", "A"])[0] < 2 * 86_400
    assert 2 * 86_400 <= values(found["Last PASS", "A"])[0] < 3 * 86_400


@with_prometheus
def test_the_nightly_dashboard_offers_what_there_is(watched: Watched) -> None:
    answers(watched.url, "nightly", variables=VARIABLES)
    assert offered(watched.url, "nightly", variables=VARIABLES) == {
        "suite": ["qa"],
        "spec": ["facts"],
        "system": ["clerk"],
        "indicator": ["answer_mismatch"],
    }


@with_prometheus
@pytest.mark.skipif(ALERTMANAGER is None, reason="prometheus-alertmanager is not installed here")
def test_a_failed_gate_reaches_the_one_on_call(watched: Watched) -> None:
    deadline = time.monotonic() + 60
    while not watched.told.bodies:
        assert time.monotonic() < deadline, "the webhook was told nothing"
        time.sleep(0.2)
    [body] = [body for body in watched.told.bodies if body["commonLabels"]["alertname"] == "NightGateFailed"]
    assert body["receiver"] == "on-call"
    [alert] = body["alerts"]
    assert (alert["status"], alert["labels"]["suite"], alert["labels"]["spec"]) == ("firing", "qa", "facts")
    assert alert["annotations"]["runbook_url"] == "docs/operations.md#nightgatefailed"


@with_prometheus
def test_promtool_reads_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"x:{k}", "expr": filled(q.expr, VARIABLES)}
        for k, q in enumerate(q for n in BOARDS for q in asked(n))
    ]
    assert len(rules) > 60
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed here")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=NightGateFailed", "severity=critical"), "on-call"),
        (("alertname=EvaluationStalled", "severity=warning"), "team"),
    ],
)
def test_alertmanagers_example_tells_the_right_ones(labels: tuple[str, ...], receiver: str) -> None:
    config = MONITORING / "alertmanager.yml"
    checked = subprocess.run(
        ["amtool", "check-config", str(config)], capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 0, checked.stderr
    command = ["amtool", "config", "routes", "test", f"--config.file={config}", *labels]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == receiver

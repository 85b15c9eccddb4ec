"""A real Prometheus watches a run with faults: each declared metric has data, and the numbers are the report's."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from halluc_ray.evaluation.planning import done_shards
from halluc_ray.records import OUTCOMES
from halluc_ray.records.metrics import OF_A_LIVING_RUN
from halluc_ray.storage import open_store
from infra.object_store.server import free_ports
from infra.up import prometheus as monitoring
from infra.up.head import RayHead
from tests import boards
from tests.faults.watched import GPU_BYTES, RETRIES
from tests.openai_server import OpenAIServer
from tests.unit.engine.whole import answers, compute, plan_of, spec_of, write

ROOT = Path(__file__).parents[2]
EARLIER, SHARDS = 3, 12
LIMIT_S = 200.0
ASKED_FOR = "sum(ray_halluc_ray_tokens_total{})"

pytestmark = [
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed here"),
    pytest.mark.timeout(600),
]


@dataclass(frozen=True)
class Watched:
    """A finished run, and what Prometheus saw of it; `seen_at` is when all was done and its driver still lived."""

    url: str
    output: Path
    run_id: str
    seen_at: float = 0.0

    def values(self, expression: str) -> dict[tuple[str, ...], float]:
        """Labels -> value; `{}` in the expression stands for the run's selector."""
        query = {"query": expression.replace("{}", f'{{run_id="{self.run_id}"}}')}
        found = asked(f"{self.url}/api/v1/query?{urllib.parse.urlencode(query)}")
        return {tuple(one["metric"].values()): float(one["value"][1]) for one in found["data"]["result"]}

    def value(self, expression: str) -> float:
        [value] = self.values(expression).values()
        return value

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.output / "runs" / self.run_id / "report.json").read_text()))


def asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            if what():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    raise AssertionError("waited in vain")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, ray_head: RayHead) -> Iterator[str]:
    """URL of a Prometheus that scrapes the cluster every second."""
    folder = tmp_path_factory.mktemp("prometheus")
    discovery = folder / "nodes.json"  # as Ray writes it where it has a dashboard
    discovery.write_text(json.dumps([{"labels": {"job": "ray"}, "targets": [ray_head.metrics]}]))
    text = monitoring.configuration(discovery_path=discovery, exporter="127.0.0.1:9")
    config = yaml.safe_load(text.replace("5s", "1s"))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_ports(1)[0]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(monitoring.command(folder, port=port), stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        server.delay_s = 0.01
        yield server


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, ray_head: RayHead, prometheus: str, server: OpenAIServer
) -> Watched:
    """Recorded answers, of which an earlier command has done some shards, and an endpoint's, beside faults."""
    folder = tmp_path_factory.mktemp("watched")
    corpus = write(folder / "corpus" / "a.parquet", answers(range(10 * SHARDS)), group_rows=30)
    spec = spec_of(corpus, folder / "out", engine={"shard_rows": 10, "actors": 2})
    endpoint = {"kind": "endpoint", "name": "asked", "url": server.url, "model": "m", "as_of": "1"}
    spec["systems"].append(endpoint)
    plan, store = plan_of(spec), open_store(spec["output"])
    assert compute(plan, store, at_most=EARLIER) == EARLIER
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.watched", str(folder / "spec.yaml")],
        cwd=ROOT,
        env=os.environ | ray_head.environment | {"RAY_metrics_report_interval_ms": "1000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found = Watched(prometheus, folder / "out", plan.run_id)
    try:
        eventually(lambda: (folder / "half").exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[0]
        eventually(lambda: found.value("ray_halluc_ray_actors{}") > 0 and found.value(ASKED_FOR) > 0)
        (folder / "seen").touch()
        eventually(lambda: (folder / "done").exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[0]
        eventually(lambda: found.value("ray_halluc_ray_actors{}") == 0)
        found = replace(found, seen_at=time.time())
        (folder / "go").touch()
        said = process.communicate(timeout=LIMIT_S)[0]
        assert process.returncode == 0, said
    finally:
        process.kill()
        process.wait()
    assert set(map(len, done_shards(store, plan).values())) == {SHARDS}
    return found


def test_units_are_those_of_the_report(watched: Watched) -> None:
    shown = watched.values("sum by (system, indicator, outcome) (last_over_time(ray_halluc_ray_units{}[10m]))")
    rates = [rate for rate in watched.report["rates"] if not rate["slice"]]
    assert {rate["system"] for rate in rates} == {"clerk", "asked"}
    labels = watched.values("count by (indicator, outcome, system) (last_over_time(ray_halluc_ray_units{}[10m]))")
    assert set(labels.values()) == {1}
    expected = {
        frozenset((rate["system"], rate["indicator"], outcome.label)): rate[outcome.label]
        for rate in rates
        for outcome in OUTCOMES
    }
    assert {frozenset(key): value for key, value in shown.items()} == expected


def test_tokens_are_those_of_the_generations(watched: Watched) -> None:
    parts = [pq.read_table(path) for path in watched.output.glob("stages/generate-*/parts/*.parquet")]
    for direction, column in (("input", "num_prompt_tokens"), ("output", "num_output_tokens")):
        expected = sum(pc.sum(part[column]).as_py() or 0 for part in parts)
        selector = f'{{run_id="{watched.run_id}",system="asked",direction="{direction}"}}'
        assert watched.value(f"last_over_time(ray_halluc_ray_tokens_total{selector}[10m])") == expected > 0


def test_faults_and_commits_are_counted(watched: Watched) -> None:
    retries = watched.values("sum by (budget) (last_over_time(ray_halluc_ray_retries_total{}[10m]))")
    assert retries == {(budget,): times for budget, times in RETRIES.items()}
    errors = watched.values("sum by (kind) (last_over_time(ray_halluc_ray_store_errors_total{}[10m]))")
    assert errors == {("StoreUnavailable",): 1}
    published = watched.value("last_over_time(ray_halluc_ray_commit_seconds_count{}[10m])")
    assert published == 3 * (2 * SHARDS - EARLIER)
    assert watched.value("sum(last_over_time(ray_halluc_ray_memory_splits_total{}[10m]))") == 2 * SHARDS - EARLIER
    sizes = watched.values("max by (actor) (last_over_time(ray_halluc_ray_gpu_memory_bytes{}[10m]))")
    assert set(sizes.values()) == {GPU_BYTES}
    assert {actor for (actor,) in sizes} <= {"actor-0", "actor-1", "actor-2"}


def test_the_machinery_is_seen_at_work(watched: Watched) -> None:
    assert 1 <= watched.value("max_over_time(ray_halluc_ray_actors{}[10m])") <= 2
    assert 1 <= watched.value("max_over_time(ray_halluc_ray_tasks_in_flight{}[10m])") <= 4
    assert 1 <= watched.value("max_over_time(ray_halluc_ray_queue_depth{}[10m])") <= 2 * SHARDS - EARLIER
    assert 0 < watched.value("max_over_time(ray_halluc_ray_model_busy_share{}[10m])") <= 1
    assert set(watched.values("last_over_time(ray_halluc_ray_left_out{}[10m])").values()) == {0}


def test_each_query_of_the_runs_dashboard_has_the_reports_numbers(watched: Watched) -> None:
    variables = {"run_id": watched.run_id, "system": ".*", "indicator": ".*", "__rate_interval": "1m"}
    found = boards.answers(watched.url, "run", variables=variables, at=watched.seen_at)
    numbers = {place: [float(one["value"][1]) for one in series] for place, series in found.items()}
    rates = [rate for rate in watched.report["rates"] if not rate["slice"]]
    shown = {one["metric"]["system"]: float(one["value"][1]) for one in found["Hallucination rate so far", "A"]}
    assert shown == {rate["system"]: rate["rate"] for rate in rates}
    outcomes = {one["metric"]["outcome"]: float(one["value"][1]) for one in found["Outcomes", "A"]}
    assert outcomes == {o.label: sum(rate[o.label] for rate in rates) for o in OUTCOMES}
    assert numbers["Failed", "A"] == [pytest.approx(watched.report["failed_share"])]
    assert (numbers["Done", "A"], numbers["Time left", "A"]) == ([1], [0])
    assert numbers["Shards", "A"] == [2 * SHARDS]
    assert sum(numbers["Retries", "A"]) == sum(RETRIES.values())
    assert set(boards.offered(watched.url, "run", variables=variables)["system"]) == set(shown)


def test_each_declared_metric_has_data(watched: Watched) -> None:
    endings = {"gauge": "", "counter": "_total", "histogram": "_bucket"}
    empty = [
        metric.name
        for metric in OF_A_LIVING_RUN
        if not watched.values(f"last_over_time(ray_{metric.name}{endings[metric.kind]}{{}}[10m])")
    ]
    assert empty == []

"""`ray job submit` on a real head: spec and corpus in a real S3 server, no shared disk."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import expect, sync_playwright

from halluc_ray.engine.versions import source_digest
from halluc_ray.storage import open_store
from infra.up.head import RayHead

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")
SUBMIT_S = 180
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@dataclass(frozen=True)
class Head:
    """A running head: where jobs are sent, and what its clients' environment must hold."""

    address: str
    environment: dict[str, str]

    def submit(
        self,
        *arguments: str,
        job: str = "jobs.evaluate",
        package: tuple[str, ...] = ("--working-dir", "."),
        folder: Path = ROOT,
    ) -> subprocess.CompletedProcess[str]:
        """Submit from a folder; `package` says how the cluster gets ours."""
        command = [RAY, "job", "submit", "--address", self.address, *package]
        return subprocess.run(
            [*command, "--", "python", "-m", job, *arguments],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SUBMIT_S,
        )


@pytest.fixture(scope="module")
def head(s3_server) -> Iterator[Head]:
    """A head with ports, temporary folder and token of its own, ended by its own process ids."""
    folder = Path(tempfile.mkdtemp(prefix="hr-", dir="/tmp"))  # short: socket paths hold 107 characters
    settings = {
        "PATH": f"{RAY.parent}{os.pathsep}{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": s3_server.endpoint,
    }
    started = RayHead(folder, num_gpus=None, dashboard_wanted=True, settings=settings)
    try:
        started.start()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        environment = kept | settings | started.environment
        del environment["RAY_ADDRESS"]
        yield Head(started.dashboard, environment)
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def bucket(s3_server):
    """Spec and corpus under a prefix of their own; 2 of 20 answers are wrong."""
    prefix = f"s3://{s3_server.bucket}/jobs/{secrets.token_hex(4)}"
    store = open_store(prefix, endpoint=s3_server.endpoint)
    buffer = io.BytesIO()
    answers = ["Rome" if k % 10 == 0 else "Paris" for k in range(20)]
    pq.write_table(pa.table({"id": [f"q{k}" for k in range(20)], "a": answers, "truth": ["Paris"] * 20}), buffer)
    store.put("corpus/part-0.parquet", buffer.getvalue())
    spec = {
        "corpus": {"uri": f"{prefix}/corpus", "columns": {"id": "id", "response": "a", "reference": "truth"}},
        "systems": [{"kind": "recorded", "name": "human"}],
        "indicators": [{"kind": "answer_mismatch"}],
        "output": f"{prefix}/out",
        "engine": {"shard_rows": 5},
    }
    store.put("specs/night.yaml", json.dumps(spec).encode())
    return store


@pytest.fixture(scope="module")
def done(head, bucket) -> subprocess.CompletedProcess[str]:
    """An evaluation as a job with a name of its own."""
    named = ("--submission-id", "facts-2026-11-24", "--metadata-json", '{"suite": "facts"}', "--working-dir", ".")
    return head.submit(f"{bucket.uri}/specs/night.yaml", "--set", "engine.actors=1", package=named)


@pytest.mark.timeout(400)
def test_a_job_evaluates_from_s3_to_s3(done, bucket):
    assert done.returncode == 0, done.stdout
    reports = [info.key for info in bucket.list("out/runs/") if info.key.endswith("report.json")]
    assert len(reports) == 1, done.stdout
    rate = json.loads(bucket.read(reports[0]))["rates"][0]
    assert (rate["rows"], rate["hallucinated"], rate["failed"], rate["rate"]) == (20, 2, 0, 0.1)
    assert "20/20 rows" in done.stdout
    assert reports[0].replace("report.json", "report.html") in done.stdout


@pytest.mark.skipif(not Path(CHROMIUM).is_file(), reason="chromium is not installed here")
@pytest.mark.timeout(400)
def test_the_dashboard_shows_job_and_actors_by_name(head, bucket, done):
    [run] = {info.key.split("/")[2] for info in bucket.list("out/runs/")}
    token = Path(head.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context()
        context.add_cookies([{"name": "ray-authentication-token", "value": token, "url": head.address}])
        page = context.new_page()
        page.goto(f"{head.address}/#/actors")
        expect(page.get_by_text(f"HallucRayWorker(actor-0, run {run[:8]}, CPU)").first).to_be_visible(timeout=60_000)
        page.goto(f"{head.address}/#/jobs")
        expect(page.get_by_text("facts-2026-11-24").first).to_be_visible(timeout=60_000)
        browser.close()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> tuple[Path, str]:
    """A wheel of the package with one module changed, and the digest of its modules."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("halluc_ray", "jobs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    with (source / "halluc_ray" / "text" / "units.py").open("a") as module:
        module.write("FROM_A_WHEEL = True\n")
    building = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(dist), "."]
    subprocess.run(building, cwd=source, check=True, timeout=120)
    return next(dist.glob("*.whl")), source_digest(source / "halluc_ray")


@pytest.mark.timeout(400)
def test_a_wheel_brings_the_package_to_driver_and_actors(head, bucket, wheel, tmp_path):
    """What is installed on the nodes is another package, and nobody takes it."""
    path, digest = wheel
    uploaded = f"${{RAY_RUNTIME_ENV_CREATE_WORKING_DIR}}/{path.name}"
    installing = {"pip": {"packages": [uploaded], "pip_install_options": ["--no-deps"]}}
    package = ("--working-dir", str(path.parent), "--runtime-env-json", json.dumps(installing))
    output = f"{bucket.uri}/by_wheel"
    chosen = ("--set", "engine.actors=1", "--set", f"output={output}")
    done = head.submit(f"{bucket.uri}/specs/night.yaml", *chosen, package=package, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["halluc_ray"] for line in lines if line["event"] == "run planned"] == [f"0.1.0 ({digest})"]
    assert len([line for line in lines if line["event"] == "shard committed"]) == 3 * 4
    assert [info.key for info in bucket.list("by_wheel/runs/") if info.key.endswith("report.json")]


@pytest.mark.timeout(400)
def test_a_job_refuses_what_its_workers_would_not_see(head, bucket):
    done = head.submit(f"{bucket.uri}/specs/night.yaml", "--set", "corpus.uri=/data/corpus")
    assert done.returncode != 0
    assert "corpus.uri: /data/corpus lies outside the job's working directory" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.timeout(400)
def test_a_night_as_a_job(head, bucket):
    """Suite, spec and corpus in S3; the verdict is in the bucket, and the job has failed where it is no PASS."""
    suite = {
        "name": "qa",
        "specs": [f"{bucket.uri}/specs/night.yaml"],
        "output": f"{bucket.uri}/out",
        "gate": {"rules": [{"max_rate": 0.01}]},
    }
    bucket.put("suites/qa.yaml", json.dumps(suite).encode())
    done = head.submit(f"{bucket.uri}/suites/qa.yaml", "--date", "2026-11-24", job="jobs.nightly")
    assert done.returncode != 0, done.stdout
    assert "FAIL: " in done.stdout
    [key] = [info.key for info in bucket.list("out/suites/qa/nights/")]
    assert key.startswith("out/suites/qa/nights/2026-11-24-")
    assert json.loads(bucket.read(key))["gate"]["verdict"] == "FAIL"

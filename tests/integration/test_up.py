"""From a clone to a verdict: `make up`, two nights as Ray jobs, the alert, the same night again, `make down`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlparse

import pytest
import yaml
from crontab import CronTab
from junitparser import JUnitXml

from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.suites.nights import Night, read_nights
from infra.up import processes
from infra.up.machine import Machine
from infra.up.state import read_state
from tests.boards import answers

ROOT = Path(__file__).parents[2]
FIRST, SECOND = "2026-11-23", "2026-11-24"
UPLOAD_BYTES = 30_000_000  # the clone without .venv, out and what else git ignores
PREPARE = "python examples/prepare_nightly.py $OUTPUT"
SUBMIT = "ray job submit --working-dir . -- python -m jobs.nightly examples/nightly.yaml"

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Shell:
    """A user's shell that has sourced `.up/env`."""

    folder: Path
    environment: dict[str, str]

    def run(self, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=ROOT,
            env=self.environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
        )

    @property
    def store(self) -> ObjectStore:
        return open_store(self.environment["OUTPUT"], endpoint=self.environment["AWS_ENDPOINT_URL"])


def infra_up(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "infra.up", command, str(folder)]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=200)


def sourced(folder: Path) -> dict[str, str]:
    """What a shell holds that sourced `env`, in a world with another cluster's and another store's settings."""
    world = os.environ | {"RAY_ADDRESS": "10.0.0.1:6379", "AWS_SESSION_TOKEN": "another's"}
    script = f". {folder}/env && env -0"
    done = subprocess.run(["sh", "-c", script], env=world, check=True, capture_output=True, text=True, timeout=30)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Everything up, after a first start that was killed half-way."""
    folder = tmp_path_factory.mktemp("machine") / "up"
    killed = subprocess.Popen([sys.executable, "-m", "infra.up", "up", str(folder)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while len(Machine(folder).parts()) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        left = processes.marked(folder)
        assert left, "killed half-way it leaves processes"
        done = infra_up("up", folder)
        assert done.returncode == 0, done.stderr
        assert not any(process.is_running() and process.status() != "zombie" for process in left)
        shell = Shell(folder, sourced(folder))
        with pytest.MonkeyPatch.context() as patch:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
                patch.setenv(name, shell.environment[name])  # this process reads the store too
            yield shell
    finally:
        infra_up("down", folder)


@dataclass(frozen=True)
class Nights:
    """What the three submissions said, and what lay in the store before and after the third."""

    first: subprocess.CompletedProcess[str]
    second: subprocess.CompletedProcess[str]
    again: subprocess.CompletedProcess[str]
    before: dict[str, bytes]
    after: dict[str, bytes]


@pytest.fixture(scope="module")
def nights(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """The first as cron starts it, the second as a person does, the same again as the workflow does."""
    done = shell.run(PREPARE)
    assert done.returncode == 0, done.stdout
    first = as_cron_does(shell, tmp_path_factory.mktemp("clock"))
    second = shell.run(f"{SUBMIT} --set output=$OUTPUT --date {SECOND}")
    before = history(shell.store)
    again = as_the_workflow_does(shell)
    return Nights(first, second, again, before, history(shell.store))


def as_cron_does(shell: Shell, folder: Path) -> subprocess.CompletedProcess[str]:
    """The line of the crontab through `sh -c`, at a moment of the first date; its settings name this machine."""
    (folder / "date").write_text(f"#!/bin/sh\necho {FIRST}\n")
    (folder / "date").chmod(0o755)
    (folder / "env").write_text(f". {shell.folder}/env\nPATH={folder}:$PATH\n")
    [entry] = list(CronTab(tabfile=str(ROOT / "infra" / "scheduling" / "crontab")))
    settings = dict(entry.env.all()) | {
        "HALLUC_RAY": str(ROOT),
        "ENVIRONMENT": str(folder / "env"),
        "NIGHT": f"examples/nightly.yaml --set output={shell.environment['OUTPUT']}",
        "HOME": os.environ["HOME"],
        "PATH": "/usr/bin:/bin",
    }
    return subprocess.run(
        ["/bin/sh", "-c", entry.command],
        cwd=folder,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )


def as_the_workflow_does(shell: Shell) -> subprocess.CompletedProcess[str]:
    workflow = yaml.safe_load((ROOT / "infra" / "scheduling" / "github-actions.yml").read_text())
    [step] = [step for step in workflow["jobs"]["night"]["steps"] if "night.sh" in step.get("run", "")]
    script = step["run"].replace('"$SUITE"', f'"$SUITE" --set output={shell.environment["OUTPUT"]}')
    assert script != step["run"]
    return shell.run(script, SUITE="examples/nightly.yaml", DATE=SECOND)


def history(store: ObjectStore) -> dict[str, bytes]:
    kept = ("report.json", "counts.parquet", "run.json")
    under = [info for prefix in ("runs/", "suites/", "stages/", "site/") for info in store.list(prefix)]
    keys = [info.key for info in under if "/runs/" not in f"/{info.key}" or info.key.endswith(kept)]
    return {key: store.read(key) for key in keys if not key.endswith("heartbeat.json")}


def recorded(shell: Shell) -> list[Night]:
    return read_nights(shell.store, "sums")


def test_pages_and_the_command_itself_say_the_same_way(shell: Shell) -> None:
    ways = [(ROOT / name).read_text() for name in ("README.md", "docs/operations.md")]
    ways.append(infra_up("up", shell.folder).stdout)
    for line in (PREPARE, *(f"{SUBMIT} --set output=$OUTPUT --date {date}" for date in (FIRST, SECOND))):
        assert all(line in way for way in ways), line


def test_the_first_night_has_nothing_to_compare_with(nights: Nights) -> None:
    assert "INCONCLUSIVE: " in nights.first.stdout, nights.first.stdout
    assert nights.first.returncode == 5


def test_the_worse_model_fails_and_the_slice_is_named(shell: Shell, nights: Nights) -> None:
    assert "FAIL: " in nights.second.stdout, nights.second.stdout
    assert "the worst slice is operation=times" in nights.second.stdout
    assert nights.second.returncode == 1
    assert "Job entrypoint command failed with exit code 1" in nights.second.stdout
    found = recorded(shell)
    assert [(night.date, night.gate and night.gate.verdict) for night in found] == [
        (FIRST, "INCONCLUSIVE"),
        (SECOND, "FAIL"),
    ]
    assert found[1].baseline is not None
    assert found[1].baseline.run_id == found[0].run_id


def test_junit_names_what_failed(shell: Shell, nights: Nights) -> None:
    [_, second] = recorded(shell)
    report = JUnitXml.fromstring(shell.store.read(f"suites/sums/gates/{SECOND}-{second.run_id}/gate.xml"))
    failed = [case.name for suite in report for case in suite if any(r._tag == "failure" for r in case.result)]
    assert len(failed) == 2
    assert any("operation=times" in name for name in failed), failed


def test_the_site_shows_both_nights(shell: Shell, nights: Nights) -> None:
    first, second = recorded(shell)
    pages = {info.key: shell.store.read(info.key).decode() for info in shell.store.list("site/")}
    assert set(pages) == {
        "site/index.html",
        "site/sums/index.html",
        f"site/sums/runs/{first.run_id}.html",
        f"site/sums/runs/{second.run_id}.html",
        f"site/sums/nights/{SECOND}-{second.run_id}.html",
    }
    trend = pages["site/sums/index.html"]
    assert all(word in trend for word in (FIRST, SECOND, "FAIL", "operation=times"))
    assert f"site  {shell.environment['OUTPUT']}/site/sums/index.html" in nights.second.stdout.lower()


def test_the_same_night_again_computes_nothing(nights: Nights, shell: Shell) -> None:
    assert "0 of 1 shards computed" in nights.again.stdout, nights.again.stdout
    assert "::error::the gate failed" in nights.again.stdout
    assert nights.again.returncode == 1
    assert nights.after == nights.before


def test_the_same_night_again_takes_less_than_15_seconds(shell: Shell, nights: Nights) -> None:
    """Of a processor, start-up included: unlike the clock's, they do not depend on who else uses the machine."""
    before = processor_seconds()
    done = shell.run(f"halluc-ray nightly examples/nightly.yaml --set output=$OUTPUT --date {SECOND}")
    assert done.returncode == 1, done.stdout
    assert processor_seconds() - before < 15


def processor_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def test_a_job_carries_the_code_alone(shell: Shell, nights: Nights) -> None:
    uploads = list((shell.folder / "ray" / "r").glob("session_2*/runtime_resources/working_dir_files/*/"))
    assert uploads
    for sent in uploads:  # one, unless somebody edits meanwhile
        names = {entry.name for entry in sent.iterdir()}
        assert names >= {"halluc_ray", "jobs", "examples"}
        assert not names & {".venv", ".git", ".up", "out", "models", "build"}
        assert sum(path.stat().st_size for path in sent.rglob("*") if path.is_file()) < UPLOAD_BYTES


def test_the_alert_fires_in_prometheus(shell: Shell, nights: Nights) -> None:
    url = shell.environment.get("PROMETHEUS_URL")
    if url is None:
        pytest.skip("prometheus is not installed here")
    firing = awaited(f"{url}/api/v1/query", 'ALERTS{alertname="NightGateFailed",alertstate="firing"}')
    assert [(alert["metric"]["suite"], alert["metric"]["spec"]) for alert in firing] == [("sums", "sums")]
    targets = awaited(f"{url}/api/v1/query", 'up{job="ray"}')
    assert {target["value"][1] for target in targets} == {"1"}
    ports = {target["metric"]["instance"].rpartition(":")[2] for target in targets}
    assert not ports & {"44217", "44227"}, "Ray's own choice, which another head on this machine may hold"


@pytest.mark.parametrize(
    ("name", "may_be_empty"),
    [
        (
            "cluster",
            ("GPU busy A", "GPU memory A", "GPUs handed out A", "GPUs handed out B", "Utilisation E", "Utilisation F"),
        ),
        ("nightly", ("Last PASS A", "Missed A", "Money A")),
    ],
)
def test_each_query_of_the_dashboards_has_data(
    shell: Shell, nights: Nights, name: str, may_be_empty: tuple[str, ...]
) -> None:
    """On a machine without GPUs, and with a suite that has neither a schedule nor prices."""
    url = shell.environment.get("PROMETHEUS_URL")
    if url is None:
        pytest.skip("prometheus is not installed here")
    [_, second] = recorded(shell)
    variables = {"SessionName": ".*", "node": ".*", "suite": "sums", "spec": "sums", "system": ".*"}
    variables["indicator"] = second.rates[0].indicator
    found = answers(url, name, variables=variables, may_be_empty=may_be_empty)
    if name == "nightly":
        rates = {rate.rate for rate in second.rates if rate.indicator == variables["indicator"]}
        assert {float(one["value"][1]) for one in found["Rate", "A"]} == rates


def test_up_again_starts_nothing(shell: Shell) -> None:
    before = Machine(shell.folder).parts()
    done = infra_up("up", shell.folder)
    assert done.returncode == 0
    assert done.stdout.startswith("up already\n")
    assert Machine(shell.folder).parts() == before
    assert None not in before.values()


def test_keys_are_for_their_owner_alone(shell: Shell) -> None:
    for name in ("env", "state.json"):
        assert (shell.folder / name).stat().st_mode & 0o077 == 0
    assert Path(shell.environment["RAY_AUTH_TOKEN_PATH"]).stat().st_mode & 0o077 == 0
    assert "AWS_SESSION_TOKEN" not in shell.environment


def test_down_ends_all_of_it_and_keeps_what_was_stored(shell: Shell, nights: Nights) -> None:
    """The last of this file."""
    state = read_state(shell.folder)
    assert state is not None
    done = infra_up("down", shell.folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("down")
    assert processes.marked(shell.folder) == []
    assert not Path(state.ray_folder).exists()
    for name in ("AWS_ENDPOINT_URL", "RAY_API_SERVER_ADDRESS", "EXPORTER_URL"):
        with pytest.raises(ConnectionRefusedError), socket.socket() as tried:
            tried.connect(("127.0.0.1", urlparse(shell.environment[name]).port or 0))
    assert any((shell.folder / "store" / "files").iterdir())
    assert infra_up("status", shell.folder).returncode == 1
    done = infra_up("down", shell.folder)
    assert (done.returncode, done.stdout) == (0, "nothing ran\n")


def awaited(url: str, query: str) -> list[dict[str, Any]]:
    """What Prometheus says, once it says something."""
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{url}?{urlencode({'query': query})}", timeout=10) as answer:
            if found := json.load(answer)["data"]["result"]:
                return list(found)
        time.sleep(0.3)
    raise AssertionError(f"nothing at {url} for {query}")

"""Drivers as processes of their own, so that they can be killed; a corpus of many shards."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from halluc_ray.storage import ObjectStore, open_store
from infra.up.head import RayHead

WAIT_S = 120.0
NUM_SHARDS = 42
_ROWS = 900


@pytest.fixture(scope="session")
def many_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of answers to arithmetic, some wrong, some refused, some null, in three files."""
    folder = tmp_path_factory.mktemp("many")
    for part in range(3):
        rows = range(part * NUM_SHARDS // 3 * _ROWS, (part + 1) * NUM_SHARDS // 3 * _ROWS)
        table = pa.table(
            {
                "id": [f"q{k}" for k in rows],
                "question": [f"What is {k} plus {k % 7}?" for k in rows],
                "truth": [None if k % 101 == 0 else str(k + k % 7) for k in rows],
                "answer": [_answer(k) for k in rows],
                "topic": [("sums", "more sums", None)[k % 3] for k in rows],
                "words": pa.array([k % 13 + 0.1 for k in rows], pa.float64()),
                "source": [f"page {k // 5}" for k in rows],
            }
        )
        pq.write_table(table, folder / f"part-{part}.parquet", row_group_size=7 * _ROWS)
    return folder


def _answer(k: int) -> str | None:
    if k % 97 == 0:
        return None
    if k % 19 == 0:
        return "I don't know."
    return f"The answer is {k + k % 7 + (k % 5 == 0)}"


def spec_of(corpus: Path, output: str, **changes: object) -> dict[str, object]:
    columns = {"id": "id", "prompt": "question", "reference": "truth", "response": "answer"}
    return {
        "corpus": {"uri": str(corpus), "columns": columns, "cluster": "source"},
        "systems": [{"kind": "recorded", "name": "clerk"}],
        "indicators": [{"kind": "answer_mismatch", "mode": "contains"}],
        "slices": ["topic"],
        "summaries": [{"name": "mean words", "column": "words"}],
        "output": output,
        "engine": {"shard_rows": _ROWS, "actors": 2},
        "max_failed": 0.5,
    } | changes


@dataclass
class Drive:
    """A `halluc-ray run` in a process group of its own."""

    spec: dict[str, object]
    folder: Path
    head: RayHead
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> "Drive":
        path = self.folder / "spec.yaml"
        path.write_text(yaml.safe_dump(self.spec))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "halluc_ray.cli.app", "run", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | self.head.environment | self.environment,
            start_new_session=True,
        )
        return self

    def end(self) -> str:
        """Wait for success; what it printed."""
        assert self.process is not None
        said, _ = self.process.communicate(timeout=WAIT_S)
        assert self.process.returncode == 0, said
        return said

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=WAIT_S)


@pytest.fixture
def drive(tmp_path: Path, ray_head: RayHead) -> Callable[[dict[str, object]], Drive]:
    return lambda spec: Drive(spec, tmp_path, ray_head)


def await_commits(store: ObjectStore, count: int) -> None:
    """Wait until at least `count` shards have a count commit."""
    deadline = time.monotonic() + WAIT_S
    while len(count_commits(store)) < count:
        assert time.monotonic() < deadline, "no commits"
        time.sleep(0.005)


def count_commits(store: ObjectStore) -> list[str]:
    return [info.key for info in store.list("stages/count-") if "/commits/" in info.key]


def stored(store: ObjectStore) -> dict[str, str]:
    """Key -> ETag of every commit and part."""
    return {i.key: i.etag for i in store.list("stages/") if "/commits/" in i.key or "/parts/" in i.key}


def parts_by_shard(store: ObjectStore) -> dict[tuple[str, str, str], int]:
    """(stage, shard, part name) -> how many objects hold it."""
    found: dict[tuple[str, str, str], int] = {}
    for info in store.list("stages/"):
        pieces = info.key.split("/")
        if pieces[2] == "parts":
            shard, _, *name = pieces[3].removesuffix(".parquet").split(".")
            key = (pieces[1], shard, ".".join(name))
            found[key] = found.get(key, 0) + 1
    return found


def reports(output: str, endpoint: str | None = None) -> dict[str, bytes]:
    """The reproducible files of the only run in an output."""
    store = open_store(output, endpoint=endpoint)
    runs = {info.key.split("/")[1] for info in store.list("runs/")}
    assert len(runs) == 1
    run = runs.pop()
    found = {name: store.read(f"runs/{run}/{name}") for name in ("report.json", "counts.parquet", "run.json")}
    assert json.loads(found["report.json"])["run_id"] == run
    return found

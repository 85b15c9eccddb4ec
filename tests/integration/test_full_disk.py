"""A disk that fills up or turns read-only during a run: what is committed stands, the same command goes on."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.config import RunSpec
from halluc_ray.engine.progress import Progress
from halluc_ray.errors import RunIncomplete, StoreFull
from halluc_ray.evaluation import evaluate
from halluc_ray.storage import open_store

ROWS = 2_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "out"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk takes rights that this user lacks")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def a_spec(folder: Path, *, output: Path) -> RunSpec:
    answers = ["yes" if k % 4 else "no" for k in range(ROWS)]
    table = pa.table({"id": [str(k) for k in range(ROWS)], "truth": ["yes"] * ROWS, "answer": answers})
    pq.write_table(table, folder / "corpus.parquet")
    return RunSpec.model_validate(
        {
            "corpus": {
                "uri": str(folder / "corpus.parquet"),
                "columns": {"id": "id", "reference": "truth", "response": "answer"},
            },
            "systems": [{"kind": "recorded", "name": "clerk"}],
            "indicators": [{"kind": "answer_mismatch"}],
            "output": str(output),
            "engine": {"shard_rows": 20, "actors": 1},
        }
    )


def test_a_full_disk_is_incomplete_and_the_same_command_goes_on(
    small_disk: Path, tmp_path: Path, ray_here: None
) -> None:
    spec = a_spec(tmp_path, output=small_disk)
    with pytest.raises(RunIncomplete, match=r"(?s)of 100 shards.*disk is full"):
        evaluate(spec)
    markers = {path: path.read_bytes() for path in small_disk.glob("stages/*/commits/*")}
    assert markers
    with pytest.raises(StoreFull, match="disk is full"):
        open_store(str(small_disk)).put("runs/x/report.html", b"x" * 2**20)
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    done = evaluate(spec)
    assert (done.report["rates"][0]["rows"], done.report["rates"][0]["hallucinated"]) == (ROWS, ROWS // 4)
    assert 0 < done.shards_computed < done.shards
    assert all(path.read_bytes() == content for path, content in markers.items())


def test_an_interrupt_is_heard_where_the_store_takes_nothing_any_more(
    small_disk: Path, tmp_path: Path, ray_here: None
) -> None:
    spec = a_spec(tmp_path, output=small_disk)

    def interrupt(progress: Progress) -> None:
        if progress.shards_done > 2:
            turn_read_only(small_disk)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(spec, on_progress=interrupt)
    assert list(small_disk.glob("stages/*/heartbeat.json")), "nobody could take it away"
    subprocess.run(["mount", "-o", "remount,rw,size=50m", str(small_disk)], check=True)
    done = evaluate(spec)
    assert 0 < done.shards_computed < done.shards
    assert not list(small_disk.glob("stages/*/heartbeat.json"))


def turn_read_only(disk: Path) -> None:
    """Between two writes: a disk that is written to right now refuses."""
    deadline = time.monotonic() + 10
    while subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline

"""A disk that fills up during a run: incomplete, what is committed stands, the same command goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.config import RunSpec
from halluc_ray.errors import RunIncomplete
from halluc_ray.evaluation import evaluate

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


def test_a_full_disk_is_incomplete_and_the_same_command_goes_on(
    small_disk: Path, tmp_path: Path, ray_here: None
) -> None:
    answers = ["yes" if k % 4 else "no" for k in range(ROWS)]
    table = pa.table({"id": [str(k) for k in range(ROWS)], "truth": ["yes"] * ROWS, "answer": answers})
    pq.write_table(table, tmp_path / "corpus.parquet")
    spec = RunSpec.model_validate(
        {
            "corpus": {
                "uri": str(tmp_path / "corpus.parquet"),
                "columns": {"id": "id", "reference": "truth", "response": "answer"},
            },
            "systems": [{"kind": "recorded", "name": "clerk"}],
            "indicators": [{"kind": "answer_mismatch"}],
            "output": str(small_disk),
            "engine": {"shard_rows": 20, "actors": 1},
        }
    )
    with pytest.raises(RunIncomplete, match=r"(?s)of 100 shards.*disk is full"):
        evaluate(spec)
    markers = {path: path.read_bytes() for path in small_disk.glob("stages/*/commits/*")}
    assert markers
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    done = evaluate(spec)
    assert (done.report["rates"][0]["rows"], done.report["rates"][0]["hallucinated"]) == (ROWS, ROWS // 4)
    assert 0 < done.shards_computed < done.shards
    assert all(path.read_bytes() == content for path, content in markers.items())

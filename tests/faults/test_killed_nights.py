"""A night whose driver is killed at five random moments, and started again each time, leaves the history of one
that was computed in a single process without Ray; what was committed is never done again.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from halluc_ray.storage import open_store
from infra.up.head import RayHead
from tests.faults.conftest import NUM_SHARDS, WAIT_S, parts_by_shard, spec_of, stored
from tests.nights import start_night
from tests.unit.engine.whole import begin

KILLS = 5
ACTORS = 2
STAGES = 3
FIRST, SECOND = "2026-11-23", "2026-11-24"
SUITE = """\
name: sums
specs: [{spec: spec.yaml, set: ["corpus.uri=answers/{date}"]}]
baseline: latest
gate: {rules: [{max_increase: 0.05, slice: [topic]}]}
"""


@pytest.fixture
def here(tmp_path: Path, many_shards: Path) -> Path:
    """Answers of two nights; on the second, every fourth about sums is another."""
    shutil.copytree(many_shards, tmp_path / "answers" / FIRST)
    (tmp_path / "answers" / SECOND).mkdir()
    for file in many_shards.iterdir():
        table = pq.read_table(file)
        worse = pa.array([k % 4 == 0 for k in range(len(table))])
        worse = pc.and_kleene(worse, pc.equal(table["topic"], "sums"))
        answers = pc.if_else(pc.fill_null(worse, False), pa.scalar("The answer is none"), table["answer"])
        changed = table.set_column(table.schema.get_field_index("answer"), "answer", answers)
        pq.write_table(changed, tmp_path / "answers" / SECOND / file.name, row_group_size=6300)
    spec = spec_of(tmp_path / "answers" / FIRST, "out")
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path


def test_killed_at_five_random_moments(here: Path, ray_head: RayHead) -> None:
    begin(spec_of(here / "answers" / FIRST, str(here / "undisturbed")))
    code, said = ends(start_night(here, ray_head, FIRST, "output=undisturbed"))
    assert code == 5, said
    shutil.copytree(here / "undisturbed", here / "killed")
    begin(spec_of(here / "answers" / SECOND, str(here / "undisturbed")))
    code, said = ends(start_night(here, ray_head, SECOND, "output=undisturbed"))
    assert code == 1
    assert f"0 of {NUM_SHARDS} shards computed" in said
    assert "the worst slice is topic=sums" in " ".join(said.split())
    commits_before = num_commits(here / "killed")
    planned = STAGES * NUM_SHARDS
    moments = sorted(random.sample(range(1, planned), KILLS))
    for moment in moments:
        night = start_night(here, ray_head, SECOND, "output=killed")
        deadline = time.monotonic() + WAIT_S
        while num_commits(here / "killed") - commits_before < moment and night.poll() is None:
            assert time.monotonic() < deadline, (moments, moment)
            time.sleep(0.005)
        os.killpg(night.pid, signal.SIGKILL)
        night.communicate(timeout=WAIT_S)
    await_quiet(here / "killed")
    complete = len([key for key in commits(here / "killed") if "/count-" in key]) - NUM_SHARDS
    code, said = ends(start_night(here, ray_head, SECOND, "output=killed"))
    assert code == 1, (moments, said)
    [computed] = re.findall(r"(\d+) of \d+ shards computed", said)
    assert int(computed) == NUM_SHARDS - complete, (moments, said)
    assert history(here / "killed") == history(here / "undisturbed"), moments
    lost = sum(parts_by_shard(open_store(str(here / "killed"))).values()) - sum(
        parts_by_shard(open_store(str(here / "undisturbed"))).values()
    )
    assert 0 <= lost <= KILLS * ACTORS, moments


def ends(night: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = night.communicate(timeout=WAIT_S)
    return night.returncode, said


def commits(output: Path) -> list[str]:
    return [key for key in stored(open_store(str(output))) if "/commits/" in key]


def num_commits(output: Path) -> int:
    """Looked up often, so from names alone."""
    return sum(1 for _ in output.glob("stages/*/commits/*.json"))


def await_quiet(output: Path) -> None:
    """Actors of a killed driver may commit for a moment longer."""
    deadline = time.monotonic() + WAIT_S
    known: list[str] = []
    while known != (known := commits(output)):
        assert time.monotonic() < deadline
        time.sleep(1.5)


def history(output: Path) -> dict[str, bytes]:
    """Bytes of records, gates, reports, commits and the site; parts by what the commits name."""
    store = open_store(str(output))
    reproducible = ("report.json", "counts.parquet", "run.json")
    keys = [info.key for info in [*store.list("runs/"), *store.list("suites/"), *store.list("site/")]]
    return {key: store.read(key) for key in keys if key.startswith(("suites/", "site/")) or key.endswith(reproducible)}

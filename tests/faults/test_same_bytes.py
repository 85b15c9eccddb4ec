"""The same plan gives the same bytes: one actor or two, killed or not, in a folder or in S3."""

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from halluc_ray.storage import open_store
from infra.object_store.server import ObjectServer
from infra.up.head import RayHead
from tests.faults.conftest import (
    NUM_SHARDS,
    Drive,
    await_commits,
    count_commits,
    parts_by_shard,
    reports,
    spec_of,
    stored,
)

SEEDS = range(5)
StartDrive = Callable[[dict[str, object]], Drive]


@pytest.fixture(scope="session")
def undisturbed(many_shards: Path, tmp_path_factory: pytest.TempPathFactory, ray_head: object) -> dict[str, bytes]:
    """Reports of a run with one actor that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    spec = spec_of(many_shards, str(folder / "out"))
    spec["engine"] = {"shard_rows": 900, "actors": 1}
    Drive(spec, folder, ray_head).start().end()
    return reports(str(folder / "out"))


def test_the_report_is_what_the_corpus_says(undisturbed: dict[str, bytes]) -> None:
    report = json.loads(undisturbed["report.json"])
    overall = next(r for r in report["rates"] if not r["slice"])
    rows = range(NUM_SHARDS * 900)
    answered = [k for k in rows if k % 97 and k % 101 and k % 19]
    assert overall["rows"] == len(rows)
    assert overall["failed"] == sum(k % 97 == 0 for k in rows)
    assert overall["hallucinated"] == sum(k % 5 == 0 for k in answered)
    assert overall["supported"] == sum(k % 5 != 0 for k in answered)
    assert overall["abstained"] == sum(k % 19 == 0 and k % 97 != 0 and k % 101 != 0 for k in rows)


def test_two_actors_give_the_bytes_of_one(
    undisturbed: dict[str, bytes], many_shards: Path, tmp_path: Path, drive: StartDrive
) -> None:
    said = drive(spec_of(many_shards, str(tmp_path / "out"))).start().end()
    assert reports(str(tmp_path / "out")) == undisturbed, said
    telemetry = json.loads(next((tmp_path / "out" / "runs").glob("*/telemetry.json")).read_text())
    shards = [actor["shards"] for actor in telemetry["work"][0]["actors"]]
    assert len(shards) == 2
    assert min(shards) > 0
    assert sum(shards) == NUM_SHARDS


def test_a_second_run_computes_nothing(many_shards: Path, tmp_path: Path, drive: StartDrive) -> None:
    spec = spec_of(many_shards, str(tmp_path / "out"))
    drive(spec).start().end()
    before = stored(open_store(str(tmp_path / "out")))
    said = drive(spec).start().end()
    assert "nothing to compute" in said.lower()
    assert stored(open_store(str(tmp_path / "out"))) == before


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_driver_resumes(
    seed: int, undisturbed: dict[str, bytes], many_shards: Path, tmp_path: Path, drive: StartDrive
) -> None:
    output = str(tmp_path / "out")
    store = open_store(output)
    spec = spec_of(many_shards, output)
    victim = drive(spec).start()
    await_commits(store, random.Random(seed).randrange(1, NUM_SHARDS * 2 // 3))
    victim.kill()
    done = len(count_commits(store))
    assert 0 < done < NUM_SHARDS, "killed too late to show anything"
    before = stored(store)
    committed = {key.split("/")[1] + key.split("/")[3].split(".")[0] for key in before if "/commits/" in key}
    drive(spec).start().end()
    after = stored(store)
    lost = {key for key, etag in before.items() if after.get(key) != etag}
    assert not {key for key in lost if key.split("/")[1] + key.split("/")[3].split(".")[0] in committed}
    assert set(parts_by_shard(store).values()) == {1}
    assert reports(output) == undisturbed


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_actors_are_replaced(
    seed: int, undisturbed: dict[str, bytes], many_shards: Path, tmp_path: Path, drive: StartDrive
) -> None:
    output = str(tmp_path / "out")
    store = open_store(output)
    run = drive(spec_of(many_shards, output)).start()
    await_commits(store, random.Random(seed).randrange(1, NUM_SHARDS // 2))
    killed = [
        p.pid
        for p in psutil.process_iter(["cmdline"])
        if "ray::halluc_ray shards of clerk" in " ".join(p.info["cmdline"] or [])
    ]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    done = len(count_commits(store))
    before = stored(store)
    run.end()
    assert killed
    assert done < NUM_SHARDS
    assert {key: etag for key, etag in stored(store).items() if key in before and "/commits/" in key} == {
        key: etag for key, etag in before.items() if "/commits/" in key
    }
    assert set(parts_by_shard(store).values()) == {1}
    assert reports(output) == undisturbed


def test_in_s3_as_in_a_folder(
    undisturbed: dict[str, bytes],
    many_shards: Path,
    drive: StartDrive,
    s3_server: ObjectServer,
) -> None:
    output = f"s3://{s3_server.bucket}/same-bytes"
    spec = spec_of(many_shards, output, store={"endpoint": s3_server.endpoint})
    drive(spec).start().end()
    assert reports(output, s3_server.endpoint) == undisturbed


def test_a_driver_killed_over_s3_resumes(
    undisturbed: dict[str, bytes], many_shards: Path, drive: StartDrive, s3_server: ObjectServer
) -> None:
    output = f"s3://{s3_server.bucket}/killed"
    store = open_store(output, endpoint=s3_server.endpoint)
    spec = spec_of(many_shards, output, store={"endpoint": s3_server.endpoint})
    victim = drive(spec).start()
    await_commits(store, 5)
    victim.kill()
    before = {key: etag for key, etag in stored(store).items() if "/commits/" in key}
    assert 0 < len(count_commits(store)) < NUM_SHARDS
    drive(spec).start().end()
    assert before.items() <= stored(store).items()
    assert set(parts_by_shard(store).values()) == {1}
    assert reports(output, s3_server.endpoint) == undisturbed


def test_two_drivers_at_once_take_turns(
    undisturbed: dict[str, bytes], many_shards: Path, tmp_path: Path, ray_head: RayHead
) -> None:
    output = str(tmp_path / "out")
    drives = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        drives.append(Drive(spec_of(many_shards, output), tmp_path / name, ray_head).start())
    said = [drive.end() for drive in drives]
    store = open_store(output)
    assert sum("nothing to compute" in text.lower() for text in said) <= 1
    assert set(parts_by_shard(store).values()) == {1}
    assert not [info.key for info in store.list("stages/") if "heartbeat" in info.key]
    assert reports(output) == undisturbed

"""Actors are pinned: two that ask for a GPU each never see the same one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from halluc_ray.storage import open_store
from infra.up.head import RayHead
from tests.faults.conftest import NUM_SHARDS, Drive, spec_of
from tests.tiny_models import save_classifier


def test_two_actors_hold_disjoint_gpus(
    many_shards: Path, tmp_path: Path, drive: Callable[[dict[str, object]], Drive], ray_head: RayHead
) -> None:
    checkpoint = save_classifier(tmp_path / "model", texts=["What is 1 plus 2?"])
    spec = spec_of(many_shards, str(tmp_path / "out"))
    spec["corpus"] |= {"sample": 0.05}
    spec["systems"] = [{"kind": "sequence-classification", "name": "tiny", "checkpoint": str(checkpoint)}]
    spec["indicators"] = [{"kind": "label_mismatch"}]
    spec["engine"] = {"shard_rows": 900, "device": "cpu", "gpus_per_actor": 1}
    drive(spec).start().end()
    telemetry = json.loads(next((tmp_path / "out" / "runs").glob("*/telemetry.json")).read_text())
    actors = telemetry["work"][0]["actors"]
    assert sorted(actor["cuda_visible_devices"] for actor in actors) == ["0", "1"]
    assert all(actor["shards"] > 0 for actor in actors)
    assert sum(actor["shards"] for actor in actors) == NUM_SHARDS
    assert (
        len([i for i in open_store(str(tmp_path / "out")).list("stages/generate-") if "/commits/" in i.key])
        == NUM_SHARDS
    )


def test_actors_of_several_gpus_hold_disjoint_sets_on_one_node(
    many_shards: Path, tmp_path: Path, drive: Callable[[dict[str, object]], Drive], ray_head: RayHead
) -> None:
    checkpoint = save_classifier(tmp_path / "model", texts=["What is 1 plus 2?"])
    spec = spec_of(many_shards, str(tmp_path / "out"))
    spec["corpus"] |= {"sample": 0.05}
    spec["systems"] = [{"kind": "sequence-classification", "name": "tiny", "checkpoint": str(checkpoint)}]
    spec["indicators"] = [{"kind": "label_mismatch"}]
    spec["engine"] = {"shard_rows": 900, "device": "cpu", "gpus_per_actor": 4, "accelerator": "H100"}
    drive(spec).start().end()
    telemetry = json.loads(next((tmp_path / "out" / "runs").glob("*/telemetry.json")).read_text())
    actors = telemetry["work"][0]["actors"]
    held = [actor["cuda_visible_devices"].split(",") for actor in actors]
    assert [len(gpus) for gpus in held] == [4, 4]
    assert sorted(held[0] + held[1]) == list("01234567")
    assert all(actor["shards"] > 0 for actor in actors)
    assert sum(actor["shards"] for actor in actors) == NUM_SHARDS
    assert groups_left(ray_head) == {"REMOVED"}


def groups_left(head: RayHead) -> set[str]:
    """States of all placement groups that the cluster has had."""
    code = (
        "import ray; from ray.util import placement_group_table as t; ray.init(address='auto', logging_level='ERROR');"
        "print(*{group['state'] for group in t().values()})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | head.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_recorded_answers_ask_for_no_gpu(
    many_shards: Path, tmp_path: Path, drive: Callable[[dict[str, object]], Drive]
) -> None:
    spec = spec_of(many_shards, str(tmp_path / "out"))
    spec["engine"] = {"shard_rows": 9_000, "gpus_per_actor": 1}
    drive(spec).start().end()
    telemetry = json.loads(next((tmp_path / "out" / "runs").glob("*/telemetry.json")).read_text())
    assert {actor["cuda_visible_devices"] for actor in telemetry["work"][0]["actors"]} == {""}

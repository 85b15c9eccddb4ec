"""Shots in a bucket: the same examples, and so the same work, as from a folder."""

import pytest

from halluc_ray.config import ShotChoice, Store
from halluc_ray.errors import SpecError
from halluc_ray.storage import open_store
from halluc_ray.wiring.shots import settle_shots
from infra.object_store.server import ObjectServer

LINES = b'{"prompt": "1 + 1?", "answer": "2"}\n{"prompt": "2 + 2?", "answer": "4"}\n'


def settled(file: str, store: Store):
    return settle_shots(ShotChoice(file=file, count=1), names=frozenset({"prompt"}), store=store, where="systems[m]")


def test_a_bucket_holds_shots_as_a_folder_does(s3_server: ObjectServer, tmp_path):
    (tmp_path / "shots.jsonl").write_bytes(LINES)
    root = f"s3://{s3_server.bucket}/shots-{tmp_path.name}"
    store = Store(endpoint=s3_server.endpoint)
    open_store(root, endpoint=store.endpoint).put("deep/shots.jsonl", LINES)
    assert settled(f"{root}/deep/shots.jsonl", store) == settled(str(tmp_path / "shots.jsonl"), store)
    with pytest.raises(
        SpecError, match=r"systems\[m\]\.shots\.file: there is no s3://.*/none\.jsonl; name a JSON Lines"
    ):
        settled(f"{root}/none.jsonl", store)

"""Images and sentence embedders that lie in a bucket of a real S3 server."""

import json
import secrets
from types import SimpleNamespace

import pyarrow as pa
import pytest

from halluc_ray.config import Store
from halluc_ray.engine.images import load_images
from halluc_ray.errors import StoreError
from halluc_ray.models.checkpoint_cache import fetch_checkpoint
from halluc_ray.models.checkpoint_sources import FolderSource, StoreSource
from halluc_ray.models.checkpoints import inspect_checkpoint
from halluc_ray.storage import open_store
from halluc_ray.storage.files import CorpusFile
from tests.unit.engine.checkpoints import save_checkpoint


def test_links_into_a_bucket(s3_server, tmp_path):
    prefix = f"s3://{s3_server.bucket}/{secrets.token_hex(4)}"
    store = open_store(prefix, endpoint=s3_server.endpoint)
    for key, data in (("c/p/ä 1.png", b"one"), ("two.png", b"two"), ("c/empty.png", b"")):
        store.put(key, data)
    links = [
        "p/ä 1.png", "../two.png", f"{prefix}/two.png", "none.png", "empty.png", "../../../two.png", "/two.png",
        "p", f"{prefix}/none.png", "http://127.0.0.1/two.png",
    ]  # fmt: skip
    wanted = [
        (b"one",), (b"two",), (b"two",), "missing_image", (b"",), "refused_image", "refused_image",
        "missing_image", "missing_image", "refused_image",
    ]  # fmt: skip
    rows = SimpleNamespace(roles={"image": pa.array(links)})
    there = CorpusFile(f"{prefix}/c/one.parquet", 1, "1", s3_server.endpoint)
    assert load_images(rows, there, roles={"image"}, store=Store()).rows == wanted
    here = CorpusFile(str(tmp_path / "one.parquet"), 1, "1")
    whole = SimpleNamespace(roles={"image": pa.array([f"{prefix}/two.png", "two.png"])})
    settings = Store(endpoint=s3_server.endpoint)
    assert load_images(whole, here, roles={"image"}, store=settings).rows == [(b"two",), "missing_image"]
    closed = SimpleNamespace(roles={"image": pa.array([f"s3://no-such-bucket-{secrets.token_hex(4)}/two.png"])})
    with pytest.raises(StoreError):
        load_images(closed, here, roles={"image"}, store=settings)


def test_how_an_embedder_pools_comes_with_it(s3_server, tmp_path):
    folder = save_checkpoint(tmp_path / "model")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    (folder / "2_Other").mkdir()
    (folder / "2_Other" / "config.json").write_text("{}")
    store = open_store(f"s3://{s3_server.bucket}/{secrets.token_hex(4)}", endpoint=s3_server.endpoint)
    for path in folder.rglob("*.*"):
        store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    found = inspect_checkpoint(StoreSource(store), cache=tmp_path / "cache")
    assert found.digest == inspect_checkpoint(FolderSource(folder, "here"), cache=tmp_path / "cache").digest
    fetched = fetch_checkpoint(StoreSource(store), found.files, digest=found.digest, cache=tmp_path / "cache")
    assert json.loads((fetched / "1_Pooling" / "config.json").read_text()) == {"pooling_mode": "cls"}
    assert not (fetched / "2_Other").exists()
    assert fetch_checkpoint(StoreSource(store), found.files, digest=found.digest, cache=tmp_path / "cache") == fetched

"""Checkpoints: what is refused, what the digest covers, and one fetch per node."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM

from halluc_ray.errors import InputChanged, InputError, SpecError, StoreUnavailable
from halluc_ray.models.checkpoint_cache import fetch_checkpoint
from halluc_ray.models.checkpoint_sources import StoreSource, open_source
from halluc_ray.models.checkpoints import inspect_checkpoint
from halluc_ray.storage import open_store


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HALLUC_RAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(gpt2, tmp_path) -> Path:
    return Path(shutil.copytree(gpt2, tmp_path / "checkpoint"))


def inspect(folder):
    return inspect_checkpoint(open_source(str(folder)))


def test_parameters_are_those_of_the_network(folder):
    assert inspect(folder).num_parameters == AutoModelForCausalLM.from_pretrained(folder).num_parameters()


def test_digest_covers_what_matters_and_nothing_else(folder, tmp_path):
    planned = inspect(folder).digest
    (folder / "README.md").write_text("hello")
    (folder / "optimizer.pt").write_bytes(b"x")
    (folder / "consolidated.safetensors").write_bytes(b"x")
    assert inspect(folder).digest == planned
    assert inspect(shutil.copytree(folder, tmp_path / "elsewhere")).digest == planned
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_layer": 1}))
    assert inspect(folder).digest != planned


def test_digest_covers_the_weights_that_are_loaded_where_shards_lie_beside_a_whole_file(gpt2, tmp_path):
    folder = tmp_path / "both"
    network = AutoModelForCausalLM.from_pretrained(gpt2)
    network.save_pretrained(folder, max_shard_size="40KB")
    before = inspect(folder).digest
    network.transformer.wte.weight.data += 1
    network.save_pretrained(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", folder)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert loaded.transformer.wte.weight.equal(network.transformer.wte.weight)
    found = inspect(folder)
    assert [name for name in found.files if "safetensors" in name] == ["model.safetensors"]
    assert found.digest != before


def test_sharded_weights_count_and_must_be_whole(gpt2, tmp_path):
    network = AutoModelForCausalLM.from_pretrained(gpt2)
    network.save_pretrained(tmp_path / "sharded", max_shard_size="40KB")
    found = inspect(tmp_path / "sharded")
    shards = [name for name in found.files if name.endswith(".safetensors")]
    assert len(shards) > 1
    assert found.num_parameters == network.num_parameters()
    (tmp_path / "sharded" / shards[1]).unlink()
    with pytest.raises(InputError, match=f"index.json names .*{shards[1]}.*not there"):
        inspect(tmp_path / "sharded")


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"only pytorch_model\.bin; weights are read from safetensors alone"):
        inspect(folder)


def test_a_checkpoint_with_an_adapter_beside_it_is_refused(folder):
    """Loading it would put the adapter on, and the digest would not say so."""
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"it holds adapter_config\.json; name an adapter"):
        inspect(folder)


def test_a_cut_weight_file_is_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model\.safetensors \(\d+ bytes\) is no whole safetensors file"):
        inspect(folder)
    weights.write_bytes(b"PK\x03\x04 a pickle in disguise")
    with pytest.raises(InputError, match="no whole safetensors file"):
        inspect(folder)


def test_remote_code_is_refused_and_a_native_family_is_not(folder):
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {"AutoModel": "modeling_x.X"}}
    (folder / "config.json").write_text(json.dumps(config))
    assert inspect(folder).config["model_type"] == "gpt2"
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "my_own"}))
    with pytest.raises(InputError, match=r"'my_own' needs code from the checkpoint, which is never run"):
        inspect(folder)


def test_places_that_hold_no_checkpoint(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"no config\.json there \(it holds notes\.txt\)"):
        inspect(tmp_path)
    with pytest.raises(SpecError, match="is no folder here"):
        open_source(str(tmp_path / "missing" / "model"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"'nobody/nothing' \(revision 'main'\).*not in the local hub cache"):
        open_source("nobody/nothing")


def test_a_folder_that_changed_since_the_plan_is_refused(folder):
    planned = inspect(folder)
    source = open_source(str(folder))
    assert fetch_checkpoint(source, planned.files, digest=planned.digest) == folder
    save_file({}, folder / "model.safetensors")
    with pytest.raises(InputChanged, match=r"model\.safetensors is no longer the file that was planned"):
        fetch_checkpoint(source, planned.files, digest=planned.digest)


def test_a_folder_that_is_rewritten_under_the_same_time_and_size_is_seen(folder):
    config = folder / "config.json"
    os.utime(config)
    written = config.stat().st_mtime_ns
    planned = inspect(folder)
    config.write_bytes(config.read_bytes().replace(b'"n_layer": 2', b'"n_layer": 1'))
    os.utime(config, ns=(written, written))
    assert inspect(folder).digest != planned.digest


def test_the_same_checkpoint_in_a_store_has_the_same_digest_and_is_fetched_whole(folder, tmp_path):
    planned = inspect(folder)
    source = StoreSource(open_store(str(folder)))
    assert inspect_checkpoint(source).digest == planned.digest
    fetched = fetch_checkpoint(source, planned.files, digest=planned.digest)
    assert fetched.parent == tmp_path / "cache" / "checkpoints"
    assert {path.name: path.read_bytes() for path in fetched.iterdir()} == {
        name: (folder / name).read_bytes() for name in planned.files
    }
    weights = fetched / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    again = fetch_checkpoint(source, planned.files, digest=planned.digest)
    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


FETCH = """
import json, sys
from halluc_ray.models.checkpoint_cache import fetch_checkpoint
from halluc_ray.models.checkpoint_sources import StoreSource
from halluc_ray.storage import open_store
folder, digest, files = sys.argv[1:]
print(fetch_checkpoint(StoreSource(open_store(folder)), json.loads(files), digest=digest, wait_s=60))
"""


def test_processes_of_a_node_share_one_fetch(folder, tmp_path):
    planned = inspect(folder)
    command = [sys.executable, "-c", FETCH, str(folder), planned.digest, json.dumps(dict(planned.files))]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {process.communicate(timeout=60)[0].strip() for process in processes}
    home = tmp_path / "cache" / "checkpoints"
    assert found == {str(home / planned.digest)}
    assert [path.name for path in home.iterdir() if path.is_dir()] == [planned.digest]


def test_waiting_for_another_process_is_bounded(folder, tmp_path):
    planned = inspect(folder)
    home = tmp_path / "cache" / "checkpoints"
    home.mkdir(parents=True)
    with FileLock(home / f"{planned.digest}.lock"), pytest.raises(StoreUnavailable, match="not done"):
        fetch_checkpoint(StoreSource(open_store(str(folder))), planned.files, digest=planned.digest, wait_s=0.2)


def test_a_checkpoint_replaced_under_a_fetch_leaves_nothing_behind(folder, tmp_path):
    planned = inspect(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(InputChanged, match=r"config\.json"):
        fetch_checkpoint(StoreSource(open_store(str(folder))), planned.files, digest=planned.digest)
    assert [path for path in (tmp_path / "cache" / "checkpoints").iterdir() if path.is_dir()] == []

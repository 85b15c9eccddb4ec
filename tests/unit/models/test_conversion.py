"""Pickled weights made into safetensors: equal tensors, equal logits, and pickles that want more."""

import json
import os
import shutil
import signal as signals
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, T5Config, T5ForConditionalGeneration
from typer.testing import CliRunner

from halluc_ray.cli.app import app
from halluc_ray.errors import InputError
from halluc_ray.models import pickled_weights
from halluc_ray.models.checkpoint_sources import StoreSource, open_source
from halluc_ray.models.checkpoints import inspect_checkpoint
from halluc_ray.models.conversion import convert_checkpoint
from halluc_ray.storage import open_store

LINGER = """
import os, sys, time
if "halluc_ray.models.pickled_weights" in " ".join(sys.orig_argv):
    open(os.path.join({folder!r}, f"child-{os.getpid()}"), "w").close()
    time.sleep(60)
"""


def runs(pid: int) -> bool:
    """A process that nobody has buried yet runs no more."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Evil:
    """Runs a command where it is unpickled with trust."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def pickled(folder: Path, to: Path, *, network=None, legacy: bool = False) -> Path:
    """The checkpoint of `folder` as releases of years ago wrote it; its network holds the tied weights once."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors"))
    network = network or AutoModelForCausalLM.from_pretrained(folder)
    torch.save(network.state_dict(), to / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    return to


def convert(folder: Path, out: Path, **options):
    return convert_checkpoint(open_source(str(folder)), out=out, **options)


def convert_here(folder: Path, out: Path, *, max_shard_bytes: int = 10**9) -> dict:
    """What the child does, without a child: it starts in seconds."""
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("*.bin"))
    return pickled_weights.convert(folder, out=out, name="model", max_shard_bytes=max_shard_bytes)


def logits(folder: Path, family=AutoModelForCausalLM, **inputs) -> torch.Tensor:
    network, report = family.from_pretrained(folder, output_loading_info=True, dtype=torch.float64)
    assert not report["missing_keys"]
    with torch.no_grad():
        return network.eval()(input_ids=torch.arange(9)[None] + 4, **inputs).logits


def test_a_tied_model_is_written_once_and_answers_as_before(gpt2, tmp_path):
    old = pickled(gpt2, tmp_path / "old")
    (old / "spiece.model").write_bytes(b"words")
    (old / "modeling_x.py").write_text("raise SystemExit")
    done = convert(old, tmp_path / "new")
    assert done.tied == {"lm_head.weight": "transformer.wte.weight"}
    assert set(done.files) == {path.name for path in gpt2.iterdir()} | {"spiece.model"}
    before, after = torch.load(old / "pytorch_model.bin"), load_file(tmp_path / "new" / "model.safetensors")
    assert set(before) - set(after) == {"lm_head.weight"}
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())
    assert torch.equal(logits(tmp_path / "new"), logits(gpt2))
    assert (tmp_path / "new" / "tokenizer.json").read_bytes() == (gpt2 / "tokenizer.json").read_bytes()
    assert inspect_checkpoint(open_source(str(tmp_path / "new"))).num_parameters == num_parameters(gpt2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


def test_the_format_before_zip_files_is_read_too(gpt2, tmp_path):
    old = pickled(gpt2, tmp_path / "old", legacy=True)
    assert convert_here(old, tmp_path / "new")["tied"] == {"lm_head.weight": "transformer.wte.weight"}
    assert torch.equal(logits(tmp_path / "new"), logits(gpt2))


def num_parameters(folder: Path) -> int:
    return AutoModelForCausalLM.from_pretrained(folder).num_parameters()


def test_t5_shares_one_table_among_encoder_decoder_and_head(tmp_path):
    torch.manual_seed(0)
    config = T5Config(vocab_size=64, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0)
    network = T5ForConditionalGeneration(config)
    network.save_pretrained(tmp_path / "t5")
    old = pickled(tmp_path / "t5", tmp_path / "old", network=network)
    assert {"lm_head.weight", "encoder.embed_tokens.weight"} < set(torch.load(old / "pytorch_model.bin"))
    assert set(convert_here(old, tmp_path / "new")["tied"].values()) == {"shared.weight"}
    start = torch.tensor([[0, 5, 6]])
    of = {"family": AutoModelForSeq2SeqLM, "decoder_input_ids": start}
    assert torch.equal(logits(tmp_path / "new", **of), logits(tmp_path / "t5", **of))


def test_equal_weights_that_the_config_does_not_tie_are_both_kept(gpt2, tmp_path):
    old = pickled(gpt2, tmp_path / "old")
    config = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    assert convert_here(old, tmp_path / "new")["tied"] == {}
    assert "lm_head.weight" in load_file(tmp_path / "new" / "model.safetensors")
    assert torch.equal(logits(tmp_path / "new"), logits(gpt2))


def test_shards_in_and_shards_out(llama, tmp_path):
    old = pickled(llama, tmp_path / "old")
    state = torch.load(old / "pytorch_model.bin")
    (old / "pytorch_model.bin").unlink()
    names = sorted(state)
    parts = {f"pytorch_model-{k + 1:05d}-of-00003.bin": names[k::3] for k in range(3)}
    for file, held in parts.items():
        torch.save({name: state[name] for name in held}, old / file)
    index = {"metadata": {}, "weight_map": {name: file for file, held in parts.items() for name in held}}
    (old / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    convert_here(old, tmp_path / "new", max_shard_bytes=40_000)
    shards = sorted((tmp_path / "new").glob("model-*.safetensors"))
    assert len(shards) > 1
    with safe_open(shards[0], framework="pt") as first:
        assert first.metadata() == {"format": "pt"}
    assert torch.equal(logits(tmp_path / "new"), logits(llama))
    (old / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(InputError, match=r"index\.json names \['pytorch_model-00002-of-00003\.bin'\], not there"):
        convert(old, tmp_path / "again")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_wants_code_is_refused_by_name_and_leaves_no_trace(gpt2, tmp_path, legacy):
    old = pickled(gpt2, tmp_path / "old")
    trap = {"wte.weight": torch.ones(2), "x": Evil(f"touch {tmp_path / 'ran'}")}
    torch.save(trap, old / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=r"pytorch_model\.bin asks for posix\.system, and nothing but tensors"):
        convert(old, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    torch.load(old / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "ran").exists(), "the trap works where it is trusted"


@pytest.mark.parametrize("kept", [0, 1, 5_000, -1])
def test_a_cut_file_is_refused(gpt2, tmp_path, kept):
    old = pickled(gpt2, tmp_path / "old")
    weights = old / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(pickled_weights.Refused, match=r"pytorch_model\.bin is no whole pickle of weights"):
        pickled_weights.read(weights)
    if kept == -1:
        with pytest.raises(InputError, match=r"no whole pickle of weights"):
            convert(old, tmp_path / "new")
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([torch.ones(2)], "holds a list, not tensors by name"),
        ({"state_dict": {"a": torch.ones(2)}}, "holds a dict under 'state_dict'"),
        ({"a": torch.eye(3).to_sparse()}, "a is a torch.sparse_coo"),
        ({}, "hold no tensor"),
    ],
)
def test_what_is_no_table_of_tensors_is_refused(tmp_path, held, message):
    torch.save(held, tmp_path / "pytorch_model.bin")
    with pytest.raises(pickled_weights.Refused, match=message):
        pickled_weights.convert(tmp_path, out=tmp_path / "new", name="model", max_shard_bytes=1_000)


def test_not_a_number_is_carried_over_bit_by_bit(gpt2, tmp_path):
    old = pickled(gpt2, tmp_path / "old")
    odd = torch.tensor([float("nan"), float("-inf"), -0.0, 1.0])
    held = {"nan": odd, "half": odd.bfloat16(), "turned": torch.arange(6).reshape(2, 3).T, "none": torch.empty(0)}
    held["slice"] = held["turned"][1:]
    torch.save(held, old / "pytorch_model.bin")
    assert convert_here(old, tmp_path / "new")["tensors"] == 5
    after = load_file(tmp_path / "new" / "model.safetensors")
    assert after["nan"].view(torch.int32).equal(odd.view(torch.int32))
    assert after["slice"].tolist() == [[1, 4], [2, 5]]


def test_places_that_hold_nothing_to_convert(gpt2, tmp_path):
    with pytest.raises(InputError, match=r"holds model\.safetensors already"):
        convert(gpt2, tmp_path / "new")
    old = pickled(gpt2, tmp_path / "old")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "x").touch()
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        convert(old, tmp_path / "used")
    with pytest.raises(InputError, match=r"took longer than 0\.01 s; give it more with --timeout"):
        convert(old, tmp_path / "new", timeout_s=0.01)
    with pytest.raises(InputError, match=r"can't be converted into .*old/config\.json/new \(.*Not a directory"):
        convert(old, old / "config.json" / "new")
    (old / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json there"):
        convert(old, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "used"]


KILLS = """
import os, signal, torch
torch.load = lambda *_, **__: os.kill(os.getpid(), signal.{signal})
"""


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ("SIGKILL", "the process that read its pickles was killed, most likely for want of memory"),
        ("SIGSEGV", r"ended with SIGSEGV \(it said nothing\); the file is damaged, or meant to harm"),
    ],
)
def test_a_reader_that_dies_is_told_of(gpt2, tmp_path, monkeypatch, signal, message):
    """The child imports sitecustomize as any Python does; here it makes the child end as by the kernel's hand."""
    old = pickled(gpt2, tmp_path / "old")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLS.format(signal=signal))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with pytest.raises(InputError, match=message):
        convert(old, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "site"]


def test_the_command_takes_what_the_refusal_of_pickles_names(gpt2, tmp_path):
    old = pickled(gpt2, tmp_path / "älter")
    with pytest.raises(InputError, match=f"halluc-ray convert {old} OUT"):
        inspect_checkpoint(open_source(str(old)))
    done = CliRunner().invoke(app, ["convert", str(old), str(tmp_path / "neu" / "模型")])
    assert done.exit_code == 0, done.output
    assert "lm_head.weight" in done.output
    again = CliRunner().invoke(app, ["convert", str(old), str(tmp_path / "neu" / "模型")])
    assert again.exit_code == 2


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
def test_a_command_that_is_ended_leaves_nothing(gpt2, tmp_path, hears_interrupts, signal):
    old = pickled(gpt2, tmp_path / "old")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LINGER.replace("{folder!r}", repr(str(tmp_path))))
    command = [sys.executable, "-m", "halluc_ray.cli.app", "convert", str(old), str(tmp_path / "new")]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(tmp_path / "site")})
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("child-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int(next(tmp_path.glob("child-*")).name.removeprefix("child-"))
    process.send_signal(getattr(signals, signal))
    assert process.wait(60) != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"child-{child}", "old", "site"]
    deadline = time.monotonic() + 10
    while runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(child)


def test_a_checkpoint_in_a_store_is_converted_alike_by_a_reader_without_credentials(gpt2, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("HF_TOKEN", "t0ken")
    (tmp_path / "site").mkdir()
    spy = f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(repr(dict(os.environ)))"
    (tmp_path / "site" / "sitecustomize.py").write_text(spy)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    old = pickled(gpt2, tmp_path / "old")
    convert_checkpoint(StoreSource(open_store(str(old))), out=tmp_path / "fetched")
    convert_here(old, tmp_path / "here")
    assert {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "fetched").iterdir()
    }
    seen = (tmp_path / "seen").read_text()
    assert "HF_HUB_OFFLINE" in seen
    assert not [secret for secret in ("s3cret", "t0ken", f"'HOME': '{os.environ['HOME']}'") if secret in seen]

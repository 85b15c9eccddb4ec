"""The packaged language model as a checkpoint: weights against the GGUF reader's own, answers against facts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from halluc_ray.errors import InputError, ModelError
from halluc_ray.models import smollm2

gguf = pytest.importorskip("gguf", reason="the demo's packages are not installed (pip install '.[demo]')")


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    try:
        return smollm2.ensure_smollm2()
    except InputError as error:
        pytest.skip(str(error))


def test_checkpoint_is_whole_and_says_what_it_is(checkpoint: Path) -> None:
    names = {path.name for path in checkpoint.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "NOTE.txt"} <= names
    assert "Q4_1" in (checkpoint / "NOTE.txt").read_text()
    assert "quantization_config" not in (checkpoint / "config.json").read_text()


def test_weights_are_those_of_the_file(checkpoint: Path) -> None:
    from gguf.quants import dequantize
    from safetensors import safe_open

    source = {tensor.name: tensor for tensor in gguf.GGUFReader(smollm2.find_gguf()).tensors}
    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.7.ffn_down.weight": "model.layers.7.mlp.down_proj.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
        "output_norm.weight": "model.norm.weight",
    }
    with safe_open(checkpoint / "model.safetensors", framework="np") as saved:
        for theirs, ours in names.items():
            expected = dequantize(source[theirs].data, source[theirs].tensor_type)
            np.testing.assert_array_equal(saved.get_tensor(ours), expected)


def test_second_call_loads_nothing(checkpoint: Path) -> None:
    program = (
        "import sys; from halluc_ray.models.smollm2 import ensure_smollm2 as e; print(e(), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [str(checkpoint), "False"]


def test_it_knows_the_capital_of_france(checkpoint: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, local_files_only=True)
    turn = [{"role": "user", "content": "What is the capital of France? Answer with the name only."}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + os.urandom(64))
    with pytest.raises(ModelError, match=r"broken\.gguf ended with code 1"):
        smollm2._convert_aside(broken, tmp_path / "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.gguf"]


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "llm-of-nobody")
    with pytest.raises(InputError, match=r"llm-of-nobody.*pip install"):
        smollm2.find_gguf()

"""Quantised checkpoints: what is said of them, what is refused before anything runs, and one that runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM

from halluc_ray.config import CausalSystem, Engine
from halluc_ray.errors import NumericsMismatch, SpecError
from halluc_ray.models import numerics
from halluc_ray.models.checkpoint_sources import open_source
from halluc_ray.models.checkpoints import inspect_checkpoint
from halluc_ray.models.execution import generate
from halluc_ray.models.quantisation import _METHODS, _NEVER, Quantisation, count_weights, freeze, quantisation_of
from halluc_ray.models.safetensors_headers import StoredTensor
from tests.unit.models.conftest import causal


def stored(dtype: str, *shape: int) -> StoredTensor:
    return StoredTensor(dtype, shape, 0, 0)


@pytest.mark.parametrize(
    ("section", "label"),
    [
        ({"quant_method": "gptq", "bits": 3, "group_size": 128}, "gptq-3bit"),
        ({"quant_method": "awq", "bits": 4, "version": "gemm"}, "awq-4bit"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False}, "bitsandbytes-4bit"),
        ({"_load_in_8bit": True, "load_in_8bit": True}, "bitsandbytes-8bit"),
        ({"quant_method": "quanto", "weights": "int2"}, "quanto-2bit"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-8bit"),
        ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}}, "hqq-4bit"),
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}}, "torchao"),
        (
            {"quant_method": "compressed-tensors",
             "config_groups": {"a": {"weights": {"num_bits": 4}}, "b": {"weights": {"num_bits": 8}}}},
            "compressed-tensors",
        ),
    ],
)  # fmt: skip
def test_labels_follow_the_section_as_each_tool_writes_it(section, label):
    assert quantisation_of({"quantization_config": section}).label == label
    assert quantisation_of({"text_config": {"quantization_config": section}}).label == label


def test_plain_weights_are_plain():
    assert quantisation_of({}) is None
    assert quantisation_of({"quantization_config": None}) is None
    assert freeze({}, device="cpu", where="systems[m]") == {}


def test_every_method_that_the_installed_transformers_knows_is_decided_on():
    from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

    assert set(AUTO_QUANTIZER_MAPPING) <= set(_METHODS) | set(_NEVER)


@pytest.mark.parametrize(
    ("section", "device", "message"),
    [
        ({"quant_method": "gptq", "bits": 4}, "cpu", r"by 'gptq', which needs gptqmodel, optimum here.*pip"),
        ({"quant_method": "eetq"}, "cpu", r"by 'eetq', which runs on a GPU alone, and the device is cpu"),
        ({"load_in_4bit": True}, "cuda", r"by 'bitsandbytes_4bit', which needs bitsandbytes"),
        ({"quant_method": "mine"}, "cpu", r"by 'mine'; this version runs aqlm, "),
        ({"bits": 4}, "cpu", r"by ''; this version runs"),
        ({"quant_method": "gguf"}, "cpu", r"by 'gguf'; GGUF weights are not read"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_by_name(section, device, message):
    with pytest.raises(SpecError, match=r"^systems\[m\]\.checkpoint: its weights are quantised " + message):
        freeze({"quantization_config": section}, device=device, where="systems[m]")


def test_packed_weights_count_each(tmp_path):
    config = {"model_type": "llama", "quantization_config": {"quant_method": "gptq", "bits": 4}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    layer = {  # a GPTQ layer of 64 inputs and 32 outputs in groups of 16, as its tools lay it out
        "l.qweight": np.zeros((64 // 8, 32), np.int32), "l.qzeros": np.zeros((4, 32 // 8), np.int32),
        "l.scales": np.zeros((4, 32), np.float16), "l.g_idx": np.zeros(64, np.int32),
        "l.bias": np.zeros(32, np.float16), "norm.weight": np.zeros(64, np.float16),
    }  # fmt: skip
    save_file(layer, tmp_path / "model.safetensors")
    assert inspect_checkpoint(open_source(str(tmp_path))).num_parameters == 64 * 32 + 32 + 64


def test_other_layouts_count_each_too():
    four = {
        "q.weight": stored("U8", 64 * 32 // 2, 1), "q.weight.absmax": stored("F32", 32),
        "q.weight.quant_map": stored("F32", 16), "q.weight.quant_state.bitsandbytes__nf4": stored("U8", 90),
    }  # fmt: skip
    assert count_weights(four, Quantisation("bitsandbytes_4bit", 4)) == 64 * 32
    eight = {"q.weight": stored("I8", 32, 64), "q.SCB": stored("F32", 32), "q.weight_format": stored("U8")}
    assert count_weights(eight, Quantisation("bitsandbytes_8bit", 8)) == 64 * 32
    experts = {"mlp.gate_up_proj_blocks": stored("U8", 2, 8, 4, 16), "mlp.gate_up_proj_scales": stored("U8", 2, 8, 4)}
    assert count_weights(experts, Quantisation("mxfp4", 4)) == 2 * 8 * 4 * 32
    quarter = {"q.weight": stored("F8_E4M3", 32, 64), "q.weight_scale_inv": stored("F32", 1, 1)}
    assert count_weights(quarter, Quantisation("fp8", 8)) == 64 * 32


@pytest.fixture(scope="module")
def rounded(llama, tmp_path_factory) -> tuple[Path, Path, Path]:
    """A Llama packed to 4 bits by its own tool, a plain one whose weights are rounded by hand, and the one before."""
    pytest.importorskip("compressed_tensors", reason="the package compressed-tensors is not installed")
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        QuantizationStatus,
        apply_quantization_config,
    )  # fmt: skip

    home = tmp_path_factory.mktemp("rounded")
    packed, plain, before = (shutil.copytree(llama, home / name) for name in ("packed", "plain", "before"))
    network = AutoModelForCausalLM.from_pretrained(llama)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.weight.data *= 12
    network.save_pretrained(before)
    arguments = QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="channel")
    scheme = QuantizationConfig(
        config_groups={"all": QuantizationScheme(targets=["Linear"], weights=arguments)}, ignore=["lm_head"],
        format="pack-quantized", quantization_status=QuantizationStatus.FROZEN,
    )  # fmt: skip
    by_hand = AutoModelForCausalLM.from_pretrained(before)
    apply_quantization_config(network, scheme)
    for name, module in network.named_modules():
        if hasattr(module, "weight_scale"):
            step = module.weight.detach().abs().amax(dim=1, keepdim=True) / 7
            module.weight_scale.data = step
            by_hand.get_submodule(name).weight.data = (module.weight.detach() / step).round().clamp(-8, 7) * step
    compressor = ModelCompressor(quantization_config=scheme)
    compressor.compress_model(network)
    network.save_pretrained(packed)
    compressor.update_config(packed)
    by_hand.save_pretrained(plain)
    return packed, plain, before


def test_a_quantised_model_answers_as_its_weights_rounded_by_hand(rounded, samples):
    packed, plain, before = rounded
    found = inspect_checkpoint(open_source(str(packed)))
    dense = inspect_checkpoint(open_source(str(plain)))
    assert found.num_parameters == dense.num_parameters
    assert sum(path.stat().st_size for path in packed.glob("*.safetensors")) < 0.8 * sum(
        path.stat().st_size for path in plain.glob("*.safetensors")
    )
    texts = {
        folder: generate(causal(folder), samples=samples, token_budget=1024).table.column("text").to_pylist()
        for folder in rounded
    }
    assert texts[packed] == texts[plain]
    assert texts[packed] != texts[before]


def test_the_plan_freezes_method_and_package_and_an_actor_checks_them(rounded):
    system = CausalSystem(kind="causal-lm", name="m", checkpoint=str(rounded[0]))
    found = inspect_checkpoint(open_source(str(rounded[0])))
    frozen = numerics.resolve(
        system, engine=Engine(), device="cpu", config=found.config, num_parameters=found.num_parameters
    )
    assert frozen["quantization"] == "compressed-tensors-4bit"
    numerics.check(frozen)
    with pytest.raises(NumericsMismatch, match=r"package:compressed-tensors: planned 0\.1, found"):
        numerics.check({**frozen, "package:compressed-tensors": "0.1"})

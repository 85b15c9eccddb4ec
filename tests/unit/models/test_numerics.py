"""What a plan freezes, and what an actor refuses."""

import os
import subprocess
import sys

import pytest
import torch
import transformers
from transformers.models.auto import modeling_auto

from halluc_ray.config import CausalSystem, ClassifierSystem, Engine
from halluc_ray.errors import NumericsMismatch, SpecError
from halluc_ray.models import devices, numerics
from halluc_ray.models.token_budgets import auto_token_budget

ENCODER = ClassifierSystem(kind="sequence-classification", name="c", checkpoint="x")
CAUSAL = CausalSystem(kind="causal-lm", name="m", checkpoint="x")


def resolve(system=ENCODER, device="cpu", config=None, num_parameters=22_000_000, **engine):
    return numerics.resolve(
        system, engine=Engine(**engine), device=device, config=config or {}, num_parameters=num_parameters
    )


def test_isa_is_the_one_that_torch_picks():
    assert devices.cpu_isa() == torch.backends.cpu.get_cpu_capability()


@pytest.mark.parametrize("wished", ["default", "avx2"])
def test_isa_follows_torch_s_override(wished):
    code = (
        "import torch; from halluc_ray.models.devices import cpu_isa; "
        "print(cpu_isa(), torch.backends.cpu.get_cpu_capability())"
    )
    env = os.environ | {"ATEN_CPU_CAPABILITY": wished}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=120)
    ours, theirs = run.stdout.split()
    assert ours == theirs == wished.upper()


def test_planning_loads_no_torch():
    code = (
        "import sys; from halluc_ray.models import checkpoint_cache, checkpoints, execution, loading, numerics; "
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.split() == ["False", "False"]


def test_a_machine_honours_its_own_plan():
    numerics.check(resolve())


@pytest.mark.parametrize(
    ("field", "planned"),
    [("isa", "AVX9"), ("torch", "1.0"), ("transformers", "4.0"), ("tokenizers", "0.1"), ("cpu_vendor", "Other")],
)
def test_a_difference_is_refused_by_name(field, planned):
    found = resolve()[field]
    with pytest.raises(NumericsMismatch, match=rf"{field}: planned {planned}, found {found}.*engine.bitwise: false"):
        numerics.check(resolve() | {field: planned})


@pytest.mark.skipif(torch.cuda.is_available(), reason="the case of a machine without a GPU")
def test_a_gpu_plan_is_refused_without_a_gpu():
    with pytest.raises(NumericsMismatch, match="device: planned cuda, found cpu"):
        numerics.check(resolve(device="cuda", accelerator="H100"))


def test_a_gpu_plan_names_its_accelerator():
    assert resolve(device="cuda", accelerator="H100")["accelerator"] == "H100"
    with pytest.raises(SpecError, match=r"engine\.accelerator"):
        resolve(device="cuda")


def test_over_how_many_gpus_a_model_lies_is_part_of_its_numerics():
    one, shared, four = (resolve(device="cuda", accelerator="H100", gpus_per_actor=n) for n in (1, 0.5, 4))
    assert one == shared
    assert four == one | {"gpus": 4}
    assert "gpus" not in resolve(device="cpu", gpus_per_actor=4)


def test_threads_fix_the_bytes_of_a_cpu_and_not_those_of_a_gpu():
    assert [resolve(cpus_per_actor=threads)["threads"] for threads in (1, 2)] == [1, 2]
    one, eight = (resolve(device="cuda", accelerator="H100", cpus_per_actor=threads) for threads in (1, 8))
    assert one == eight


@pytest.mark.parametrize(
    ("name", "planned", "same"),
    [
        ("NVIDIA H100 80GB HBM3", "H100", True),
        ("NVIDIA A100-SXM4-80GB", "A100-80G", True),
        ("Tesla T4", "T4", True),
        ("NVIDIA L40S", "L4", False),
        ("NVIDIA H200", "H100", False),
    ],
)
def test_ray_s_accelerator_types_are_found_in_device_names(name, planned, same):
    assert (devices.card_name(name, planned=planned) == planned) == same


def test_auto_is_a_pure_table():
    assert resolve()["token_budget"] == 1_024
    assert resolve(CAUSAL)["token_budget"] == 4_096
    assert resolve(CAUSAL, tokens_per_batch=77)["token_budget"] == 77
    sizes = [10**8, 10**9, 10**10, 10**11]
    budgets = [auto_token_budget("causal-lm", device_kind="cuda", num_parameters=n) for n in sizes]
    assert budgets == sorted(budgets, reverse=True)
    assert resolve(config={"dtype": "float16"})["dtype"] == "float32"
    assert resolve(device="cuda", accelerator="H100", config={"dtype": "float16"})["dtype"] == "float16"
    assert resolve(ENCODER.model_copy(update={"dtype": "bfloat16"}))["dtype"] == "bfloat16"


def test_architectures_without_fused_attention_are_known():
    mappings = (
        modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    )
    for model_type in (
        "bert",
        "roberta",
        "distilbert",
        "deberta-v2",
        "gpt2",
        "llama",
        "qwen2",
        "bloom",
        "mpt",
        "gemma2",
    ):
        name = next(names[model_type] for names in mappings if model_type in names)
        fused = getattr(transformers, name)._supports_sdpa
        assert resolve(config={"model_type": model_type})["attention"] == ("sdpa" if fused else "eager"), model_type

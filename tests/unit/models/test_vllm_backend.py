"""What can be said of the vLLM backend without vLLM: refusals, and what its classes would be given."""

import importlib.util
import inspect

import pytest
from pydantic import ValidationError

from halluc_ray.config import CausalSystem, Engine
from halluc_ray.errors import ModelError, NumericsMismatch, SpecError
from halluc_ray.models import numerics
from halluc_ray.models.loading import load_model
from halluc_ray.models.sampling import gumbel_noise, unit_key
from halluc_ray.models.vllm_backend import engine_options, sampling_options

from . import families

ABSENT = importlib.util.find_spec("vllm") is None
absent = pytest.mark.skipif(not ABSENT, reason="vllm is installed here")
present = pytest.mark.skipif(ABSENT, reason="vllm is not installed here")


def system(**options) -> CausalSystem:
    return CausalSystem(**({"kind": "causal-lm", "name": "m", "checkpoint": "x", "backend": "vllm"} | options))


def resolve(device: str = "cuda", **engine):
    settled = Engine(accelerator="H100", **engine)
    return numerics.resolve(system(), engine=settled, device=device, config={}, num_parameters=10)


def test_a_cpu_is_refused_by_the_plan():
    with pytest.raises(SpecError, match=r"systems\[m\]\.backend: vllm: the device is cpu.*backend: transformers"):
        resolve("cpu")


def test_a_share_of_a_gpu_is_refused_by_the_plan():
    with pytest.raises(SpecError, match=r"takes whole GPUs, and engine\.gpus_per_actor is 0\.5"):
        resolve(gpus_per_actor=0.5)


@absent
def test_a_plan_without_the_package_says_how_to_get_it():
    with pytest.raises(SpecError, match=r"vllm is not installed here; pip install 'halluc-ray\[vllm\]'"):
        resolve()


@absent
def test_an_actor_without_the_package_says_so(tmp_path):
    folder = families.save_causal(tmp_path, "llama")
    frozen = {"device": "cuda", "dtype": "bfloat16", "attention": "sdpa", "token_budget": 1}
    with pytest.raises(ModelError, match=r"systems\[m\]\.backend: vllm can't be imported on this machine"):
        load_model(system(template="{prompt}"), folder=folder, numerics=frozen, labels={}, threads=1)


def test_another_version_on_an_actor_is_refused():
    plain = numerics.resolve(
        system(backend="transformers"), engine=Engine(), device="cpu", config={}, num_parameters=10
    )
    with pytest.raises(NumericsMismatch, match=r"package:vllm: planned 0\.0\.1, found "):
        numerics.check(plain | {"package:vllm": "0.0.1"})


@pytest.mark.parametrize("options", [{"adapter": "lora"}, {"dtype": "float64"}])
def test_what_it_does_not_do_is_refused_by_the_spec(options):
    with pytest.raises(ValidationError, match="backend: transformers alone"):
        system(**options)


def test_decoding_is_the_spec_s():
    settled = system(decoding={"max_new_tokens": 9, "temperature": 0.5, "top_p": 0.9, "samples": 3, "stop": ["\n"]})
    assert sampling_options(settled, ends=frozenset({7, 2})) == {
        "n": 1, "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "stop_token_ids": [2, 7],
        "detokenize": True, "skip_special_tokens": True,
    }  # fmt: skip
    inside_a_trace = system(reasoning={}, decoding={"stop": ["\n"]})
    assert sampling_options(inside_a_trace, ends=frozenset())["stop"] == []


def test_the_engine_holds_prompt_and_answer_on_the_gpus_of_its_actor():
    options = engine_options("bfloat16", limit=100, system=system(decoding={"max_new_tokens": 28}), gpus=4)
    assert (options["max_model_len"], options["tensor_parallel_size"], options["trust_remote_code"]) == (128, 4, False)


def test_a_seed_belongs_to_the_unit():
    keys = {unit_key(seed=seed, sample_id=key, draw=draw) for seed in (0, 1) for key in "ab" for draw in (0, 1)}
    assert len(keys) == 8
    first = gumbel_noise(5, seed=1, sample_id="a", draw=0, position=0)
    assert (first == gumbel_noise(5, seed=1, sample_id="a", draw=0, position=0)).all()


@present
def test_vllm_knows_every_option():
    import vllm

    known = inspect.signature(vllm.SamplingParams).parameters
    assert sampling_options(system(), ends=frozenset({1})).keys() | {"seed"} <= known.keys()

"""Adapters before anything runs: what is refused, what the digest covers, no torch in the driver."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from halluc_ray.errors import InputError, SpecError
from halluc_ray.models.adapters import inspect_adapter
from halluc_ray.models.checkpoint_sources import StoreSource, open_source
from halluc_ray.models.checkpoints import stored_tensors
from halluc_ray.models.quantisation import Quantisation
from halluc_ray.models.safetensors_headers import StoredTensor
from halluc_ray.storage import open_store
from tests.unit.models.lora import change_config, save_adapter

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HALLUC_RAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def trained(llama, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("adapters") / "trained"
    return save_adapter(llama, folder, kind="causal-lm", targets=["q_proj", "down_proj"], seed=1)


@pytest.fixture
def adapter(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "adapter"))


def inspect(folder: Path, base: Path):
    tensors = stored_tensors(open_source(str(base)))
    source = open_source(str(folder), key="adapter")
    return inspect_adapter(source, base=tensors, quantisation=None, where="systems[m].adapter")


def edit(folder: Path, change) -> Path:
    tensors = load_file(folder / WEIGHTS)
    save_file(change(tensors), folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def test_digest_covers_weights_and_config_and_no_place(adapter, llama, tmp_path):
    planned = inspect(adapter, llama)
    assert set(planned.files) == {"adapter_config.json", WEIGHTS}
    (adapter / "README.md").write_text("hello")
    assert inspect(adapter, llama).digest == planned.digest
    elsewhere = shutil.copytree(adapter, tmp_path / "elsewhere")
    assert inspect(elsewhere, llama).digest == planned.digest
    in_store = inspect_adapter(
        StoreSource(open_store(str(adapter))),
        base=stored_tensors(open_source(str(llama))),
        quantisation=None,
        where="a",
    )
    assert in_store.digest == planned.digest
    assert inspect(change_config(elsewhere, lora_alpha=9), llama).digest != planned.digest
    edit(adapter, lambda tensors: {name: -tensor for name, tensor in tensors.items()})
    assert inspect(adapter, llama).digest != planned.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda name, tensor: tensor * 0 if "lora_B" in name else tensor,
        lambda name, tensor: tensor * -0.0 if "lora_B" in name else tensor,
        lambda name, tensor: tensor * 0 if ("lora_B" in name) == ("q_proj" in name) else tensor,
        lambda name, tensor: (tensor * 0 if "lora_A" in name else tensor).bfloat16(),
    ],
    ids=["B", "minus zero", "one of each pair", "A"],
)
def test_an_adapter_without_effect_is_refused(adapter, llama, change):
    edit(adapter, lambda tensors: {name: change(name, tensor) for name, tensor in tensors.items()})
    with pytest.raises(SpecError, match=r"^systems\[m\]\.adapter: .*adapter changes nothing: in each of its 4 modules"):
        inspect(adapter, llama)


def test_one_number_that_is_not_zero_is_an_effect(adapter, llama):
    def change(tensors):
        found = {name: tensor * 0 if "lora_B" in name else tensor for name, tensor in tensors.items()}
        last = max(name for name in found if "lora_B" in name)
        found[last][-1, -1] = 1e-30
        return found

    assert inspect(edit(adapter, change), llama)


def test_an_untrained_adapter_as_peft_saves_it_is_refused(llama, tmp_path):
    fresh = save_adapter(llama, tmp_path / "fresh", kind="causal-lm", targets=["q_proj"], seed=1, zero=True)
    with pytest.raises(SpecError, match="changes nothing"):
        inspect(fresh, llama)
    trained = save_adapter(llama, tmp_path / "off", kind="causal-lm", targets=["q_proj"], seed=1)
    with pytest.raises(SpecError, match="changes nothing"):
        inspect(change_config(trained, lora_alpha=0), llama)


def test_a_base_without_the_modules_is_refused(adapter, gpt2):
    with pytest.raises(SpecError, match=r"adapts model\.layers\.0\.mlp\.down_proj, .* \(4 of 4 modules\), which th"):
        inspect(adapter, gpt2)


def test_a_base_of_another_shape_is_refused(adapter, llama, tmp_path):
    wide = AutoModelForCausalLM.from_pretrained(llama)
    config = wide.config
    config.intermediate_size = 48
    type(wide)(config).save_pretrained(tmp_path / "wide")
    with pytest.raises(SpecError, match=r"mlp\.down_proj is adapted as 32 x 64, and the checkpoint's is 32 x 48"):
        inspect(adapter, tmp_path / "wide")


def test_names_with_and_without_the_body_s_prefix_are_the_same(gpt2, tmp_path):
    """Checkpoints of a body alone, such as the hub's gpt2, lack the leading `transformer.`."""
    adapter = save_adapter(gpt2, tmp_path / "a", kind="causal-lm", targets=["c_attn"], seed=1, fan_in_fan_out=True)
    body = AutoModelForCausalLM.from_pretrained(gpt2).transformer
    body.save_pretrained(tmp_path / "body")
    assert inspect(adapter, tmp_path / "body").digest == inspect(adapter, gpt2).digest


def test_a_head_is_held_against_the_base_s(bert, tmp_path):
    kind = "sequence-classification"
    adapter = save_adapter(bert, tmp_path / "a", kind=kind, targets=["query"], seed=1)
    assert inspect(adapter, bert).new_weights == ()
    zero = save_adapter(bert, tmp_path / "z", kind=kind, targets=["query"], seed=1, zero=True)
    assert inspect(zero, bert), "its head is an effect"
    edit(adapter, lambda tensors: {n: t[:2] if "classifier" in n else t for n, t in tensors.items()})
    with pytest.raises(SpecError, match=r"brings classifier\.(bias|weight) of shape \(2,.*checkpoint's is \(3,"):
        inspect(adapter, bert)
    body = tmp_path / "body"
    from transformers import AutoModelForSequenceClassification

    AutoModelForSequenceClassification.from_pretrained(bert).bert.save_pretrained(body)
    assert inspect(adapter, body).new_weights == ("classifier.bias", "classifier.weight")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "LOHA"}, r"is of type 'LOHA'; LORA is what"),
        ({"use_dora": True}, r"has use_dora: true, which this version does not run; merge it"),
        ({"bias": "all"}, r"has bias: 'all', so it changes the base's own biases"),
        ({"init_lora_weights": "pissa_niter_4"}, r"has init_lora_weights: 'pissa_niter_4', so it fits a base"),
        ({"layer_replication": [[0, 2], [1, 2]]}, r"has layer_replication: \[\[0, 2\], \[1, 2\]\]"),
        ({"megatron_config": {"a": 1}}, r"has megatron_config"),
        ({"option_of_next_year": 3}, r"has option_of_next_year: 3"),
    ],
)
def test_what_is_no_plain_lora_is_refused_by_name(adapter, llama, changes, message):
    with pytest.raises(SpecError, match=message):
        inspect(change_config(adapter, **changes), llama)


def test_a_base_whose_packed_layers_can_not_be_adapted_is_refused(adapter):
    """Shapes of packed weights say nothing; which layers peft can adapt is known."""
    source = open_source(str(adapter))
    packed = {f"model.layers.{k}.{name}.qweight": StoredTensor("I32", (4, 9), 0, 0)
              for k in range(2) for name in ("self_attn.q_proj", "mlp.down_proj")}  # fmt: skip
    assert inspect_adapter(source, base=packed, quantisation=Quantisation("gptq", 4), where="a")
    with pytest.raises(
        SpecError, match=r"can't be put on weights that are quantised by 'compressed-tensors', only on aq"
    ):
        inspect_adapter(source, base=packed, quantisation=Quantisation("compressed-tensors", 4), where="a")


@pytest.mark.parametrize("start", [True, False, None, "gaussian", "eva"])
def test_what_only_mattered_in_training_does_not_matter(adapter, llama, start):
    assert inspect(change_config(adapter, init_lora_weights=start, lora_dropout=0.1, task_type="CAUSAL_LM"), llama)


def test_weights_that_are_no_matrices_are_refused(adapter, llama):
    table = {"base_model.model.model.embed_tokens.weight": torch.ones(9, 32)}
    edit(adapter, lambda tensors: tensors | table)
    with pytest.raises(SpecError, match=r"holds base_model\.model\.model\.embed_tokens\.weight, which is neither"):
        inspect(adapter, llama)
    edit(adapter, lambda tensors: {name: t for name, t in tensors.items() if "lora_A" in name})
    with pytest.raises(SpecError, match=r"holds only one of the two matrices of model\.layers\.0\.mlp\.down_proj"):
        inspect(adapter, llama)
    edit(adapter, lambda tensors: {})
    with pytest.raises(SpecError, match="holds no LoRA matrix"):
        inspect(adapter, llama)


def test_places_that_hold_no_adapter(adapter, llama, tmp_path):
    with pytest.raises(InputError, match=r"adapter: .* has no adapter_config\.json \(it holds chat_template\.jinja, "):
        inspect(llama, llama)
    with pytest.raises(SpecError, match=r"adapter: '/nowhere/at/all' is no folder here"):
        open_source("/nowhere/at/all", where="systems[m]", key="adapter")
    weights = adapter / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"adapter_model\.safetensors \(\d+ bytes\) is no whole safetensors file"):
        inspect(adapter, llama)
    weights.rename(adapter / "adapter_model.bin")
    with pytest.raises(InputError, match=r"has no adapter_model\.safetensors, only adapter_model\.bin: `halluc-ray"):
        inspect(adapter, llama)
    (adapter / "adapter_config.json").write_text("[1")
    weights.touch()
    with pytest.raises(InputError, match=r"adapter_config\.json is no JSON"):
        inspect(adapter, llama)
    (adapter / "adapter_config.json").write_text("[1]")
    with pytest.raises(InputError, match=r"adapter_config\.json holds a list, not an object"):
        inspect(adapter, llama)


def test_a_pickled_adapter_is_converted(adapter, llama, tmp_path):
    from halluc_ray.models.conversion import convert_checkpoint

    before = inspect(adapter, llama)
    tensors = load_file(adapter / WEIGHTS)
    (adapter / WEIGHTS).unlink()
    torch.save(tensors, adapter / "adapter_model.bin")
    convert_checkpoint(open_source(str(adapter), pickled=True), out=tmp_path / "new")
    after = load_file(tmp_path / "new" / WEIGHTS)
    assert after.keys() == tensors.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in tensors.items())
    assert inspect(tmp_path / "new", llama).new_weights == before.new_weights


INSPECT = """
import json, sys
from halluc_ray.models.adapters import inspect_adapter
from halluc_ray.models.checkpoint_sources import open_source
from halluc_ray.models.checkpoints import stored_tensors
base = stored_tensors(open_source(sys.argv[2]))
print(inspect_adapter(open_source(sys.argv[1]), base=base, quantisation=None, where="a").digest)
print(sorted({"torch", "transformers", "peft", "safetensors"} & set(sys.modules)))
"""


def test_the_driver_decides_without_torch(adapter, llama):
    done = subprocess.run(
        [sys.executable, "-c", INSPECT, str(adapter), str(llama)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == [inspect(adapter, llama).digest, "[]"], done.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modules_to_save": 3}, r"adapter_config\.json: modules_to_save: 3: Input should be a valid list"),
        ({"r": 0}, r"adapter_config\.json: r: 0: Input should be greater than 0"),
        ({"alpha_pattern": {"q": "x"}}, r"adapter_config\.json: alpha_pattern\.q: \"x\": "),
        ({"lora_alpha": "much"}, r"adapter_config\.json: lora_alpha: \"much\""),
        ({"target_modules": [["q"]]}, r"adapter_config\.json: target_modules"),
    ],
)
def test_values_of_other_types_are_refused(adapter, llama, changes, message):
    with pytest.raises(InputError, match=message):
        inspect(change_config(adapter, **changes), llama)

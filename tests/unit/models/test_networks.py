"""One base, many adapters: swapped equals merged, nothing leaks from one to the next, the base is read once."""

from pathlib import Path

import pytest
import torch

from halluc_ray.errors import ModelError
from halluc_ray.models.networks import LocalAdapter, Networks
from tests.unit.models.lora import CLASSES, change_config, merge, save_adapter, save_t5

TARGETS = {
    "llama": ["q_proj", "v_proj", "down_proj"],
    "gpt2": ["c_attn", "c_proj"],
    "t5": ["q", "v", "wo"],
    "bert": ["query", "dense"],
}
KINDS = {"llama": "causal-lm", "gpt2": "causal-lm", "t5": "seq2seq-lm", "bert": "sequence-classification"}


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small are slower on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bases(llama, gpt2, bert, tmp_path_factory) -> dict[str, Path]:
    return {"llama": llama, "gpt2": gpt2, "bert": bert, "t5": save_t5(tmp_path_factory.mktemp("t5"))}


def outputs(network, kind: str) -> torch.Tensor:
    """Ids of greedy answers, or logits, by transformers alone."""
    torch.manual_seed(0)
    rows = torch.randint(4, 300, (6, 7))
    with torch.no_grad():
        if kind == "sequence-classification":
            return network(input_ids=rows).logits
        asked = {"do_sample": False, "max_new_tokens": 8, "min_new_tokens": 8}
        return network.generate(rows, attention_mask=torch.ones_like(rows), repetition_penalty=1.0, **asked)


def lend(networks: Networks, kind: str, base: Path, adapter: Path | None = None, **how):
    how = {"dtype": "float64", "attention": "sdpa", "device": "cpu"} | how
    worn = LocalAdapter(adapter, f"{adapter.name:0<64}") if adapter else None
    return networks.lend(kind, base, digest=str(base), adapter=worn, **how)


def plain(kind: str, folder: Path):
    return CLASSES[kind].from_pretrained(folder, dtype=torch.float64).eval()


@pytest.mark.parametrize("family", list(TARGETS))
def test_swapped_equals_merged_and_the_base_alone_stays_itself(family, bases, tmp_path):
    kind, base = KINDS[family], bases[family]
    one = save_adapter(base, tmp_path / "one", kind=kind, targets=TARGETS[family], seed=1)
    two = save_adapter(base, tmp_path / "two", kind=kind, targets=TARGETS[family][:1], seed=2, use_rslora=True, r=2)
    expected = {
        None: outputs(plain(kind, base), kind),
        one: outputs(plain(kind, merge(base, one, tmp_path / "m1", kind=kind)), kind),
        two: outputs(plain(kind, merge(base, two, tmp_path / "m2", kind=kind)), kind),
    }
    assert not torch.equal(expected[None], expected[one])
    assert not torch.equal(expected[one], expected[two])
    networks = Networks()
    for adapter in (None, one, None, two, one, two, None):
        found = outputs(lend(networks, kind, base, adapter), kind)
        if kind == "sequence-classification":
            torch.testing.assert_close(found, expected[adapter], rtol=0, atol=1e-12)
        else:
            assert torch.equal(found, expected[adapter])
        alone = outputs(lend(Networks(), kind, base, adapter), kind)
        assert torch.equal(found, alone), "bit by bit what a fresh process says"
    assert networks.num_loads == 1


def test_the_base_is_bit_by_bit_the_plain_one_after_adapters(bases, tmp_path):
    """Heads of a classifier are swapped too, and an adapter without one gets the base's."""
    base = bases["bert"]
    kind = "sequence-classification"
    headed = save_adapter(base, tmp_path / "headed", kind=kind, targets=["query"], seed=1)
    headless = save_adapter(base, tmp_path / "headless", kind=kind, targets=["value"], seed=2, task_type=None)
    networks = Networks()
    lend(networks, kind, base, headed)
    found = outputs(lend(networks, kind, base, headless), kind)
    assert torch.equal(found, outputs(lend(Networks(), kind, base, headless), kind))
    merged = plain(kind, merge(base, headless, tmp_path / "merged", kind=kind))
    torch.testing.assert_close(found, outputs(merged, kind), rtol=0, atol=1e-12)
    assert torch.equal(outputs(lend(networks, kind, base), kind), outputs(plain(kind, base), kind))


def test_adapters_beyond_the_limit_go_and_come_back(bases, tmp_path):
    base, kind = bases["llama"], "causal-lm"
    adapters = [save_adapter(base, tmp_path / f"a{k}", kind=kind, targets=["q_proj"], seed=k) for k in range(3)]
    networks = Networks(max_adapters=2)
    expected = [outputs(lend(Networks(), kind, base, adapter), kind) for adapter in adapters]
    for k in (0, 1, 2, 0, 2, 1, 0):
        network = lend(networks, kind, base, adapters[k])
        assert torch.equal(outputs(network, kind), expected[k])
        held = {name.split(".lora_A.")[1].split(".")[0] for name, _ in network.named_parameters() if ".lora_A." in name}
        assert len(held) <= 2
    assert networks.num_loads == 1


def test_kinds_of_one_class_share_the_network(bases, tmp_path):
    """One that rates options and one that writes read the same checkpoint once; a classifier's is another."""
    base = bases["llama"]
    adapter = save_adapter(base, tmp_path / "a", kind="causal-lm", targets=["q_proj"], seed=1)
    networks = Networks()
    first = lend(networks, "choices", base)
    assert lend(networks, "causal-lm", base) is first
    worn = outputs(lend(networks, "causal-lm", base, adapter), "causal-lm")
    assert torch.equal(worn, outputs(lend(networks, "choices", base, adapter), "causal-lm"))
    assert networks.num_loads == 1
    lend(networks, "embedder", base)
    assert networks.num_loads == 2


def test_generation_settings_of_one_system_do_not_reach_the_next(bases):
    networks = Networks()
    first = lend(networks, "causal-lm", bases["llama"])
    own = first.generation_config.to_dict()
    first.generation_config = None
    assert lend(networks, "causal-lm", bases["llama"]).generation_config.to_dict() == own


def test_another_base_or_dtype_is_read_and_the_first_let_go(bases):
    networks = Networks()
    assert lend(networks, "causal-lm", bases["llama"]).dtype == torch.float64
    assert lend(networks, "causal-lm", bases["llama"], dtype="float32").dtype == torch.float32
    assert type(lend(networks, "causal-lm", bases["gpt2"])).__name__ == "GPT2LMHeadModel"
    assert networks.num_loads == 3


def test_an_adapter_computes_in_the_dtype_of_its_system(bases, tmp_path):
    adapter = save_adapter(bases["llama"], tmp_path / "a", kind="causal-lm", targets=["q_proj"], seed=1)
    network = lend(Networks(), "causal-lm", bases["llama"], adapter, dtype="bfloat16")
    assert {weights.dtype for weights in network.parameters()} == {torch.bfloat16}
    assert not any(module.training for module in network.modules())


def test_an_adapter_that_does_not_fit_ends_in_an_error_and_leaves_nothing(bases, tmp_path):
    base, kind = bases["llama"], "causal-lm"
    networks = Networks()
    adapter = save_adapter(base, tmp_path / "a", kind=kind, targets=["q_proj", "v_proj"], seed=1)
    with pytest.raises(ModelError, match=r"can't be put on .*no place for .*v_proj"):
        lend(networks, kind, base, change_config(adapter, target_modules=["q_proj"]))
    with pytest.raises(ModelError, match=r"can't be put on .*nothing for .*k_proj"):
        lend(networks, kind, base, change_config(adapter, target_modules=["q_proj", "v_proj", "k_proj"]))
    assert torch.equal(outputs(lend(networks, kind, base), kind), outputs(plain(kind, base), kind))


def test_a_head_that_the_base_lacks_comes_with_the_adapter(bases, tmp_path):
    kind = "sequence-classification"
    body = tmp_path / "body"
    plain(kind, bases["bert"]).float().bert.save_pretrained(body)
    adapter = save_adapter(bases["bert"], tmp_path / "a", kind=kind, targets=["query"], seed=1)
    whole = outputs(lend(Networks(), kind, bases["bert"], adapter), kind)
    (body / "config.json").write_bytes((bases["bert"] / "config.json").read_bytes())
    networks = Networks()
    worn = LocalAdapter(adapter, "a" * 64, new_weights=("classifier.weight", "classifier.bias"))
    how = {"dtype": "float64", "attention": "sdpa", "device": "cpu"}
    assert torch.equal(outputs(networks.lend(kind, body, digest="b", adapter=worn, **how), kind), whole)
    with pytest.raises(ModelError, match=r"no weights for classifier\.bias, classifier\.weight"):
        networks.lend(kind, body, digest="b", adapter=None, **how)


def test_adapters_that_have_no_place_side_by_side_take_turns(gpt2, tmp_path):
    """One brings a module whole that the other lays a matrix over."""
    kind = "causal-lm"
    whole = save_adapter(gpt2, tmp_path / "whole", kind=kind, targets=["c_attn"], seed=1, modules_to_save=["wte"])
    low_rank = save_adapter(gpt2, tmp_path / "low_rank", kind=kind, targets=["wte"], seed=2)
    alone = {adapter: outputs(lend(Networks(), kind, gpt2, adapter), kind) for adapter in (whole, low_rank)}
    networks = Networks()
    for adapter in (whole, low_rank, whole):
        assert outputs(lend(networks, kind, gpt2, adapter), kind).equal(alone[adapter])

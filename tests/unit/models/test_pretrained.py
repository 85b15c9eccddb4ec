import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from halluc_ray.errors import ModelError
from halluc_ray.models.pretrained import load_network, load_tokenizer, refuse_offloading


def test_a_checkpoint_without_vocabulary_gets_no_invented_one(gpt2, tmp_path):
    folder = shutil.copytree(gpt2, tmp_path / "checkpoint")
    assert load_tokenizer(folder).is_fast
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"holds no vocabulary.*copy the tokenizer files"):
        load_tokenizer(folder)


def test_a_network_that_is_parted_says_where_it_did_not_fit(gpt2, tmp_path):
    """As accelerate parts it where the devices are too small: the last block on disk."""
    whole = load_network("causal-lm", gpt2, dtype="float64", attention="sdpa", device="cpu")
    places = {"transformer.wte": "cpu", "transformer.wpe": "cpu", "transformer.h.0": "cpu", "transformer.ln_f": "cpu"}
    parted = AutoModelForCausalLM.from_pretrained(
        gpt2,
        dtype=torch.float64,
        device_map={**places, "transformer.h.1": "disk", "lm_head": "cpu"},
        offload_folder=tmp_path,
        attn_implementation="sdpa",
    )
    ids = torch.tensor([[5, 9, 200]])
    assert torch.equal(parted(ids).logits, whole(ids).logits)
    refuse_offloading(whole, folder=gpt2, device="cpu")
    with pytest.raises(
        ModelError, match=r"12 weights \(transformer\.h\.1\..*did not fit on.*raise engine\.gpus_per_actor"
    ):
        refuse_offloading(parted, folder=gpt2, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the case of a machine without a GPU")
def test_where_several_gpus_are_seen_weights_go_to_them_or_nowhere(gpt2, monkeypatch):
    """Four GPUs are claimed, and there is none: nothing may be left in main memory unsaid."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(ModelError, match=r"did not fit on the 4 GPU\(s\) of an actor; raise engine\.gpus_per_actor"):
        load_network("causal-lm", gpt2, dtype="float32", attention="sdpa", device="cuda")

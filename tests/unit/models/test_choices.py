"""Options under a causal network: closed forms, a plain loop, borders, permutations, limits."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from halluc_ray.config import ChoicesSystem
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.records import Sample
from tests.unit.models.conftest import NUMERICS, TEXTS

OPTIONS = ("Au", "Gold is Au", "Paris", "before dawn, and only four", "饺子")


def rater(folder: Path, *, dtype: str = "float64", token_budget: int = 1024, **options):
    system = ChoicesSystem(kind="choices", name="m", checkpoint=str(folder), **options)
    numerics = NUMERICS | {"dtype": dtype, "token_budget": token_budget}
    return load_model(system, folder=folder, numerics=numerics, labels={}, threads=1)


def sample(row: int, prompt: str, options=OPTIONS) -> Sample:
    return Sample(row, f"id{row}", {"prompt": prompt}, options=tuple(sorted(options)))


def rows_of(model, samples, *, token_budget: int = 1024):
    return generate(model, samples=samples, token_budget=token_budget).table.to_pylist()


@pytest.fixture
def samples() -> list[Sample]:
    return [sample(k, text, OPTIONS[: 2 + k % 4]) for k, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def unigram(gpt2: Path, tmp_path_factory) -> tuple[Path, torch.Tensor]:
    """A GPT-2 whose logits are one vector whatever it reads; and that vector.

    The last layer norm gives its bias alone, the embeddings of all tokens lie along that bias.
    """
    folder = tmp_path_factory.mktemp("unigram")
    AutoTokenizer.from_pretrained(gpt2).save_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(gpt2)
    logits = torch.linspace(-3, 2, network.config.vocab_size)
    with torch.no_grad():
        network.transformer.ln_f.weight.zero_()
        network.transformer.ln_f.bias.zero_()[0] = 1.0
        network.transformer.wte.weight[:, 0] = logits
    network.save_pretrained(folder)
    return folder, logits.double()


def test_known_logits_give_known_likelihoods(unigram, samples) -> None:
    folder, logits = unigram
    tokenizer = AutoTokenizer.from_pretrained(folder)
    known = logits.log_softmax(0)
    for row, given in zip(rows_of(rater(folder), samples), samples, strict=True):
        assert [score["text"] for score in row["option_scores"]] == list(given.options)
        for score in row["option_scores"]:
            tokens = tokenizer(" " + score["text"])["input_ids"]
            assert score["num_tokens"] == len(tokens)
            assert score["logprob"] == pytest.approx(float(known[tokens].sum()), rel=1e-9)
        best = max(row["option_scores"], key=lambda score: score["logprob"])
        assert (row["text"], row["logprob"], row["finish"]) == (best["text"], best["logprob"], "choice")


def plainly(folder: Path, prompt: str, option: str, dtype: torch.dtype) -> float:
    """Token by token, one text at a time, nothing padded."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    before, whole = tokenizer(prompt)["input_ids"], tokenizer(f"{prompt} {option}")["input_ids"]
    assert whole[: len(before)] == before
    with torch.inference_mode():
        logits = network(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    return sum(float(logits[at - 1, whole[at]]) for at in range(len(before), len(whole)))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize(("dtype", "close"), [("float64", 1e-9), ("float32", 1e-4)])
def test_padded_batches_agree_with_a_plain_loop(family, dtype, close, samples, request) -> None:
    folder = request.getfixturevalue(family)
    for budget in (1, 200, 5_000):
        found = rows_of(rater(folder, dtype=dtype, token_budget=budget), samples[:5], token_budget=budget)
        for row, given in zip(found, samples, strict=False):
            for score in row["option_scores"]:
                expected = plainly(folder, given.fields["prompt"], score["text"], getattr(torch, dtype))
                assert score["logprob"] == pytest.approx(expected, abs=close)


def test_a_pass_stays_within_the_budget(gpt2: Path, samples, monkeypatch) -> None:
    model = rater(gpt2)
    sizes = []
    forward = model._network.forward

    def measured(input_ids, **inputs):
        sizes.append(input_ids.numel())
        return forward(input_ids=input_ids, **inputs)

    monkeypatch.setattr(model._network, "forward", measured)
    longest = max(len(row.tokens) + max(map(len, row.continuations)) for row in model.encode(samples))
    for budget in (longest, 300, 1024):
        sizes.clear()
        rows_of(model, samples, token_budget=budget)
        assert max(sizes) <= max(
            budget, *(model.cost(row) for row in model.encode(samples) if model.cost(row) > budget), 0
        )
    small = rater(gpt2, token_budget=longest)
    monkeypatch.setattr(small._network, "forward", measured)
    sizes.clear()
    rows_of(small, samples, token_budget=longest)
    assert max(sizes) <= longest


def test_options_in_any_order_give_the_same_bytes(gpt2: Path) -> None:
    from halluc_ray.engine.samples import _options

    class Rows(list):
        def __init__(self, options, reference):
            import pyarrow as pa

            super().__init__([0])
            self.roles = {"options": pa.array([options]), "reference": pa.array([reference])}

    found = set()
    model = rater(gpt2, dtype="float32")
    for order in itertools.islice(itertools.permutations(OPTIONS), 0, 120, 17):
        [options] = _options(Rows(list(order[:3]), list(order[2:])))
        found.add(json.dumps(rows_of(model, [sample(0, TEXTS[0], options)])))
    assert len(found) == 1

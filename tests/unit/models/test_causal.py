"""The causal model against a hand-written decoding loop over the bare network."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from halluc_ray.errors import SpecError
from halluc_ray.models.execution import generate
from halluc_ray.models.sampling import gumbel_noise
from halluc_ray.records import Sample

from .conftest import TEXTS, causal


def greedy_by_hand(folder, ids, num_tokens, choose=lambda logits, step: int(logits.argmax())):
    network = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = list(ids)
    new = []
    for step in range(num_tokens):
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([ids])).logits[0, -1]
        token = choose(logits, step)
        if token == 1:
            return new, "stop"
        new.append(token)
        ids.append(token)
    return new, "length"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("token_budget", [1, 200, 4096])
def test_greedy_equals_the_bare_network_alone_and_in_any_batch(request, samples, family, token_budget):
    folder = request.getfixturevalue(family)
    table = generate(causal(folder), samples=samples, token_budget=token_budget).table
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for row, text in enumerate(TEXTS):
        ids = tokenizer(text)["input_ids"]
        if len(ids) > 148:
            continue
        new, finish = greedy_by_hand(folder, ids, 12)
        unit = table.slice(row, 1).to_pylist()[0]
        assert unit["text"] == tokenizer.decode(new), f"row {row}"
        assert (unit["finish"], unit["num_output_tokens"]) == (finish, len(new))
        assert unit["num_prompt_tokens"] == len(ids)


def test_sampling_is_gumbel_max_over_the_bare_network(llama):
    sample = Sample(0, "q7", {"prompt": TEXTS[4]})
    table = generate(causal(llama, temperature=0.7, samples=3, seed=11), samples=[sample], token_budget=4096).table
    tokenizer = AutoTokenizer.from_pretrained(llama)

    def by_hand(draw):
        def choose(logits, step):
            noise = gumbel_noise(len(logits), seed=11, sample_id="q7", draw=draw, position=step)
            return int((logits.double() / 0.7 + torch.from_numpy(noise)).argmax())

        return tokenizer.decode(greedy_by_hand(llama, tokenizer(TEXTS[4])["input_ids"], 12, choose)[0])

    assert table["draw"].to_pylist() == [0, 1, 2]
    assert table["text"].to_pylist() == [by_hand(draw) for draw in range(3)]
    assert len(set(table["text"].to_pylist())) == 3


def test_draws_do_not_depend_on_the_batch(llama, samples):
    def texts(chosen, budget):
        model = causal(llama, temperature=1.0, top_p=0.9, samples=2)
        table = generate(model, samples=chosen, token_budget=budget).table
        keys = zip(table["id"].to_pylist(), table["draw"].to_pylist(), strict=True)
        return dict(zip(keys, table["text"].to_pylist(), strict=True))

    together = texts(samples, 4096)
    assert texts(samples[::-1], 100) == together
    assert texts(samples[3:4], 4096).items() <= together.items()


def test_a_tiny_nucleus_is_greedy(llama, samples):
    greedy = generate(causal(llama), samples=samples, token_budget=512).table
    nucleus = generate(causal(llama, temperature=1.0, top_p=1e-6), samples=samples, token_budget=512).table
    assert nucleus["text"].equals(greedy["text"])


@pytest.mark.parametrize("budget", [1, 4096])
def test_stop_strings_cut_the_text_before_them(gpt2, samples, budget):
    free = generate(causal(gpt2), samples=samples, token_budget=budget).table["text"].to_pylist()
    stop = free[0][3:5]
    table = generate(causal(gpt2, stop=[stop, "never there"]), samples=samples, token_budget=budget).table
    for unstopped, text, finish in zip(free, table["text"].to_pylist(), table["finish"].to_pylist(), strict=True):
        assert text == unstopped.split(stop)[0]
        assert (finish == "stop") == (stop in unstopped)


def test_long_prompts_keep_bos_and_their_end(llama):
    model = causal(llama, max_input_tokens=10)
    row = model.encode([Sample(0, "x", {"prompt": TEXTS[3]})])[0]
    ids = AutoTokenizer.from_pretrained(llama)(TEXTS[3])["input_ids"]
    assert row.truncated
    assert list(row.tokens) == [ids[0], *ids[-9:]]


def test_prompt_and_answer_fit_the_positions(gpt2):
    sample = Sample(0, "x", {"prompt": "very long words " * 200})
    unit = generate(causal(gpt2), samples=[sample], token_budget=4096).table.to_pylist()[0]
    assert (unit["failure"], unit["truncated"], unit["num_prompt_tokens"]) == (None, True, 160 - 12)
    with pytest.raises(
        SpecError, match=r"max_new_tokens: 159 leaves no room for a prompt in the model's 160 positions"
    ):
        causal(gpt2, max_new_tokens=159)


def test_chat_turns_are_those_of_the_tokenizer(llama, gpt2):
    model = causal(llama, chat=True, system_prompt="Be brief.", template="Q: {prompt}")
    row = model.encode([Sample(0, "x", {"prompt": "why?"})])[0]
    text = AutoTokenizer.from_pretrained(llama).decode(row.tokens)
    assert text == "<|system|>Be brief.<|end|><|user|>Q: why?<|end|><|assistant|>"
    with pytest.raises(SpecError, match=r"systems\[m\]\.chat: true.*set chat: false"):
        causal(gpt2, chat=True)


def test_an_empty_prompt_fails_its_row_alone(gpt2):
    rows = [Sample(0, "a", {"prompt": ""}), Sample(1, "b", {}), Sample(2, "c", {"prompt": "A"})]
    table = generate(causal(gpt2), samples=rows, token_budget=64).table
    assert table["failure"].to_pylist() == ["empty_prompt", "null_prompt", None]

"""Options under a causal network: closed forms, a plain loop, borders, permutations, limits."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from halluc_ray.config import ChoicesSystem
from halluc_ray.engine.rows import ShardRows
from halluc_ray.engine.samples import samples_of
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.networks import LocalAdapter
from halluc_ray.records import Sample
from tests.unigram import save_unigram
from tests.unit.models import families
from tests.unit.models.conftest import NUMERICS, TEXTS
from tests.unit.models.lora import merge, save_adapter

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
def unigram(tmp_path_factory) -> tuple[Path, PreTrainedTokenizerFast, torch.Tensor]:
    """A network in closed form: folder, tokenizer, log-probability of each token."""
    folder = tmp_path_factory.mktemp("unigram")
    return folder, *save_unigram(folder, texts=TEXTS)


def test_known_logits_give_known_likelihoods(unigram, samples) -> None:
    folder, tokenizer, known = unigram
    for row, given in zip(rows_of(rater(folder), samples), samples, strict=True):
        assert [score["text"] for score in row["option_scores"]] == list(given.options)
        for score in row["option_scores"]:
            tokens = tokenizer(" " + score["text"])["input_ids"]
            assert score["num_tokens"] == len(tokens)
            assert score["logprob"] == pytest.approx(float(known[tokens].sum()), rel=1e-9)
        best = max(row["option_scores"], key=lambda score: score["logprob"])
        assert (row["text"], row["logprob"], row["finish"]) == (best["text"], best["logprob"], "choice")


def plainly(folder: Path, samples, dtype: str) -> list[dict[str, float]]:
    """Each option's log-likelihood: one text at a time, nothing padded, one token after another."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    found = []
    for given in samples:
        before, scores = tokenizer(given.fields["prompt"])["input_ids"], {}
        for option in given.options:
            whole = tokenizer(f"{given.fields['prompt']} {option}")["input_ids"]
            assert whole[: len(before)] == before
            with torch.inference_mode():
                logits = network(torch.tensor([whole])).logits[0].double().log_softmax(-1)
            scores[option] = sum(float(logits[at - 1, whole[at]]) for at in range(len(before), len(whole)))
        found.append(scores)
    return found


@pytest.mark.parametrize("family", sorted(families.CAUSAL))
def test_every_family_agrees_with_a_plain_loop(family: str, tmp_path: Path) -> None:
    """Rows of odd lengths, options of odd lengths, one sequence a pass, some, all."""
    families.save_causal(tmp_path, family)
    options = ("a", "b c d", "q r s t u v w x y z", "e e")
    samples = [sample(k, text, options[: 2 + k % 3]) for k, text in enumerate(families.TEXTS)]
    for dtype, close in (("float64", 1e-9), ("float32", 1e-4)):
        expected = plainly(tmp_path, samples, dtype)
        for budget in (1, 100, 5_000):
            found = rows_of(rater(tmp_path, dtype=dtype, token_budget=budget), samples, token_budget=budget)
            for row, scores in zip(found, expected, strict=True):
                assert {s["text"]: s["logprob"] for s in row["option_scores"]} == pytest.approx(scores, abs=close)


def test_subwords_agree_with_a_plain_loop(llama: Path, samples) -> None:
    found = rows_of(rater(llama), samples)
    for row, scores in zip(found, plainly(llama, samples, "float64"), strict=True):
        assert {s["text"]: s["logprob"] for s in row["option_scores"]} == pytest.approx(scores, abs=1e-9)


def test_an_adapter_rates_as_its_merged_checkpoint_does(llama: Path, samples, tmp_path: Path) -> None:
    adapter = save_adapter(llama, tmp_path / "lora", kind="causal-lm", targets=["q_proj", "down_proj"], seed=1)
    merged = merge(llama, adapter, tmp_path / "merged", kind="causal-lm")
    system = ChoicesSystem(kind="choices", name="m", checkpoint=str(llama), adapter=str(adapter))
    numerics = NUMERICS | {"dtype": "float64"}
    worn = LocalAdapter(adapter, "a" * 64)
    tuned = load_model(system, folder=llama, numerics=numerics, labels={}, threads=1, adapter=worn)
    found, expected, base = (rows_of(model, samples) for model in (tuned, rater(merged), rater(llama)))
    for row, wanted, before in zip(found, expected, base, strict=True):
        assert row["text"] == wanted["text"]
        assert [s["logprob"] for s in row["option_scores"]] == pytest.approx(
            [s["logprob"] for s in wanted["option_scores"]], abs=1e-9
        )
        assert row["logprob"] != pytest.approx(before["logprob"], abs=1e-3)


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
    """Three options, two true answers, one of them in both columns, in every order, among other rows."""
    model = rater(gpt2, dtype="float32")
    found = set()
    for options, true in itertools.product(itertools.permutations(OPTIONS[:3]), itertools.permutations(OPTIONS[2:4])):
        corpus = pa.table({"q": TEXTS[:3], "o": [options] * 3, "t": [true] * 3})
        samples, failures = samples_of(rows_of_corpus(corpus), [None] * 3)
        assert not failures
        found.add(json.dumps(rows_of(model, samples)))
    assert len(found) == 1


def rows_of_corpus(table: pa.Table) -> ShardRows:
    roles = {"prompt": table["q"], "options": table["o"], "reference": table["t"]}
    return ShardRows(
        shard=None,
        place="here",
        rows=np.arange(len(table), dtype=np.uint32),
        ids=pa.array([f"id{k}" for k in range(len(table))]),
        roles={role: column.combine_chunks() for role, column in roles.items()},
        undecodable={},
        table=table,
        counts={},
    )


def test_a_tokenizer_that_merges_across_the_border(gpt2: Path) -> None:
    """Every option is rated from the first token where any of them departs from the prompt alone."""
    tokenizer = AutoTokenizer.from_pretrained(gpt2)
    prompt, options = "The cap", ("ital of France", "Xyz", "acity")
    alone = tokenizer(prompt)["input_ids"]
    wholes = [tokenizer(prompt + option)["input_ids"] for option in options]
    assert [whole[: len(alone)] == alone for whole in wholes] == [False, True, True]
    shared = next(at for at, (one, other) in enumerate(zip(alone, wholes[0], strict=False)) if one != other)
    assert 0 < shared < len(alone)
    network = AutoModelForCausalLM.from_pretrained(gpt2, dtype=torch.float64).eval()
    [row] = rows_of(rater(gpt2, option_template="{option}"), [sample(0, prompt, options)])
    scores = {score["text"]: score for score in row["option_scores"]}
    assert row["num_prompt_tokens"] == shared
    for option, whole in zip(options, wholes, strict=True):
        with torch.inference_mode():
            logits = network(torch.tensor([whole])).logits[0].log_softmax(-1)
        expected = sum(float(logits[at - 1, whole[at]]) for at in range(shared, len(whole)))
        assert scores[option]["logprob"] == pytest.approx(expected, abs=1e-9)
        assert scores[option]["num_tokens"] == len(whole) - shared


@pytest.mark.parametrize("end", ["", " "])
def test_a_space_at_the_end_of_a_prompt_belongs_to_the_option(gpt2: Path, end: str) -> None:
    """`Answer: ` before `Paris` is what `Answer:` before ` Paris` is."""
    system = {"template": "Answer:" + end, "option_template": "{option}" if end else " {option}"}
    [row] = rows_of(rater(gpt2, **system), [sample(0, "", ("Paris", "Gold"))])
    [usual] = rows_of(rater(gpt2, template="Answer:"), [sample(0, "", ("Paris", "Gold"))])
    assert row["option_scores"] == usual["option_scores"]


@pytest.mark.parametrize("by", ["sum", "per_token", "per_byte"])
def test_what_is_chosen_by(unigram, by: str) -> None:
    folder, _, _ = unigram
    options = ("a", "of the river, and the hills", "é" * 9)
    [row] = rows_of(rater(folder, choose_by=by), [sample(0, "Who", options)])
    lengths = {
        "sum": dict.fromkeys(options, 1),
        "per_token": {score["text"]: score["num_tokens"] for score in row["option_scores"]},
        "per_byte": {option: len(option.encode()) for option in options},
    }
    values = {score["text"]: score["logprob"] / lengths[by][score["text"]] for score in row["option_scores"]}
    assert row["text"] == max(values, key=values.get)
    assert row["logprob"] == next(s["logprob"] for s in row["option_scores"] if s["text"] == row["text"])


def test_equal_likelihoods_are_a_tie(tmp_path: Path) -> None:
    save_unigram(tmp_path, texts=TEXTS, logits=[0.0] * 400)
    rows = rows_of(rater(tmp_path), [sample(0, "Who", ("b", "a", "Ü" * 3)), sample(1, "Who", ("Ü" * 2, "x"))])
    assert [(row["text"], row["finish"]) for row in rows] == [("a", "tie"), ("x", "choice")]


def test_an_impossible_option_and_logits_that_are_none(tmp_path: Path) -> None:
    tokenizer, _ = save_unigram(tmp_path, texts=TEXTS)
    [token] = tokenizer("q")["input_ids"]
    logits = [0.0] * 400
    logits[token] = -math.inf
    save_unigram(tmp_path, texts=TEXTS, logits=logits)
    [row] = rows_of(rater(tmp_path, option_template="{option}"), [sample(0, "W ", ("q", "z"))])
    assert [score["logprob"] for score in row["option_scores"]] == [-math.inf, pytest.approx(-math.log(399))]
    for broken in (math.nan, math.inf):
        logits[token] = broken
        save_unigram(tmp_path, texts=TEXTS, logits=logits)
        rows = rows_of(rater(tmp_path), [sample(0, "W ", ("x", "z")), sample(1, "V ", ("x", "z"))])
        assert [row["failure"] for row in rows] == ["non_finite_logits"] * 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "no_options"),
        (("one",), "one_option"),
        (("", "one"), "empty_option"),
        (("one", "many " * 300), "option_too_long"),
    ],
)
def test_rows_that_can_not_be_rated_fail_alone(gpt2: Path, samples, options, reason: str) -> None:
    model = rater(gpt2)
    good = rows_of(model, samples)
    rows = rows_of(model, [*samples, sample(99, "Who?", options)])
    assert rows[-1]["failure"] == reason
    assert rows[:-1] == good


def test_no_token_to_rate_an_option_after(gpt2: Path, llama: Path) -> None:
    [row] = rows_of(rater(gpt2, option_template="{option}"), [sample(0, "", ("a", "b"))])
    assert row["failure"] == "empty_prompt"
    [row] = rows_of(rater(llama, option_template="{option}"), [sample(0, "", ("a", "b"))])
    assert (row["failure"], row["num_prompt_tokens"]) == (None, 1)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_long_prompts_lose_their_middle_and_never_an_option(family: str, request) -> None:
    folder = request.getfixturevalue(family)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    question = sample(0, " ".join(TEXTS), OPTIONS[:3])
    model = rater(folder, max_input_tokens=30)
    [encoded] = model.encode([question])
    longest = max(map(len, encoded.continuations))
    assert encoded.truncated
    assert len(encoded.tokens) + longest - 1 == 30
    whole = tokenizer(question.fields["prompt"])["input_ids"]
    kept = len(encoded.tokens) - (family == "llama")
    assert encoded.tokens[-kept:] == tuple(whole[-kept:])
    assert encoded.tokens[0] == (tokenizer.bos_token_id if family == "llama" else encoded.tokens[0])
    [row] = rows_of(model, [question])
    assert (row["truncated"], row["failure"], len(row["option_scores"])) == (True, None, 3)


def test_chat_prompts_end_in_the_assistants_turn(llama: Path) -> None:
    model = rater(llama, chat=True, option_template="{option}")
    [encoded] = model.encode([sample(0, "Who?", ("Paris", "Rome"))])
    tokenizer = AutoTokenizer.from_pretrained(llama)
    written = tokenizer("<|user|>Who?<|end|><|assistant|>", add_special_tokens=False)["input_ids"]
    assert list(encoded.tokens) == written


def test_a_row_at_fault_leaves_the_bytes_of_its_batch(gpt2: Path, samples, monkeypatch) -> None:
    model = rater(gpt2, dtype="float32")
    good = rows_of(model, samples)
    run = model._logprobs

    def raising(options):
        if any(option.context == poison.tokens for option in options):
            raise ValueError("poison")
        return run(options)

    poison = model.encode(samples)[3]
    monkeypatch.setattr(model, "_logprobs", raising)
    rows = rows_of(model, samples)
    assert rows[3]["failure"] == "model_error"
    assert rows[:3] + rows[4:] == good[:3] + good[4:]


@pytest.mark.parametrize("template", [" {prompt}", "{{option}}", "{option} {context}", "{option}{", "{option} {}"])
def test_option_templates_name_the_option_alone(template: str) -> None:
    with pytest.raises(ValidationError, match=r"must hold \{option\} and no other placeholder"):
        ChoicesSystem(kind="choices", name="m", checkpoint="c", option_template=template)
    ChoicesSystem(kind="choices", name="m", checkpoint="c", option_template="{{ {option} }}")

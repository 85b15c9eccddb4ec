"""Every family that writes text, against one row at a time on transformers' generate, without padding."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from halluc_ray.config import CausalSystem, Engine, Seq2SeqSystem
from halluc_ray.models import numerics
from halluc_ray.models.batches import plan_batches
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.token_budgets import auto_token_budget
from halluc_ray.records import Sample

from . import families
from .families import EOS, TEXTS

NEW_TOKENS = 10
SAMPLES = [Sample(row, f"id{row}", {"prompt": text}) for row, text in enumerate(TEXTS)]


@dataclass(frozen=True)
class Answer:
    """What was written for one row: ids up to the end, the end included, and the scores of each step."""

    ids: list[int]
    logits: torch.Tensor


def cut(ids: Sequence[int], logits: torch.Tensor) -> Answer:
    stop = next((at + 1 for at, token in enumerate(ids) if token == EOS), len(ids))
    return Answer(list(ids[:stop]), logits[:stop])


@cache
def plainly(folder: Path, kind: str, dtype: str) -> list[Answer]:
    """One row at a time, with nothing of ours."""
    auto = AutoModelForCausalLM if kind == "causal-lm" else AutoModelForSeq2SeqLM
    network = auto.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    network.generation_config.forced_eos_token_id = None
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        with torch.inference_mode():
            result = network.generate(
                **inputs, max_new_tokens=NEW_TOKENS, do_sample=False, num_beams=1, return_dict_in_generate=True,
                output_logits=True,
            )  # fmt: skip
        start = inputs["input_ids"].shape[1] if kind == "causal-lm" else 1
        found.append(cut(result.sequences[0, start:].tolist(), torch.cat(result.logits)))
    return found


def load(folder: Path, kind: str, dtype: str) -> Any:
    section = CausalSystem if kind == "causal-lm" else Seq2SeqSystem
    decoding = {"max_new_tokens": NEW_TOKENS}
    system = section(kind=kind, name="m", checkpoint=str(folder), dtype=dtype, template="{prompt}", decoding=decoding)
    config = json.loads((folder / "config.json").read_text())
    planned = numerics.resolve(system, engine=Engine(), device="cpu", config=config, num_parameters=10_000)
    return load_model(system, folder=folder, numerics=planned, labels={}, threads=1)


def recorded(model: Any, kind: str) -> list[list[Answer]]:
    """From here on, what each batch's call of the network's generate gave, by row."""
    calls: list[list[Answer]] = []
    own: Callable[..., Any] = model._network.generate

    def call(**inputs: Any) -> torch.Tensor:
        result = own(**inputs, return_dict_in_generate=True, output_logits=True)
        start = inputs["input_ids"].shape[1] if kind == "causal-lm" else 1
        by_row = torch.stack(result.logits, dim=1)
        calls.append([cut(ids[start:], scores) for ids, scores in zip(result.sequences.tolist(), by_row, strict=True)])
        return result.sequences

    model._network.generate = call
    return calls


def batched(model: Any, kind: str, rows_per_batch: int | str) -> list[Answer]:
    """Every row, in batches of so many in the given order, or as the planner cuts them."""
    encoded = model.encode(SAMPLES)
    if rows_per_batch == "auto":
        budget = auto_token_budget(kind, device_kind="cpu", num_parameters=10_000)
        plan = plan_batches([model.cost(row) for row in encoded], token_budget=budget)
    else:
        plan = [list(range(len(encoded)))[at : at + rows_per_batch] for at in range(0, len(encoded), rows_per_batch)]
    calls = recorded(model, kind)
    for batch in plan:
        model.run([encoded[row] for row in batch])
    answers = {
        row: answer for batch, call in zip(plan, calls, strict=True) for row, answer in zip(batch, call, strict=True)
    }
    return [answers[row] for row in range(len(encoded))]


FAMILIES = [("causal-lm", name) for name in families.CAUSAL] + [("seq2seq-lm", name) for name in families.SEQ2SEQ]


@pytest.fixture(scope="module", params=FAMILIES, ids=[name for _, name in FAMILIES])
def checkpoint(request, tmp_path_factory) -> tuple[str, Path]:
    kind, family = request.param
    save = families.save_causal if kind == "causal-lm" else families.save_seq2seq
    return kind, save(tmp_path_factory.mktemp("family"), family)


def test_greedy_ids_equal_a_plain_loop_in_float64(checkpoint):
    kind, folder = checkpoint
    expected = plainly(folder, kind, "float64")
    ids = [answer.ids for answer in expected]
    assert len({tuple(row) for row in ids}) >= 4
    assert len({len(row) for row in ids}) >= 2
    for rows_per_batch in (1, 3, "auto"):
        found = batched(load(folder, kind, "float64"), kind, rows_per_batch)
        assert [answer.ids for answer in found] == ids, rows_per_batch


def test_logits_equal_a_plain_loop_in_float32(checkpoint):
    kind, folder = checkpoint
    expected = plainly(folder, kind, "float32")
    for rows_per_batch in (1, 3, "auto"):
        found = batched(load(folder, kind, "float32"), kind, rows_per_batch)
        for row, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
            assert ours.ids == theirs.ids, (rows_per_batch, row)
            assert ours.logits.dtype == torch.float32
            worst = float((ours.logits - theirs.logits).abs().max())
            assert worst < 1e-4, (rows_per_batch, row)


def test_units_say_what_was_written(checkpoint):
    kind, folder = checkpoint
    tokenizer = AutoTokenizer.from_pretrained(folder)
    table = generate(load(folder, kind, "float64"), samples=SAMPLES, token_budget=150).table
    for unit, answer in zip(table.to_pylist(), plainly(folder, kind, "float64"), strict=True):
        ended = answer.ids[-1] == EOS
        assert unit["text"] == tokenizer.decode(answer.ids, skip_special_tokens=True)
        assert unit["finish"] == ("stop" if ended else "length")
        assert unit["num_output_tokens"] == len(answer.ids) - ended
        assert unit["num_prompt_tokens"] == len(tokenizer(SAMPLES[unit["row"]].fields["prompt"])["input_ids"])


def test_a_row_that_breaks_its_batch_fails_alone(checkpoint):
    kind, folder = checkpoint
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = load(folder, kind, "float64")
    broken = list(model.encode(SAMPLES)[2].tokens)
    own: Callable[..., Any] = model._network.generate

    def refuse(**inputs: Any) -> torch.Tensor:
        rows = zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)
        if any(ids[mask].tolist() == broken for ids, mask in rows):
            raise ValueError("this row")
        return own(**inputs)

    model._network.generate = refuse
    table = generate(model, samples=SAMPLES, token_budget=10_000).table
    expected = [tokenizer.decode(answer.ids, skip_special_tokens=True) for answer in plainly(folder, kind, "float64")]
    assert table["failure"].to_pylist() == ["model_error" if row == 2 else None for row in range(len(TEXTS))]
    assert table["text"].to_pylist() == [None if row == 2 else text for row, text in enumerate(expected)]

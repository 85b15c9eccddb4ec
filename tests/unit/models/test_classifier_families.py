"""Every family of classifiers, single texts and pairs, against one row at a time, without padding."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from halluc_ray.config import ClassifierSystem, Engine
from halluc_ray.models import numerics
from halluc_ray.models.batches import plan_batches
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.token_budgets import auto_token_budget
from halluc_ray.records import Sample

from . import families
from .families import TEXTS

LABELS = {"0": "no", "1": "maybe", "2": "yes"}
SAMPLES = [Sample(row, f"id{row}", {"prompt": text, "context": TEXTS[-1 - row]}) for row, text in enumerate(TEXTS)]


@pytest.fixture(scope="module", params=list(families.CLASSIFIERS))
def checkpoint(request, tmp_path_factory) -> Path:
    return families.save_classifier(tmp_path_factory.mktemp("classifier"), request.param)


def plainly(folder: Path, dtype: str, *, pairs: bool) -> torch.Tensor:
    """Logits of each row, with nothing of ours."""
    network = AutoModelForSequenceClassification.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for sample in SAMPLES:
        texts = [sample.fields["prompt"], *([sample.fields["context"]] if pairs else [])]
        with torch.inference_mode():
            found.append(network(**tokenizer(*texts, return_tensors="pt")).logits)
    return torch.cat(found)


def only_in_float32(folder: Path) -> None:
    if json.loads((folder / "config.json").read_text())["model_type"] == "xlnet":
        pytest.skip("transformers computes XLNet's positions in float32, whatever the network's dtype")


def load(folder: Path, dtype: str, *, pairs: bool):
    system = ClassifierSystem(
        kind="sequence-classification",
        name="c",
        checkpoint=str(folder),
        dtype=dtype,
        pair_template="{context}" if pairs else None,
    )
    config = json.loads((folder / "config.json").read_text())
    planned = numerics.resolve(system, engine=Engine(), device="cpu", config=config, num_parameters=10_000)
    return load_model(system, folder=folder, numerics=planned, labels=LABELS, threads=1)


def batched(folder: Path, dtype: str, rows_per_batch: int | str, *, pairs: bool) -> tuple[list[str], torch.Tensor]:
    """Labels and logits of every row, in batches of so many in the given order, or as the planner cuts them."""
    model = load(folder, dtype, pairs=pairs)
    encoded = model.encode(SAMPLES)
    if rows_per_batch == "auto":
        budget = auto_token_budget("sequence-classification", device_kind="cpu", num_parameters=10_000)
        plan = plan_batches([model.cost(row) for row in encoded], token_budget=budget)
    else:
        plan = [list(range(len(encoded)))[at : at + rows_per_batch] for at in range(0, len(encoded), rows_per_batch)]
    labels, logits = [""] * len(encoded), torch.empty(len(encoded), 3, dtype=getattr(torch, dtype))
    model._network.register_forward_hook(lambda _module, _inputs, result: seen.append(result.logits))
    for batch in plan:
        seen: list[torch.Tensor] = []
        outputs = model.run([encoded[row] for row in batch])
        logits[batch] = seen[0]
        for row, output in zip(batch, outputs, strict=True):
            labels[row] = output.text
            assert output.probability == pytest.approx(float(logits[row].double().softmax(-1).max()), abs=1e-12)
    return labels, logits


@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
def test_labels_equal_a_plain_loop_in_float64(checkpoint, pairs):
    only_in_float32(checkpoint)
    expected = plainly(checkpoint, "float64", pairs=pairs)
    labels = [LABELS[str(index)] for index in expected.argmax(-1).tolist()]
    assert len(set(labels)) > 1
    for rows_per_batch in (1, 3, "auto"):
        found, logits = batched(checkpoint, "float64", rows_per_batch, pairs=pairs)
        assert found == labels, rows_per_batch
        torch.testing.assert_close(logits, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
def test_logits_equal_a_plain_loop_in_float32(checkpoint, pairs):
    expected = plainly(checkpoint, "float32", pairs=pairs)
    for rows_per_batch in (1, 3, "auto"):
        torch.testing.assert_close(
            batched(checkpoint, "float32", rows_per_batch, pairs=pairs)[1], expected, atol=1e-4, rtol=0
        )


def test_a_row_that_breaks_its_batch_fails_alone(checkpoint):
    """Blanks keep the shape, and the special tokens that some heads look for."""
    only_in_float32(checkpoint)
    model = load(checkpoint, "float64", pairs=False)
    expected = plainly(checkpoint, "float64", pairs=False).argmax(-1).tolist()
    broken = model.encode(SAMPLES)[2].tokens

    def refuse(_module, _arguments, inputs):
        if any(list(broken) == ids[mask.bool()].tolist() for ids, mask in zip(*list(inputs.values())[:2], strict=True)):
            raise ValueError("this row")

    model._network.register_forward_pre_hook(refuse, with_kwargs=True)
    table = generate(model, samples=SAMPLES, token_budget=10_000).table
    assert table["failure"].to_pylist() == [None, None, "model_error", *[None] * (len(TEXTS) - 3)]
    assert table["text"].to_pylist() == [None if row == 2 else LABELS[str(k)] for row, k in enumerate(expected)]

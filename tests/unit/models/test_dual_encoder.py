"""Image-text matchers of four families against transformers' own forward pass, one row at a time."""

import io
import json
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image

from halluc_ray.config import DualEncoderSystem, Engine
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.numerics import resolve
from halluc_ray.records import Sample
from tests.unit.models.pictured import MATCHERS, SIZES, TEXTS, picture


@pytest.fixture(scope="session")
def matchers(tmp_path_factory) -> dict[str, Path]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in MATCHERS.items()}


def loaded(folder: Path, *, dtype: str = "float64", **options):
    system = DualEncoderSystem(kind="dual-encoder", name="d", checkpoint=str(folder), **options)
    config = json.loads((folder / "config.json").read_text())
    numerics = resolve(system, engine=Engine(), device="cpu", config=config, num_parameters=1) | {"dtype": dtype}
    return load_model(system, folder=folder, numerics=numerics, labels={}, threads=1)


def samples() -> list[Sample]:
    """Texts of odd lengths, one of them above the limit; one to three images of odd sizes."""
    texts = [*TEXTS, " ".join(TEXTS) * 2]
    return [
        Sample(
            row, f"id{row}", {"response": text},
            images=tuple(picture(10 * row + k, SIZES[(row + k) % len(SIZES)]) for k in range(1 + row % 3)),
        )
        for row, text in enumerate(texts)
    ]  # fmt: skip


def plain(folder: Path, rows: list[Sample]) -> list[float]:
    """The mean of the cosines that the network's own forward pass gives for a text and each image."""
    processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    network = transformers.AutoModel.from_pretrained(folder, dtype=torch.float64).eval()
    padding = "max_length" if network.config.model_type == "siglip" else False
    found = []
    for row in rows:
        inputs = processor(
            text=[row.fields["response"]], images=[Image.open(io.BytesIO(i)) for i in row.images],
            padding=padding, truncation=True, return_tensors="pt",
        )  # fmt: skip
        if padding:
            inputs.pop("attention_mask", None)
        inputs["pixel_values"] = inputs["pixel_values"].double()
        with torch.inference_mode():
            out = network(**inputs)
        text = out.text_embeds[0] / out.text_embeds[0].norm()
        found.append(sum(float(text @ (image / image.norm())) for image in out.image_embeds) / len(row.images))
    return found


def similarities(model, rows: list[Sample], *, token_budget: int) -> list[float]:
    table = generate(model, samples=rows, token_budget=token_budget).table
    assert table["failure"].null_count == len(table), table["failure"].to_pylist()
    return table["similarity"].to_pylist()


@pytest.mark.parametrize("family", MATCHERS)
def test_similarities_are_those_of_the_forward_pass(matchers, family):
    rows = samples()
    wanted = plain(matchers[family], rows)
    assert len({round(value, 6) for value in wanted}) == len(rows)
    assert max(wanted) - min(wanted) > 0.02
    exact = 1e-6 if family == "align" else 1e-9  # ALIGN's attention takes its softmax in float32, whatever the weights
    for dtype, error in (("float64", exact), ("float32", 1e-4)):
        model = loaded(matchers[family], dtype=dtype)
        longest = max(map(model.cost, model.encode(rows)))
        for budget in (1, 3 * longest, 4096):
            found = similarities(model, rows, token_budget=budget)
            assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) < error, (dtype, budget)

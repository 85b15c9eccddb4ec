"""Image-text matchers of four families against transformers' own forward pass, one row at a time."""

import io
import json
import shutil
from pathlib import Path

import PIL
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from halluc_ray.config import DualEncoderSystem, Engine
from halluc_ray.errors import ModelError, NumericsMismatch
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.numerics import check, resolve
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


def test_several_images_count_by_the_mean_of_their_cosines(matchers):
    pictures = [picture(k, (30, 30)) for k in range(3)]
    text = {"response": TEXTS[0]}
    rows = [Sample(k, str(k), text, images=(image,)) for k, image in enumerate(pictures)]
    rows.append(Sample(3, "3", text, images=tuple(pictures)))
    *single, together = similarities(loaded(matchers["clip"]), rows, token_budget=4096)
    assert together == pytest.approx(sum(single) / 3, abs=1e-12)
    assert len(set(single)) == 3


@pytest.mark.parametrize("family", MATCHERS)
def test_a_blank_keeps_the_shape_and_the_bytes_of_the_others(matchers, family):
    model = loaded(matchers[family], dtype="float32")
    encoded = model.encode(samples())
    together = model.run(encoded)
    for position in (0, len(encoded) - 1):
        rows = [row if at == position else model.blank(row) for at, row in enumerate(encoded)]
        assert [len(row.tokens) for row in rows] == [len(row.tokens) for row in encoded]
        assert model.run(rows)[position] == together[position]


def test_texts_above_the_limit_are_cut_and_counted(matchers):
    model = loaded(matchers["clip"], max_input_tokens=9)
    table = generate(model, samples=samples(), token_budget=4096).table
    assert max(table["num_prompt_tokens"].to_pylist()) == 9
    assert table["truncated"].to_pylist() == [True, False, True, True, True, True]
    assert {table["finish"].null_count, table["text"].null_count} == {len(table)}
    wide = loaded(matchers["align"])
    [row] = wide.encode([Sample(0, "a", {"response": "a " * 200}, images=(picture(0, (8, 8)),))])
    assert (len(row.tokens), row.truncated) == (64, True), "as long as ALIGN's processor lets a text be"


def test_rows_that_cannot_be_matched(matchers):
    good = picture(1, (30, 20))
    rows = {
        "fine": ({"response": "A"}, (good,)), "cut": ({"response": "A"}, (good, good[:50])),
        "null": ({}, (good,)), "empty": ({"response": ""}, (good,)),
    }  # fmt: skip
    given = [Sample(k, name, fields, images=images) for k, (name, (fields, images)) in enumerate(rows.items())]
    table = generate(loaded(matchers["clip"]), samples=given, token_budget=4096).table
    assert table["failure"].to_pylist() == [None, "undecodable_image", "null_response", None]


def test_a_network_that_is_no_matcher_is_refused(bert):
    with pytest.raises(ModelError, match="BertModel does not embed texts and images side by side"):
        loaded(bert)


def test_weights_of_one_side_alone_are_refused(matchers, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(matchers["clip"], broken)
    tensors = {k: v for k, v in load_file(broken / "model.safetensors").items() if not k.startswith("text_projection")}
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"no weights for text_projection\.weight, which dual-encoder needs"):
        loaded(broken)


def test_pillow_is_part_of_what_is_planned(matchers):
    system = DualEncoderSystem(kind="dual-encoder", name="d", checkpoint="x")
    config = json.loads((matchers["align"] / "config.json").read_text())
    planned = resolve(system, engine=Engine(), device="cpu", config=config, num_parameters=1)
    assert (planned["attention"], planned["pillow"]) == ("eager", PIL.__version__)
    check(planned)
    with pytest.raises(NumericsMismatch, match=r"pillow: planned 1\.0"):
        check(planned | {"pillow": "1.0"})

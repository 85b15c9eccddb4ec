"""Vision-language models of five families against a plain loop over transformers: one row at a time, float64."""

import io
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image

from halluc_ray.config import ImageTextSystem
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.records import Sample
from tests.unit.models.conftest import NUMERICS
from tests.unit.models.pictured import SIZES, TEXTS, WRITERS, picture, without_videos

NEW = 6
FLOAT64 = NUMERICS | {"dtype": "float64"}


@pytest.fixture(scope="session")
def writers(tmp_path_factory) -> dict[str, Path]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in WRITERS.items()}


def system_of(folder: Path, *, chat: bool = False, template: str = "{prompt}", **options) -> ImageTextSystem:
    decoding = {"max_new_tokens": NEW, **options.pop("decoding", {})}
    return ImageTextSystem(
        kind="image-text-to-text", name="v", checkpoint=str(folder), chat=chat, template=template, decoding=decoding,
        **options,
    )  # fmt: skip


def loaded(folder: Path, **options):
    return load_model(system_of(folder, **options), folder=folder, numerics=FLOAT64, labels={}, threads=1)


def samples(*, several: bool = False) -> list[Sample]:
    """Odd lengths and odd sizes; with `several`, up to three images a row."""
    rows = []
    for row, text in enumerate(TEXTS):
        number = 1 + row % 3 if several else 1
        images = tuple(picture(10 * row + k, SIZES[(row + k) % len(SIZES)]) for k in range(number))
        rows.append(Sample(row, f"id{row}", {"prompt": text}, images=images))
    return rows


def processor_of(folder: Path):
    name = transformers.AutoConfig.from_pretrained(folder).model_type
    if name == "qwen2_vl":
        return without_videos(transformers.Qwen2VLProcessor).from_pretrained(folder, backend="pil")
    return transformers.AutoProcessor.from_pretrained(folder, backend="pil")


def plain_loop(folder: Path, rows: list[Sample], *, chat: bool) -> list[str]:
    """What transformers' own documentation does, one row at a time."""
    processor = processor_of(folder)
    network = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float64).eval()
    answers = []
    for row in rows:
        images = [Image.open(io.BytesIO(image)) for image in row.images]
        if chat:
            content = [*({"type": "image"} for _ in images), {"type": "text", "text": row.fields["prompt"]}]
            said = [{"role": "user", "content": content}]
            text = processor.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        else:
            image = "<|vision_start|><|image_pad|><|vision_end|>" if "qwen2_vl" in str(folder) else "<image>"
            text = image * len(images) + row.fields["prompt"]
        inputs = processor(text=[text], images=[images], return_tensors="pt")
        inputs = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items() if k != "labels"}
        made = network.generate(**inputs, max_new_tokens=NEW, do_sample=False)
        new = made[0, inputs["input_ids"].shape[1] :].tolist()
        answers.append(" ".join(map(str, new[: new.index(1)] if 1 in new else new)))
    return answers


def texts_of(model, rows: list[Sample], *, token_budget: int) -> list[str]:
    table = generate(model, samples=rows, token_budget=token_budget).table
    assert table["failure"].null_count == len(table), table["failure"].to_pylist()
    return table["text"].to_pylist()


@pytest.mark.parametrize("chat", [False, True], ids=["text", "chat"])
@pytest.mark.parametrize("family", WRITERS)
def test_answers_are_those_of_a_plain_loop(writers, family, chat):
    if chat and family == "paligemma":
        pytest.skip("PaliGemma has no chat template")
    rows = samples(several=family != "paligemma")
    wanted = plain_loop(writers[family], rows, chat=chat)
    assert len(set(wanted)) == len(rows), "the rows can be told apart"
    model = loaded(writers[family], chat=chat)
    as_ids = {"decode": lambda ids, **options: " ".join(map(str, ids))}  # random bytes make no text, and look alike
    vars(model._tokenizer).update(as_ids)
    longest = max(map(model.cost, model.encode(rows)))
    for budget in (1, 3 * longest, 4096):  # one row, three rows, all
        assert texts_of(model, rows, token_budget=budget) == wanted, budget

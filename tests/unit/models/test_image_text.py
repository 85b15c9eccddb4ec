"""Vision-language models of ten families against a plain loop over transformers: one row at a time, float64."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from halluc_ray.config import ImageTextSystem
from halluc_ray.errors import ModelError, SpecError
from halluc_ray.models.execution import generate
from halluc_ray.models.image_prompts import ImagePrompter
from halluc_ray.models.loading import load_model
from halluc_ray.models.pictures import decode
from halluc_ray.models.processors import load_processor
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.records import Sample, Turn
from tests.unit.models.conftest import NUMERICS
from tests.unit.models.pictured import CHAT, SIZES, TEXTS, WRITERS, picture

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
    """transformers' own, but for those with a part for videos: that can't be loaded without torchvision."""
    model_type = transformers.AutoConfig.from_pretrained(folder).model_type
    if model_type.startswith(("qwen", "smolvlm", "internvl")):
        return load_processor(folder)
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
            text = processor.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        else:
            frame = "<|vision_start|><|image_pad|><|vision_end|>"
            text = (frame if "qwen" in str(folder) else processor.image_token) * len(images) + row.fields["prompt"]
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
    assert len(set(wanted)) > (1 if family == "gemma3" else 3), "the rows can be told apart"
    model = loaded(writers[family], chat=chat)
    as_ids = {"decode": lambda ids, **options: " ".join(map(str, ids))}  # random bytes make no text, and look alike
    vars(model._tokenizer).update(as_ids)
    longest = max(map(model.cost, model.encode(rows)))
    for budget in (1, 3 * longest, 4096):  # one row, three rows, all
        assert texts_of(model, rows, token_budget=budget) == wanted, budget


def test_images_matter(writers):
    """The same words under two pictures get two answers."""
    one, other = (Sample(0, "a", {"prompt": "A"}, images=(picture(k, (64, 64)),)) for k in (1, 2))
    for family in WRITERS:
        model = loaded(writers[family])
        assert texts_of(model, [one], token_budget=1) != texts_of(model, [other], token_budget=1), family


@pytest.mark.parametrize("family", WRITERS)
def test_a_blank_keeps_the_shape_and_the_bytes_of_the_others(writers, family):
    rows = samples(several=family != "paligemma")
    model = loaded(writers[family])
    encoded = model.encode(rows)
    together = model.run(encoded)
    blanked = [row if k == 2 else model.blank(row) for k, row in enumerate(encoded)]
    assert [len(row.tokens) for row in blanked] == [len(row.tokens) for row in encoded]
    assert all(row.images != old.images for k, (row, old) in enumerate(zip(blanked, encoded, strict=True)) if k != 2)
    alone = model.run(blanked)
    assert alone[2] == together[2]
    assert model.run(blanked) == alone


def test_a_chat_writes_the_same_day_on_every_day(writers):
    processor = processor_of(writers["llava"])
    processor.chat_template = "{{ strftime_now('%d %b %Y') }} " + processor.chat_template
    sample = Sample(0, "a", {"prompt": "hi"}, images=(picture(0, (8, 8)),))
    assert ImagePrompter(system_of(writers["llava"], chat=True), processor).text(sample).startswith("26 Jul 2024 <|")


def test_where_an_image_stands(writers):
    processor = processor_of(writers["llava"])

    def prompt_of(text: str, *, number: int = 1, turns: tuple[Turn, ...] = (), **options) -> str:
        images = tuple(picture(k, (8, 8)) for k in range(number))
        made = ImagePrompter(system_of(writers["llava"], **options), processor)
        return made.text(Sample(0, "a", {"prompt": text}, turns=turns, images=images))

    assert prompt_of("hi", number=2) == "<image><image>hi"
    assert prompt_of("hi", template="See {image}: {prompt}") == "See <image>: hi"
    assert prompt_of("hi <image> there") == "hi <image> there"
    assert prompt_of("hi", template="USER: <image>\n{prompt}") == "USER: <image>\nhi"
    shots = ({"fields": {"prompt": "1+1?"}, "answer": "2"},)
    assert prompt_of("hi", shots=shots) == "<image>1+1? 2\n\nhi"
    without = ({"fields": {"prompt": "1+1?", "image": ""}, "answer": "2"},)
    assert prompt_of("hi", shots=without, template="{image}{prompt}") == "1+1? 2\n\n<image>hi"
    chat = {"chat": True, "system": "Be brief."}
    assert prompt_of("hi", number=2, **chat) == ("<|system|>Be brief.</s><|user|><image>\n<image>\nhi</s><|assistant|>")
    assert prompt_of("hi", chat=True, shots=shots) == (
        "<|user|>1+1?</s><|assistant|>2</s><|user|><image>\nhi</s><|assistant|>"
    )
    assert prompt_of("a<image>b", chat=True) == "<|user|>a<image>\nb</s><|assistant|>"
    assert prompt_of("x", chat=True, template="{prompt}{image}y") == "<|user|>x<image>\ny</s><|assistant|>"
    talk = (Turn("system", "S"), Turn("user", "one"), Turn("assistant", "two"), Turn("user", "three"))
    assert prompt_of("", chat=True, template="{messages}", turns=talk, shots=shots) == (
        "<|system|>S</s><|user|>1+1?</s><|assistant|>2</s>"
        "<|user|><image>\none</s><|assistant|>two</s><|user|>three</s><|assistant|>"
    )
    for text, number in (("<image><image>", 1), ("<image>", 2), ("\0image\0", 2)):
        for options in ({}, {"chat": True}):
            with pytest.raises(UnusableRow, match="image_token_mismatch"):
                prompt_of(text, number=number, **options)


def test_neighbours_are_told_apart_where_their_family_frames_them(writers):
    made = ImagePrompter(system_of(writers["qwen2_vl"]), processor_of(writers["qwen2_vl"]))
    images = (picture(1, (8, 8)), picture(2, (8, 8)))
    frame = "<|vision_start|><|image_pad|><|vision_end|>"
    assert made.text(Sample(0, "a", {"prompt": "hi"}, images=images)) == f"{frame}{frame}hi"


def test_bad_rows_fail_alone_with_their_reason(writers):
    good = picture(1, (30, 20))
    huge = Image.new("1", (20_000, 10_000))
    out = io.BytesIO()
    huge.save(out, "PNG")
    numbers = io.BytesIO()
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(numbers, "TIFF")
    rows = {
        "fine": ({"prompt": "A"}, (good,)),
        "cut": ({"prompt": "A"}, (good[:-40],)),
        "text": ({"prompt": "A"}, (b"hello",)),
        "second": ({"prompt": "A"}, (good, b"")),
        "huge": ({"prompt": "A"}, (out.getvalue(),)),
        "numbers": ({"prompt": "A"}, (numbers.getvalue(),)),
        "long": ({"prompt": "word " * 600}, (good,)),
        "many": ({"prompt": "A"}, (good,) * 40),
        "token": ({"prompt": "<image>"}, (good, good)),
        "null": ({}, (good,)),
    }
    model = loaded(writers["llava"], max_input_tokens=300)
    table = generate(
        model,
        samples=[Sample(k, name, fields, images=images) for k, (name, (fields, images)) in enumerate(rows.items())],
        token_budget=4096,
    ).table
    assert dict(zip(table["id"].to_pylist(), table["failure"].to_pylist(), strict=True)) == {
        "fine": None, "cut": "undecodable_image", "text": "undecodable_image", "second": "undecodable_image",
        "huge": "too_many_pixels", "numbers": "undecodable_image", "long": "prompt_too_long",
        "many": "prompt_too_long", "token": "image_token_mismatch", "null": "null_prompt",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "mode"),
    [("PNG", "P"), ("PNG", "L"), ("PNG", "RGBA"), ("PNG", "1"), ("JPEG", "CMYK"), ("GIF", "P"), ("WEBP", "RGB"),
     ("BMP", "RGB"), ("TIFF", "RGB"), ("PPM", "RGB")],
)  # fmt: skip
def test_formats_and_modes(form, mode):
    data = picture(3, (19, 11), form=form, mode=mode)
    found = decode(data)
    assert (found.mode, found.size) == ("RGB", (19, 11))
    assert found.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


def test_turned_and_wide_pictures():
    upright = Image.fromarray(np.arange(30, dtype=np.uint8).reshape(5, 6))
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(turned, "PNG", exif=exif)
    assert decode(turned.getvalue()).size == (5, 6)
    wide = io.BytesIO()
    Image.fromarray(np.array([[0, 256, 65535]], dtype=np.uint16)).save(wide, "PNG")
    assert decode(wide.getvalue()).getpixel((1, 0)) == (1, 1, 1)
    assert decode(wide.getvalue()).getpixel((2, 0)) == (255, 255, 255)
    both = io.BytesIO()
    Image.fromarray(np.array([[0, 256, 65535]], dtype=np.uint16)).save(both, "PNG", exif=exif)
    assert decode(both.getvalue()).size == (1, 3)


def test_draws_stops_and_the_noise_of_a_unit(writers):
    rows = samples()
    sampling = {"temperature": 1.0, "samples": 3, "seed": 4}
    model = loaded(writers["llava"], decoding=sampling)
    together = generate(model, samples=rows, token_budget=4096).table
    alone = generate(model, samples=rows[2:3], token_budget=1).table
    assert together["draw"].to_pylist() == [0, 1, 2] * len(rows)
    assert together["text"].to_pylist()[6:9] == alone["text"].to_pylist()
    assert len(set(together["text"].to_pylist())) > len(rows)
    [whole, *_] = texts_of(loaded(writers["qwen2_vl"], decoding={"max_new_tokens": 12}), rows, token_budget=1)
    stop = whole[3]
    cut = generate(
        loaded(writers["qwen2_vl"], decoding={"max_new_tokens": 12, "stop": [stop]}), samples=rows[:1], token_budget=1
    ).table.to_pylist()[0]
    assert (cut["text"], cut["finish"]) == (whole[: whole.index(stop)], "stop")


def test_a_trace_is_taken_off(writers):
    """With `on_unclosed: failed` a prompt that opens a trace, and an answer that never closes it, fail the unit."""
    model = loaded(writers["llava"], template="{prompt}<think>", reasoning={"tags": ["think"]})
    table = generate(model, samples=samples()[:1], token_budget=4096).table
    assert table["failure"].to_pylist() == ["unclosed_reasoning"]
    assert table["raw_text"].null_count == 0


def test_checkpoints_and_systems_that_do_not_fit(writers, tmp_path):
    with pytest.raises(SpecError, match=r"systems\[v\]\.chat: true, and the checkpoint has no chat template"):
        loaded(writers["paligemma"], chat=True)
    with pytest.raises(SpecError, match=r"max_new_tokens: 1023 leaves no room for a prompt in the model's 1024"):
        loaded(writers["llava"], decoding={"max_new_tokens": 1023})
    with pytest.raises(SpecError, match=r"can't be run \(.* tokens, those of images included; at most 5\)"):
        loaded(writers["llava"], max_input_tokens=5)
    bare = tmp_path / "bare"
    shutil.copytree(writers["llava"], bare)
    (bare / "processor_config.json").unlink()
    with pytest.raises(ModelError, match="no usable processor"):
        loaded(bare)
    doubled = "<s>{prompt}"
    with pytest.raises(SpecError, match="begins with <s> twice"):
        loaded(writers["llava"], template=doubled + "<image>")


def test_the_processor_is_the_one_that_its_files_name(writers, tmp_path):
    """Pixtral's network is LLaVA's, its processor is not; older checkpoints keep settings in files of their own."""
    folder = tmp_path / "older"
    shutil.copytree(writers["llava"], folder)
    saved = json.loads((folder / "processor_config.json").read_text())
    images = saved.pop("image_processor") | {"image_processor_type": "CLIPImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    (folder / "processor_config.json").write_text(json.dumps(saved))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": CHAT.replace("IMAGE", "<image>\n")}))
    (folder / "chat_template.jinja").unlink()
    rows = samples(several=True)
    older, newer = (loaded(place, chat=True) for place in (folder, writers["llava"]))
    assert texts_of(older, rows, token_budget=4096) == texts_of(newer, rows, token_budget=4096)
    (folder / "processor_config.json").write_text(json.dumps(saved | {"processor_class": "LlavaNextProcessor"}))
    assert type(load_processor(folder)).__name__ == "LlavaNextProcessor"
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(ModelError, match="no usable processor"):
        load_processor(folder)

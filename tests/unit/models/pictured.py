"""Tiny networks with random weights that look at images, one function per architecture, saved as checkpoints."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as t
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE, WordLevel
from tokenizers.processors import BertProcessing, TemplateProcessing

TEXTS = [
    "What is in the picture?",
    "A",
    "Seven ships left the harbour before dawn, and only four of them came back with the evening tide.",
    "图中有几只猫？",
    "Is there a dog in the image, or a cat?",
]
SIZES = [(17, 31), (40, 23), (64, 64), (9, 50), (33, 33)]
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}IMAGE{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% endif %}</s>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
VISION = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 1024, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip


def picture(seed: int, size: tuple[int, int], *, form: str = "PNG", mode: str = "RGB") -> bytes:
    """Noise, encoded."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(out, form)
    return out.getvalue()


def byte_tokenizer(*special: str, **names: Any) -> t.PreTrainedTokenizerFast:
    """Bytes and a few merges, <s> in front; ids 0 to 3 are <s>, </s>, <pad>, <unk>."""
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    first = ["<s>", "</s>", "<pad>", "<unk>", *special]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=330, special_tokens=first, initial_alphabet=alphabet)
    )
    core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return t.PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", **names
    )


def word_tokenizer(limit: int) -> t.PreTrainedTokenizerFast:
    """Words of TEXTS between [CLS] and [SEP]."""
    words = sorted({word for text in TEXTS for word in text.lower().split()} | set("abcdefgh"))
    core = Tokenizer(WordLevel({w: k for k, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}, "[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return t.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=limit,
    )  # fmt: skip


def spread(network: torch.nn.Module) -> None:
    """Weights far enough apart that no two answers look alike."""
    for name, weight in network.named_parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.3)
        elif "bias" in name:
            torch.nn.init.normal_(weight, std=0.05)


def save(folder: Path, network: Any, processor: Any, *, chat: str | None = None) -> Path:
    torch.manual_seed(7)
    spread(network)
    if chat is not None:
        processor.chat_template = CHAT.replace("IMAGE", chat)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def without_videos(processor: type) -> Any:
    """The class without its part for videos, which can't be made where there is no torchvision."""
    names = [name for name in processor.get_attributes() if name != "video_processor"]
    return type(processor.__name__, (processor,), {"get_attributes": classmethod(lambda cls: names)})


def llava(folder: Path) -> Path:
    tokenizer = byte_tokenizer("<image>")
    config = t.LlavaConfig(
        vision_config=t.CLIPVisionConfig(**VISION, image_size=24, patch_size=8),
        text_config=t.LlamaConfig(**TEXT, vocab_size=len(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = t.CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
    processor = t.LlavaProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return save(folder, t.LlavaForConditionalGeneration(config), processor, chat="<image>\n")


def llava_next(folder: Path) -> Path:
    tokenizer = byte_tokenizer("<image>")
    grid = [[24, 48], [48, 24], [48, 48]]
    config = t.LlavaNextConfig(
        vision_config=t.CLIPVisionConfig(**VISION, image_size=24, patch_size=8),
        text_config=t.LlamaConfig(**TEXT, vocab_size=len(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
    )
    images = t.LlavaNextImageProcessorPil(
        size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}, image_grid_pinpoints=grid
    )
    processor = t.LlavaNextProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return save(folder, t.LlavaNextForConditionalGeneration(config), processor, chat="<image>\n")


def qwen(folder: Path, kind: str, vision: dict[str, Any], rope: dict[str, Any]) -> Path:
    marks = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = byte_tokenizer(*marks)
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(marks))
    config = getattr(t, f"{kind}Config")(
        vision_config={"depth": 2, "hidden_size": 32, "num_heads": 4, "patch_size": 4, **vision},
        text_config={**TEXT, "head_dim": 8, "vocab_size": len(tokenizer), **rope},
        image_token_id=image, video_token_id=video, vision_start_token_id=start, vision_end_token_id=end,
    )  # fmt: skip
    size = {"shortest_edge": 16 * 16, "longest_edge": 48 * 48}
    images = t.Qwen2VLImageProcessorPil(patch_size=4, temporal_patch_size=2, merge_size=2, size=size)
    processor = without_videos(getattr(t, f"{kind}Processor"))(images, tokenizer)
    network = getattr(t, f"{kind}ForConditionalGeneration")(config)
    return save(folder, network, processor, chat="<|vision_start|><|image_pad|><|vision_end|>")


def qwen2_vl(folder: Path) -> Path:
    rope = {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}
    return qwen(folder, "Qwen2VL", {"embed_dim": 32, "mlp_ratio": 2}, rope)


def qwen2_5_vl(folder: Path) -> Path:
    vision = {"out_hidden_size": 32, "intermediate_size": 37, "fullatt_block_indexes": [1], "window_size": 16}
    return qwen(folder, "Qwen2_5_VL", vision, {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}})


def qwen3_vl(folder: Path) -> Path:
    vision = {
        "out_hidden_size": 32, "intermediate_size": 37, "deepstack_visual_indexes": [0], "num_position_embeddings": 64
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}
    return qwen(folder, "Qwen3VL", vision, {"rope_parameters": rope})


def idefics(folder: Path, kind: str, *videos: None) -> Path:
    marks = ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>"]
    tokenizer = byte_tokenizer(*marks, *(f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)))
    config = getattr(t, f"{kind}Config")(
        vision_config={**VISION, "image_size": 32, "patch_size": 8},
        text_config=t.LlamaConfig(**TEXT, vocab_size=len(tokenizer)).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    images = getattr(t, f"{kind}ImageProcessorPil")(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = without_videos(getattr(t, f"{kind}Processor"))(images, tokenizer, *videos, image_seq_len=4)
    return save(folder, getattr(t, f"{kind}ForConditionalGeneration")(config), processor, chat="<image>")


def idefics3(folder: Path) -> Path:
    return idefics(folder, "Idefics3")


def smolvlm(folder: Path) -> Path:
    return idefics(folder, "SmolVLM", None)


def gemma3(folder: Path) -> Path:
    marks = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = byte_tokenizer(*marks.values(), extra_special_tokens=marks)
    image, start, end = tokenizer.convert_tokens_to_ids(list(marks.values()))
    config = t.Gemma3Config(
        vision_config={**VISION, "image_size": 24, "patch_size": 8, "vision_use_head": False},
        text_config={**TEXT, "head_dim": 8, "vocab_size": len(tokenizer), "sliding_window": 16},
        mm_tokens_per_image=9, boi_token_index=start, eoi_token_index=end, image_token_index=image,
    )  # fmt: skip
    images = t.Gemma3ImageProcessorPil(size={"height": 24, "width": 24})
    processor = t.Gemma3Processor(images, tokenizer, image_seq_length=9)
    return save(folder, t.Gemma3ForConditionalGeneration(config), processor, chat="<start_of_image>")


def internvl(folder: Path) -> Path:
    marks = {
        "context_image_token": "<IMG_CONTEXT>", "start_image_token": "<img>", "end_image_token": "</img>",
        "video_token": "<video>",
    }  # fmt: skip
    tokenizer = byte_tokenizer(*marks.values(), extra_special_tokens=marks)
    config = t.InternVLConfig(
        vision_config={**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        text_config=t.Qwen2Config(**TEXT, vocab_size=len(tokenizer)).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=4,
    )  # fmt: skip
    images = t.GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}, crop_to_patches=True, max_patches=4)
    processor = without_videos(t.InternVLProcessor)(images, tokenizer, image_seq_length=4)
    return save(folder, t.InternVLForConditionalGeneration(config), processor, chat="<IMG_CONTEXT>\n")


def paligemma(folder: Path) -> Path:
    tokenizer = byte_tokenizer("<image>")
    images = t.SiglipImageProcessorPil(size={"height": 24, "width": 24})
    images.image_seq_length = 9
    processor = t.PaliGemmaProcessor(images, tokenizer)
    config = t.PaliGemmaConfig(
        vision_config={**VISION, "model_type": "siglip_vision_model", "image_size": 24, "patch_size": 8,
                       "projection_dim": 32, "vision_use_head": False},
        text_config={**TEXT, "model_type": "gemma", "head_dim": 8, "vocab_size": len(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), projection_dim=32, hidden_size=32,
    )  # fmt: skip
    return save(folder, t.PaliGemmaForConditionalGeneration(config), processor)


def clip(folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.model_max_length = 32
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 32}
    config = t.CLIPConfig(
        text_config=text, vision_config={**VISION, "image_size": 24, "patch_size": 8}, projection_dim=16
    )
    images = t.CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
    return save(folder, t.CLIPModel(config), t.CLIPProcessor(images, tokenizer))


def siglip(folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    tokenizer.model_max_length = 32
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 32, "projection_size": 32}
    config = t.SiglipConfig(text_config=text, vision_config={**VISION, "image_size": 24, "patch_size": 8})
    images = t.SiglipImageProcessorPil(size={"height": 24, "width": 24})
    return save(folder, t.SiglipModel(config), t.SiglipProcessor(images, tokenizer))


def chinese_clip(folder: Path) -> Path:
    tokenizer = word_tokenizer(40)
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 40, "pad_token_id": 0}
    config = t.ChineseCLIPConfig(
        text_config=text, vision_config={**VISION, "image_size": 24, "patch_size": 8}, projection_dim=16
    )
    images = t.ChineseCLIPImageProcessorPil(size={"height": 24, "width": 24}, crop_size={"height": 24, "width": 24})
    return save(folder, t.ChineseCLIPModel(config), t.ChineseCLIPProcessor(images, tokenizer))


def align(folder: Path) -> Path:
    tokenizer = word_tokenizer(512)
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 512, "pad_token_id": 0}
    vision = {
        "image_size": 32, "hidden_dim": 64, "kernel_sizes": [3, 3], "in_channels": [32, 16], "out_channels": [16, 64],
        "depthwise_padding": [], "strides": [1, 2], "num_block_repeats": [1, 1], "expand_ratios": [1, 2],
        "num_channels": 3, "depth_divisor": 4, "width_coefficient": 1.0, "depth_coefficient": 1.0,
    }  # fmt: skip
    config = t.AlignConfig(text_config=text, vision_config=vision, projection_dim=64)
    images = t.EfficientNetImageProcessorPil(size={"height": 32, "width": 32}, include_top=True)
    return save(folder, t.AlignModel(config), t.AlignProcessor(images, tokenizer))


_WRITERS = (llava, llava_next, qwen2_vl, qwen2_5_vl, qwen3_vl, idefics3, smolvlm, gemma3, internvl, paligemma)
WRITERS: dict[str, Callable[[Path], Path]] = {make.__name__: make for make in _WRITERS}
MATCHERS: dict[str, Callable[[Path], Path]] = {f.__name__: f for f in (clip, siglip, chinese_clip, align)}

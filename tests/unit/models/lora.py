"""Tiny trained-looking LoRA adapters, made and merged by peft itself."""

import json
import shutil
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import T5Config, T5ForConditionalGeneration

from tests.unit.models.conftest import save_tokenizer

CLASSES = {
    "causal-lm": transformers.AutoModelForCausalLM,
    "seq2seq-lm": transformers.AutoModelForSeq2SeqLM,
    "sequence-classification": transformers.AutoModelForSequenceClassification,
}
TASKS = {"causal-lm": "CAUSAL_LM", "seq2seq-lm": "SEQ_2_SEQ_LM", "sequence-classification": "SEQ_CLS"}


def save_t5(folder: Path) -> Path:
    """A T5 whose greedy answers differ from text to text."""
    tokenizer = save_tokenizer(folder, pad=True)
    torch.manual_seed(8)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0,
        eos_token_id=1, pad_token_id=2, tie_word_embeddings=False,
    )  # fmt: skip
    network = T5ForConditionalGeneration(config)
    torch.nn.init.normal_(network.shared.weight, std=1.5)
    torch.nn.init.normal_(network.lm_head.weight, std=1.0)
    network.save_pretrained(folder)
    return folder


def save_adapter(base: Path, to: Path, *, kind: str, targets: list[str], seed: int, zero: bool = False, **options):
    """An adapter over `base`; `options` are LoraConfig's."""
    torch.manual_seed(seed)
    network = CLASSES[kind].from_pretrained(base)
    options = {"r": 4, "lora_alpha": 8, "task_type": TASKS[kind], "target_modules": targets} | options
    wrapped = get_peft_model(network, LoraConfig(**options))
    for name, weights in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights, std=0.3)
        if "modules_to_save" in name:
            torch.nn.init.normal_(weights, std=1.0 if weights.ndim == 2 else 0.0)
        if zero and "lora_B" in name:
            torch.nn.init.zeros_(weights)
    wrapped.save_pretrained(to)
    return to


def merge(base: Path, adapter: Path, to: Path, *, kind: str) -> Path:
    """The adapter merged into a checkpoint, in float64, by peft."""
    from peft import PeftModel

    shutil.copytree(base, to, ignore=shutil.ignore_patterns("*.safetensors"))
    network = CLASSES[kind].from_pretrained(base, dtype=torch.float64)
    PeftModel.from_pretrained(network, adapter).merge_and_unload().save_pretrained(to)
    return to


def change_config(folder: Path, **changes) -> Path:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder

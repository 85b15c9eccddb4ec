"""Tiny models with random weights, saved and loaded as real checkpoints."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from halluc_ray.config import CausalSystem, ClassifierSystem
from halluc_ray.models.checkpoints import label_names
from halluc_ray.models.loading import load_model
from halluc_ray.records import Sample

TEXTS = [
    "The capital of France is Paris, and the capital of Burkina Faso is Ouagadougou.",
    "Gold is Au; iron is Fe. What is the symbol of silver?",
    "A",
    "Seven ships left the harbour before dawn, and only four of them came back with the evening tide.",
    "Who wrote it?",
    "我们在北京的一家小饭馆里吃了饺子。",
    "Long ago, " + "far beyond the hills, " * 12 + "a river ran.",
    "Prices rose by 3.5 % in March.",
]
NUMERICS = {"device": "cpu", "dtype": "float32", "attention": "sdpa", "token_budget": 1024}
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def save_tokenizer(
    folder: Path, *, bos: bool = False, pad: bool = False, chat: bool = False
) -> PreTrainedTokenizerFast:
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<pad>", "[UNK]"]
    core.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    if bos:
        from tokenizers.processors import TemplateProcessing

        core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    names = {"eos_token": "</s>"} | ({"bos_token": "<s>"} if bos else {}) | ({"pad_token": "<pad>"} if pad else {})
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **names)
    if chat:
        tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory) -> Path:
    """A GPT-2 without a padding token, with 160 positions, no chat template."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = save_tokenizer(folder)
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=160, n_embd=32, n_layer=2, n_head=4, eos_token_id=1)
    network = GPT2LMHeadModel(config)
    torch.nn.init.normal_(network.transformer.wte.weight, std=0.3)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def llama(tmp_path_factory) -> Path:
    """A Llama with bos, pad, a chat template, and a generation config that would change every output."""
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = save_tokenizer(folder, bos=True, pad=True, chat=True)
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    network = LlamaForCausalLM(config)
    torch.nn.init.normal_(network.model.embed_tokens.weight, std=0.5)
    network.generation_config.update(
        do_sample=True, temperature=3.0, top_k=7, repetition_penalty=1.8, no_repeat_ngram_size=2, min_new_tokens=5,
        max_length=20,
    )  # fmt: skip
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory) -> Path:
    """A three-class BERT with segments and 64 positions."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = save_tokenizer(folder, pad=True)
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.save_pretrained(folder)
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, num_labels=3, id2label={0: "no", 1: "maybe", 2: "yes"}, pad_token_id=2,
        label2id={"no": 0, "maybe": 1, "yes": 2}, initializer_range=0.2,
    )  # fmt: skip
    network = BertForSequenceClassification(config)
    torch.nn.init.zeros_(network.classifier.bias)
    torch.nn.init.normal_(network.classifier.weight, std=1.0)
    network.save_pretrained(folder)
    return folder


@pytest.fixture
def samples() -> list[Sample]:
    return [Sample(row, f"id{row}", {"prompt": text}) for row, text in enumerate(TEXTS)]


def causal(folder: Path, *, max_input_tokens: int = 1024, template: str = "{prompt}", chat: bool = False,
           system_prompt: str | None = None, **decoding):  # fmt: skip
    system = CausalSystem(
        kind="causal-lm", name="m", checkpoint=str(folder), max_input_tokens=max_input_tokens, template=template,
        chat=chat, system=system_prompt, decoding={"max_new_tokens": 12, **decoding},
    )  # fmt: skip
    return load_model(system, folder=folder, numerics=NUMERICS, labels={}, threads=1)


def classifier(folder: Path, *, labels: dict[str, str] | None = None, **options):
    system = ClassifierSystem(kind="sequence-classification", name="c", checkpoint=str(folder), **options)
    own = {str(index): name for index, name in label_names(json.loads((folder / "config.json").read_text())).items()}
    return load_model(system, folder=folder, numerics=NUMERICS, labels=labels or own, threads=1)

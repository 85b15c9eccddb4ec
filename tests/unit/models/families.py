"""A tiny random network of each family of text models, saved as a real checkpoint with a tokenizer of letters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

LETTERS = "abcdefghijklmnopqrstuvwxyz"
BOS, PAD, EOS, UNK = range(4)
VOCABULARY = ["<s>", "<pad>", "</s>", "<unk>", *LETTERS]
LENGTHS = (1, 3, 17, 5, 31, 9, 2)
TEXTS = [" ".join(LETTERS[(7 * row + at * at + at) % 26] for at in range(n)) for row, n in enumerate(LENGTHS)]
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TOKENS = {"vocab_size": len(VOCABULARY), "bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS}


def save_letters(
    folder: Path, *, single: str, pair: str | None = None, segments: bool = False, pad: bool = True
) -> None:
    """A fast tokenizer of one token per letter; `single` and `pair` say where special tokens go."""
    core = Tokenizer(models.WordLevel({word: k for k, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=[("<s>", BOS), ("</s>", EOS)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | ({"pad_token": "<pad>"} if pad else {})
    inputs = ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=core, model_input_names=inputs, **names).save_pretrained(folder)


def save_network(folder: Path, network: Any, *, seed: int) -> None:
    """Random weights under which greedy answers vary and end at different lengths; norms stay as they are."""
    generator = torch.Generator().manual_seed(seed)
    head = network.get_output_embeddings()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.8, generator=generator)
        head.weight.normal_(std=0.3, generator=generator)
        head.weight[EOS] *= 2
    network.save_pretrained(folder)


CAUSAL: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64, **(TOKENS | {"pad_token_id": None}))
    ),
    "opt": lambda: transformers.OPTForCausalLM(
        transformers.OPTConfig(
            hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64, **TOKENS,
        )
    ),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(num_key_value_heads=1, **SMALL, **TOKENS)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(num_key_value_heads=1, **SMALL, **TOKENS)),
    "qwen3": lambda: transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(num_key_value_heads=1, head_dim=8, **SMALL, **TOKENS)
    ),
    "mistral, window of 8": lambda: transformers.MistralForCausalLM(
        transformers.MistralConfig(num_key_value_heads=1, sliding_window=8, **SMALL, **TOKENS)
    ),
    "gemma": lambda: transformers.GemmaForCausalLM(
        transformers.GemmaConfig(num_key_value_heads=1, head_dim=8, **SMALL, **TOKENS)
    ),
    "gemma3, window of 8": lambda: transformers.Gemma3ForCausalLM(
        transformers.Gemma3TextConfig(
            num_key_value_heads=1, head_dim=8, sliding_window=8, layer_types=["sliding_attention", "full_attention"],
            tie_word_embeddings=False, **SMALL, **TOKENS,
        )
    ),
}  # fmt: skip

_BART = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64,
    "tie_word_embeddings": False, **TOKENS,
}  # fmt: skip
_T5 = {
    "d_model": 16, "d_ff": 32, "d_kv": 8, "num_layers": 2, "num_heads": 2, "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20, "decoder_start_token_id": PAD, **TOKENS,
}  # fmt: skip

SEQ2SEQ: dict[str, Callable[[], Any]] = {
    "t5": lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(**_T5)),
    "mt5": lambda: transformers.MT5ForConditionalGeneration(
        transformers.MT5Config(**_T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    ),
    "bart": lambda: transformers.BartForConditionalGeneration(
        transformers.BartConfig(**_BART, decoder_start_token_id=EOS)
    ),
    "mbart": lambda: transformers.MBartForConditionalGeneration(
        transformers.MBartConfig(**_BART, decoder_start_token_id=EOS, scale_embedding=True)
    ),
    "marian": lambda: transformers.MarianMTModel(
        transformers.MarianConfig(**_BART, decoder_start_token_id=PAD, scale_embedding=True)
    ),
}


def save_causal(folder: Path, family: str) -> Path:
    """A causal model; GPT-2 has no padding token, Llama and its like start with one of their own."""
    begins = family not in ("gpt2", "qwen2", "qwen3")
    save_letters(folder, single="<s> $A" if begins else "$A", pad=family != "gpt2")
    save_network(folder, CAUSAL[family](), seed=11 if family == "opt" else 12)
    return folder


def save_seq2seq(folder: Path, family: str) -> Path:
    """An encoder-decoder whose inputs end with the end-of-sequence token."""
    save_letters(folder, single="<s> $A </s>" if family == "bart" else "$A </s>")
    network = SEQ2SEQ[family]()
    if family == "bart":
        network.generation_config.forced_bos_token_id = BOS
    if family == "marian":
        network.generation_config.bad_words_ids = [[PAD]]
    save_network(folder, network, seed=12 if family == "marian" else 11)
    return folder

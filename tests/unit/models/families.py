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


_HEAD = {"num_labels": 3, "id2label": {0: "no", 1: "maybe", 2: "yes"}, "label2id": {"no": 0, "maybe": 1, "yes": 2}}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertForSequenceClassification(
        transformers.BertConfig(max_position_embeddings=64, **SMALL, **TOKENS, **_HEAD)
    ),
    "roberta": lambda: transformers.RobertaForSequenceClassification(
        transformers.RobertaConfig(max_position_embeddings=66, **SMALL, **TOKENS, **_HEAD)
    ),
    "distilbert": lambda: transformers.DistilBertForSequenceClassification(
        transformers.DistilBertConfig(
            dim=16, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=64, **TOKENS, **_HEAD
        )
    ),
    "deberta-v2": lambda: transformers.DebertaV2ForSequenceClassification(
        transformers.DebertaV2Config(
            max_position_embeddings=64, relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"],
            norm_rel_ebd="layer_norm", share_att_key=True, type_vocab_size=0, position_biased_input=False,
            **SMALL, **TOKENS, **_HEAD,
        )
    ),
    "modernbert": lambda: transformers.ModernBertForSequenceClassification(
        transformers.ModernBertConfig(
            max_position_embeddings=64, local_attention=8, global_attn_every_n_layers=2, cls_token_id=BOS,
            sep_token_id=EOS, **SMALL, **TOKENS, **_HEAD,
        )
    ),
    "bart": lambda: transformers.BartForSequenceClassification(
        transformers.BartConfig(decoder_start_token_id=EOS, **_BART, **_HEAD)
    ),
    "xlnet": lambda: transformers.XLNetForSequenceClassification(
        transformers.XLNetConfig(d_model=16, n_layer=2, n_head=2, d_inner=32, **TOKENS, **_HEAD)
    ),
    "gpt2": lambda: transformers.GPT2ForSequenceClassification(
        transformers.GPT2Config(**_GPT2, **(TOKENS | {"pad_token_id": None}), **_HEAD)
    ),
    "llama": lambda: transformers.LlamaForSequenceClassification(
        transformers.LlamaConfig(num_key_value_heads=1, **SMALL, **TOKENS, **_HEAD)
    ),
    "qwen2": lambda: transformers.Qwen2ForSequenceClassification(
        transformers.Qwen2Config(num_key_value_heads=1, **SMALL, **(TOKENS | {"pad_token_id": None}), **_HEAD)
    ),
}  # fmt: skip
_DECODERS = ("gpt2", "llama", "qwen2")


def save_classifier(folder: Path, family: str) -> Path:
    """A classifier of three classes; encoders put a text between special tokens, decoders none or one before it."""
    if family == "xlnet":
        save_letters(folder, single="$A:0 </s>:0 <s>:2", pair="$A:0 </s>:0 $B:1 </s>:1 <s>:2", segments=True)
    elif family in _DECODERS:
        begins = "<s> " if family == "llama" else ""
        save_letters(folder, single=f"{begins}$A", pair=f"{begins}$A $B", pad=family != "gpt2")
    else:
        middle = "</s>:0 </s>:0" if family in ("roberta", "bart") else "</s>:0"
        second = "0" if family in ("roberta", "bart") else "1"
        pair = f"<s>:0 $A:0 {middle} $B:{second} </s>:{second}"
        save_letters(folder, single="<s> $A </s>", pair=pair, segments=family == "bert")
    network = CLASSIFIERS[family]()
    generator = torch.Generator().manual_seed(4 if family == "bart" else 3)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.8, generator=generator)
    network.save_pretrained(folder)
    return folder

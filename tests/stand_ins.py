"""Tiny random networks of the architectures that the examples name, with a vocabulary of their texts' characters."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

_SPECIAL = ["<pad>", "</s>", "<unk>", "<s>"]
_PAD, _EOS, _UNK, _BOS = range(4)
_NAMES = {
    "id2label": {0: "positive", 1: "neutral", 2: "negative"},
    "label2id": {"positive": 0, "neutral": 1, "negative": 2},
}
_SEQ2SEQ = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 640, "tie_word_embeddings": False,
}  # fmt: skip


def save_bert(folder: Path, *, texts: Sequence[str]) -> Path:
    """A classifier of three classes."""
    size = _save_characters(folder, texts, single="<s> $A </s>")
    config = transformers.BertConfig(
        vocab_size=size, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=128, pad_token_id=_PAD, **_NAMES,
    )  # fmt: skip
    return _save(folder, transformers.BertForSequenceClassification(config), seed=5)


def save_distilbert(folder: Path, *, texts: Sequence[str]) -> Path:
    """The same of another architecture."""
    size = _save_characters(folder, texts, single="<s> $A </s>")
    config = transformers.DistilBertConfig(
        vocab_size=size, dim=16, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=128, pad_token_id=_PAD,
        **_NAMES,
    )  # fmt: skip
    return _save(folder, transformers.DistilBertForSequenceClassification(config), seed=6)


def save_gpt2(folder: Path, *, texts: Sequence[str]) -> Path:
    """A causal language model that writes characters."""
    size = _save_characters(folder, texts, single="$A")
    config = transformers.GPT2Config(
        vocab_size=size, n_positions=640, n_embd=16, n_layer=1, n_head=2, eos_token_id=_EOS, bos_token_id=_EOS
    )
    return _save(folder, transformers.GPT2LMHeadModel(config), seed=7)


def save_t5(folder: Path, *, texts: Sequence[str]) -> Path:
    """An encoder-decoder that writes characters."""
    size = _save_characters(folder, texts, single="$A </s>")
    config = transformers.T5Config(
        vocab_size=size, d_model=16, d_ff=32, d_kv=8, num_layers=1, num_heads=2, decoder_start_token_id=_PAD,
        pad_token_id=_PAD, eos_token_id=_EOS, tie_word_embeddings=False,
    )  # fmt: skip
    return _save(folder, transformers.T5ForConditionalGeneration(config), seed=8)


def save_marian(folder: Path, *, texts: Sequence[str]) -> Path:
    """A translator with sentencepiece files, one token per character, and one for the language to write."""
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(folder / "source"), model_type="char", vocab_size=4_000,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (folder / "source.model").rename(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    known = [pieces.id_to_piece(k) for k in range(3, pieces.get_piece_size())]
    words = ["</s>", "<unk>", *known, ">>cmn_Hans<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}), encoding="utf-8")
    tokenizer = {"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "zh"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    pad = len(words) - 1
    config = transformers.MarianConfig(
        vocab_size=len(words), pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0,
        **_SEQ2SEQ,
    )  # fmt: skip
    network = transformers.MarianMTModel(config)
    network.generation_config.bad_words_ids = [[pad]]
    return _save(folder, network, seed=9)


def _save_characters(folder: Path, texts: Sequence[str], *, single: str) -> int:
    """A fast tokenizer of one token per character; how many it has."""
    words = [*_SPECIAL, *sorted({character for text in texts for character in text})]
    core = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    core.post_processor = TemplateProcessing(single=single, special_tokens=[("<s>", _BOS), ("</s>", _EOS)])
    PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return len(words)


def _save(folder: Path, network: Any, *, seed: int) -> Path:
    """Random weights under which answers vary."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.8, generator=generator)
        if (head := network.get_output_embeddings()) is not None:
            head.weight.normal_(std=0.3, generator=generator)
    network.save_pretrained(folder)
    return folder

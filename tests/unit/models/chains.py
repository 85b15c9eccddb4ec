"""A real network whose every next token is written down: what it says is known before it runs.

One layer that adds nothing, one-hot embeddings, and an output matrix that is the chain: the token that
follows depends on the last token alone.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<end>"


def save_chain(
    folder: Path, *chains: Sequence[str], special: Sequence[str] = (), chat_template: str | None = None
) -> Path:
    """A checkpoint that goes on from the first word of each chain with the others; each word is in one place."""
    follows = {before: after for chain in chains for before, after in pairwise(chain)}
    words = list(dict.fromkeys(["[UNK]", END, *(word for chain in chains for word in chain)]))
    vocabulary = {word: k for k, word in enumerate(words)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_tokens([AddedToken(word, special=False) for word in words if word.startswith("<") and word not in special])
    core.add_special_tokens([END, *special])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]", eos_token=END, pad_token=END)
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)} if special else {})
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    size = len(words)
    config = LlamaConfig(
        vocab_size=size, hidden_size=size, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=128, bos_token_id=None, eos_token_id=1,
        pad_token_id=1,
    )  # fmt: skip
    network = LlamaForCausalLM(config)
    with torch.no_grad():
        network.model.embed_tokens.weight.copy_(torch.eye(size))
        network.model.layers[0].self_attn.o_proj.weight.zero_()
        network.model.layers[0].mlp.down_proj.weight.zero_()
        network.lm_head.weight.zero_()
        for before in words:
            network.lm_head.weight[vocabulary[follows.get(before, END)], vocabulary[before]] = 1
    network.save_pretrained(folder)
    return folder

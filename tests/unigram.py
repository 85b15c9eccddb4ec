"""A language model in closed form: a GPT-2 whose logits are one vector, whatever it has read."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

_END = "</s>"


def save_unigram(
    folder: Path, *, texts: Sequence[str], logits: Sequence[float] | None = None, positions: int = 256
) -> tuple[PreTrainedTokenizerFast, torch.Tensor]:
    """Save tokenizer and network; give the tokenizer and the log-probability of each token, in float64.

    The last norm gives its bias alone, and every token's embedding lies along that bias by its logit.
    """
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[_END], initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=_END)
    tokenizer.save_pretrained(folder)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=positions, n_embd=8, n_layer=1, n_head=2, eos_token_id=0, bos_token_id=0
    )
    network = GPT2LMHeadModel(config)
    values = torch.linspace(-3, 2, len(tokenizer)) if logits is None else torch.tensor(logits)
    with torch.no_grad():
        network.transformer.ln_f.weight.zero_()
        network.transformer.ln_f.bias.zero_()[0] = 1.0
        network.transformer.wte.weight[:, 0] = values
    network.save_pretrained(folder)
    return tokenizer, values.double().log_softmax(0)

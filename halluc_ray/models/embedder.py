"""Sentence embedders: the cosine of two texts of a row.

Embeddings are pooled from the states of a text's tokens, the special ones included, as
sentence-transformers does. A text above the limit is cut at its end, and counted. Knows one checkpoint
and two templates; does not plan batches. Callers: `loading` makes it, `execution` runs it. Imports torch.

Reference: N. Reimers, I. Gurevych, Sentence-BERT (2019), section 3 (mean pooling, cosine).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, assert_never

import torch

from halluc_ray.config import EmbedderSystem
from halluc_ray.errors import ModelError
from halluc_ray.models import prompts
from halluc_ray.models.checkpoint_sources import FolderSource
from halluc_ray.models.cosine import cosines
from halluc_ray.models.encoder_texts import CodedText, EncoderTexts
from halluc_ray.models.faults import device_faults
from halluc_ray.models.limits import longest_input
from halluc_ray.models.padding import pad, pad_token
from halluc_ray.models.pretrained import load_tokenizer
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.models.sentence_transformers import read_pooling
from halluc_ray.records import Sample


class Embedder:
    """A sentence embedder, loaded.

    Attributes:
        draws: 1; a matcher has one answer.
    """

    draws = 1

    def __init__(self, system: EmbedderSystem, *, folder: Path, network: Any, device: str) -> None:
        """Put a loaded network beside the tokenizer of a local folder.

        Raises:
            ModelError: the folder holds no such model.
            SpecError: a template is malformed, or the checkpoint pools in a way that is not supported.
        """
        if network.config.is_encoder_decoder:
            raise ModelError(
                f"checkpoint {folder}: {type(network).__name__} writes, and an embedder reads alone; name an encoder"
            )
        where = f"systems[{system.name}]"
        self._first = prompts.parse(system.template, where=f"{where}.template")
        self._second = prompts.parse(system.pair_template, where=f"{where}.pair_template")
        self._pooling = read_pooling(system, FolderSource(folder, str(folder)))
        tokenizer = load_tokenizer(folder)
        self._network = network
        self._device = device
        limits = (system.max_input_tokens, self._pooling.max_tokens, longest_input(network, tokenizer))
        limit = min(limit for limit in limits if limit is not None)
        self._pad_token = pad_token(tokenizer.pad_token_id, network.config.get_text_config().pad_token_id)
        self._texts = EncoderTexts(tokenizer, limit=limit, filler=self._pad_token)

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Tokenise both texts; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that a template reads, or a text has no token.
        """
        if not samples:
            return []
        one, other = (self._coded(template, samples) for template in (self._first, self._second))
        return [
            Encoded(s.row, 0, s.id, text.tokens, truncated=text.truncated or pair.truncated, pair=pair.tokens)
            for s, text, pair in zip(samples, one, other, strict=True)
        ]

    def cost(self, encoded: Encoded) -> int:
        """Tokens of both texts, the shorter one padded to the longer."""
        return 2 * max(len(encoded.tokens), len(encoded.pair))

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """Similarities of one batch, its 2B texts read together.

        Shapes: B rows, T tokens padded on the right, D dimensions.

        Raises:
            UnusableRow: an embedding is not finite, or is zero.
            OutOfMemory: retryable with a smaller budget.
        """
        texts = [*(row.tokens for row in batch), *(row.pair for row in batch)]
        ids_2BT, mask_2BT = pad(texts, value=self._pad_token)
        with device_faults(*ids_2BT.shape), torch.inference_mode():
            mask_2BT = mask_2BT.to(self._device)
            states_2BTD = self._network(input_ids=ids_2BT.to(self._device), attention_mask=mask_2BT).last_hidden_state
            pooled_2BD = _pool(states_2BTD, mask_2BT, mode=self._pooling.mode).cpu()
        found = cosines(pooled_2BD[: len(batch)], pooled_2BD[len(batch) :])
        return [Output(text=None, finish=None, similarity=similarity) for similarity in found]

    def blank(self, encoded: Encoded) -> Encoded:
        """As many tokens in both texts: the special ones of an empty text, around padding tokens."""
        tokens, pair = (self._texts.blank(len(ids)) for ids in (encoded.tokens, encoded.pair))
        return replace(encoded, tokens=tokens, pair=pair)

    def close(self) -> None:
        """Free the device."""
        del self._network
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _coded(self, template: prompts.Template, samples: Sequence[Sample]) -> list[CodedText]:
        texts = [prompts.fill_row(template, sample) for sample in samples]
        return self._texts.coded([text.lower() for text in texts] if self._pooling.lower_case else texts)


def _pool(states: torch.Tensor, mask: torch.Tensor, *, mode: Literal["mean", "cls", "last"]) -> torch.Tensor:
    """One embedding a text, in float64; `states` (B, T, D) and `mask` (B, T) have their padding on the right."""
    states_BTD = states.double()
    match mode:
        case "mean":
            weights_BT1 = mask.unsqueeze(-1).double()
            return (states_BTD * weights_BT1).sum(1) / weights_BT1.sum(1)
        case "cls":
            return states_BTD[:, 0]
        case "last":
            return states_BTD[torch.arange(len(states_BTD)), mask.sum(1) - 1]
        case _:
            assert_never(mode)

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
from halluc_ray.models.faults import device_faults
from halluc_ray.models.padding import pad
from halluc_ray.models.pretrained import load_tokenizer, longest_input
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
        where = f"systems.{system.name}"
        self._first = prompts.parse(system.template, where=f"{where}.template")
        self._second = prompts.parse(system.pair_template, where=f"{where}.pair_template")
        self._pooling = read_pooling(system, FolderSource(folder, str(folder)))
        self._tokenizer = load_tokenizer(folder)
        self._network = network
        self._device = device
        limits = (system.max_input_tokens, self._pooling.max_tokens, longest_input(network, self._tokenizer))
        self._limit = min(limit for limit in limits if limit is not None)
        self._pad_token = next(
            (t for t in (self._tokenizer.pad_token_id, network.config.get_text_config().pad_token_id) if t is not None),
            0,
        )
        self._frame = self._tokenizer("")["input_ids"]

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Tokenise both texts; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that a template reads, or a text has no token.
        """
        if not samples:
            return []
        fields = [{**sample.fields, "id": sample.id} for sample in samples]
        one, other = (self._coded([prompts.fill(t, values) for values in fields]) for t in (self._first, self._second))
        return [
            Encoded(sample.row, 0, sample.id, tokens, truncated=cut or cut_too, pair=pair)
            for sample, (tokens, cut), (pair, cut_too) in zip(samples, one, other, strict=True)
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
        return replace(encoded, tokens=self._blank(len(encoded.tokens)), pair=self._blank(len(encoded.pair)))

    def close(self) -> None:
        """Free the device."""
        del self._network
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _coded(self, texts: Sequence[str]) -> list[tuple[tuple[int, ...], bool]]:
        """Ids of each text, and whether it was cut."""
        if self._pooling.lower_case:
            texts = [text.lower() for text in texts]
        coded = self._tokenizer(list(texts), truncation=True, max_length=self._limit, padding=False, verbose=False)
        if not all(coded["input_ids"]):
            raise prompts.UnusableRow("empty_prompt", "the text has no token")
        return [
            (tuple(ids), bool(detail.overflowing))
            for ids, detail in zip(coded["input_ids"], coded.encodings, strict=True)
        ]

    def _blank(self, length: int) -> tuple[int, ...]:
        filled = (self._pad_token,) * max(0, length - len(self._frame))
        return (*self._frame[:1], *filled, *self._frame[1:])[:length]


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

"""Encoder-decoders (T5, BART, Marian, mBART families): a text in, a text out, on transformers' generate.

An input above the limit loses its first shots; one that is above it without any keeps its beginning, as
documents want, and the tokenizer's closing tokens. Either is counted. Of the checkpoint's generation
settings only what the architecture can't do without is kept: where the decoder starts, a forced first
token, tokens that are never words. Knows one checkpoint and one template; does not plan batches. Callers:
`loading` makes it, `execution` runs it. Imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from halluc_ray.config import Seq2SeqSystem
from halluc_ray.errors import ModelError, SpecError
from halluc_ray.models.generation import TextGeneration
from halluc_ray.models.languages import set_languages
from halluc_ray.models.limits import longest_input
from halluc_ray.models.padding import pad
from halluc_ray.models.pretrained import load_tokenizer
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.models.rendering import RenderedPrompt, Renderer
from halluc_ray.records import Sample

_START_TOKENS = 1
"""What a decoder is given before its first own token."""


class Seq2SeqLM:
    """An encoder-decoder, loaded.

    Attributes:
        draws: answers per sample.
    """

    def __init__(self, system: Seq2SeqSystem, *, folder: Path, network: Any, device: str) -> None:
        """Put a loaded network beside the tokenizer of a local folder.

        Raises:
            ModelError: the folder holds no such model.
            SpecError: template, languages or limits don't fit the checkpoint.
        """
        self._system = system
        self._device = device
        self.draws = system.decoding.samples
        self._tokenizer = load_tokenizer(folder, fast=False)
        self._tokenizer.truncation_side = "right"
        self._network = network
        architecture = _architecture(self._network, folder)
        architecture["forced_bos_token_id"] = set_languages(
            system,
            self._tokenizer,
            forced=architecture["forced_bos_token_id"],
            start=architecture["decoder_start_token_id"],
        )
        self._renderer = Renderer(system, self._tokenizer)
        self._limit = self._input_limit()
        self._renderer.check_room(self._limit)
        self._generation = TextGeneration(
            system.decoding,
            network=self._network,
            tokenizer=self._tokenizer,
            device=device,
            architecture=architecture,
        )

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Fill, wrap and tokenise; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that the template reads, or its prompt is empty.
        """
        if not samples:
            return []
        rendered = self._renderer.fitted(samples, limit=self._limit)
        if not all(prompt.text for prompt in rendered):
            raise UnusableRow("empty_prompt", "the prompt has no character")
        return [row for sample, prompt in zip(samples, rendered, strict=True) for row in self._draws_of(sample, prompt)]

    def cost(self, encoded: Encoded) -> int:
        """Tokens of the input, and of the longest answer."""
        return len(encoded.tokens) + self._system.decoding.max_new_tokens

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """Answers of one batch; greedy at temperature 0.

        Shapes: B rows, T input tokens padded on the right.

        Raises:
            UnusableRow: a row's scores are not finite.
            OutOfMemory: retryable with a smaller budget.
        """
        ids_BT, mask_BT = pad([row.tokens for row in batch], value=self._generation.pad_token)
        inputs = {"input_ids": ids_BT, "attention_mask": mask_BT}
        return self._generation.answers(batch, inputs, num_before=_START_TOKENS)

    def blank(self, encoded: Encoded) -> Encoded:
        """As many padding tokens, drawing noise of no sample's."""
        return replace(encoded, id="", tokens=(self._generation.pad_token,) * len(encoded.tokens))

    def close(self) -> None:
        """Free the device."""
        del self._network, self._generation
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _input_limit(self) -> int:
        positions = longest_input(self._network, self._tokenizer)
        new = self._system.decoding.max_new_tokens
        if new > (most := _longest_answer(self._network)):
            raise SpecError(
                f"systems[{self._system.name}].decoding.max_new_tokens: {new} is more than the {most} that the model's "
                "decoder has positions for; lower it"
            )
        return min(self._system.max_input_tokens, positions)

    def _draws_of(self, sample: Sample, prompt: RenderedPrompt) -> Iterator[Encoded]:
        ids: Sequence[int] = prompt.tokens
        truncated = prompt.shortened or len(ids) > self._limit
        if len(ids) > self._limit:
            ids = self._tokenizer(
                prompt.text, add_special_tokens=not self._system.chat, truncation=True, max_length=self._limit
            )["input_ids"]
        for draw in range(self.draws):
            yield Encoded(sample.row, draw, sample.id, tuple(ids), truncated=truncated)


def _architecture(network: Any, folder: Path) -> dict[str, Any]:
    """What generate can't do without.

    A forced last token (`forced_eos_token_id`) is left out: it would make an answer that was cut at
    `max_new_tokens` look finished.
    """
    own = network.generation_config
    start = own.decoder_start_token_id
    if start is None:
        raise ModelError(
            f"checkpoint {folder}: neither config.json nor generation_config.json has decoder_start_token_id, the "
            "token that its decoder starts from; add it (T5: the padding token's id)"
        )
    return {
        "decoder_start_token_id": start,
        "forced_bos_token_id": own.forced_bos_token_id,
        "bad_words_ids": own.bad_words_ids,
    }


def _longest_answer(network: Any) -> int:
    """Positions of the decoder, which reads its start and all new tokens but the last; relative ones have no end."""
    config = network.config
    positions = getattr(config, "max_decoder_position_embeddings", None) or getattr(
        config, "max_position_embeddings", None
    )
    return int(positions) if positions else 10**9

"""Causal language models (GPT, Llama families): prompt in, continuation out, on transformers' generate.

A prompt above the limit keeps its beginning-of-sequence token and its end, where the question and the
chat turn's header stand; the cut is counted. Knows one checkpoint and one template; does not plan
batches. Callers: `loading` makes it, `execution` runs it. Imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from halluc_ray.config import CausalSystem
from halluc_ray.errors import SpecError
from halluc_ray.models import prompts
from halluc_ray.models.generation import TextGeneration
from halluc_ray.models.padding import pad
from halluc_ray.models.pretrained import load_tokenizer, longest_input
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.models.rendering import Renderer
from halluc_ray.records import Sample


class CausalLM:
    """A decoder-only language model, loaded.

    Attributes:
        draws: answers per sample.
    """

    def __init__(self, system: CausalSystem, *, folder: Path, network: Any, device: str) -> None:
        """Put a loaded network beside the tokenizer of a local folder.

        Raises:
            ModelError: the folder holds no such model.
            SpecError: template, chat or limits don't fit the checkpoint.
        """
        self._system = system
        self._decoding = system.decoding
        self.draws = system.decoding.samples
        self._tokenizer = load_tokenizer(folder)
        self._renderer = Renderer(system, self._tokenizer)
        self._network = network
        self._device = device
        self._limit = self._input_limit()
        self._renderer.check_room(self._limit)
        self._generation = TextGeneration(
            system.decoding,
            network=self._network,
            tokenizer=self._tokenizer,
            device=device,
            reasoning=system.reasoning,
        )

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Fill, wrap and tokenise; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that the template reads, or its prompt has no token.
        """
        if not samples:
            return []
        coded = self._renderer.tokens(self._renderer.texts(samples))
        return [row for sample, ids in zip(samples, coded, strict=True) for row in self._draws_of(sample, ids)]

    def cost(self, encoded: Encoded) -> int:
        """Tokens of the prompt, and of the longest continuation."""
        return len(encoded.tokens) + self._decoding.max_new_tokens

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """Continuations of one batch; greedy at temperature 0.

        Shapes: B rows, T prompt tokens padded on the left.

        Raises:
            UnusableRow: a row's scores are not finite.
            OutOfMemory: retryable with a smaller budget.
        """
        ids_BT, mask_BT = pad([row.tokens for row in batch], value=self._generation.pad_token, side="left")
        inputs = {"input_ids": ids_BT, "attention_mask": mask_BT}
        return self._generation.answers(batch, inputs, num_before=ids_BT.shape[1])

    def blank(self, encoded: Encoded) -> Encoded:
        """As many end-of-sequence tokens, drawing noise of no sample's."""
        return replace(encoded, id="", tokens=(self._generation.pad_token,) * len(encoded.tokens))

    def close(self) -> None:
        """Free the device."""
        del self._network, self._generation
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _input_limit(self) -> int:
        positions = longest_input(self._network, self._tokenizer)
        room = positions - self._decoding.max_new_tokens
        if room < 2:
            raise SpecError(
                f"systems.{self._system.name}.decoding.max_new_tokens: {self._decoding.max_new_tokens} leaves no room "
                f"for a prompt in the model's {positions} positions; lower it"
            )
        return min(self._system.max_input_tokens, room)

    def _draws_of(self, sample: Sample, ids: list[int]) -> Iterator[Encoded]:
        if not ids:
            raise prompts.UnusableRow("empty_prompt", "the prompt has no token")
        truncated = len(ids) > self._limit
        if truncated:
            kept = ids[-self._limit :]
            ids = [ids[0], *kept[1:]] if ids[0] == self._tokenizer.bos_token_id else kept
        for draw in range(self.draws):
            yield Encoded(sample.row, draw, sample.id, tuple(ids), truncated=truncated)

"""Prompts of a causal language model as tokens, cut to the limit.

A prompt above the limit loses its first shots; one that is above it without any keeps its
beginning-of-sequence token and its end, where the question and the chat turn's header stand. Either is
counted. Knows a tokenizer; knows no network. Callers: `causal`, `vllm_backend`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from halluc_ray.config import CausalSystem
from halluc_ray.models.limits import keep_end, prompt_limit
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.protocol import Encoded
from halluc_ray.models.rendering import RenderedPrompt, Renderer
from halluc_ray.records import Sample


class CausalPrompts:
    """Encodes the samples of one system.

    Attributes:
        limit: tokens that a prompt may have.
    """

    def __init__(self, system: CausalSystem, *, tokenizer: Any, positions: int) -> None:
        """Find the limit; `positions` are those that prompt and answer share.

        Raises:
            SpecError: template, chat or limits don't fit the checkpoint.
        """
        self._draws = system.decoding.samples
        self._bos = tokenizer.bos_token_id
        self._renderer = Renderer(system, tokenizer)
        self.limit = prompt_limit(system, positions=positions)
        self._renderer.check_room(self.limit)

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Fill, wrap and tokenise; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that the template reads, or its prompt has no token.
        """
        if not samples:
            return []
        rendered = self._renderer.fitted(samples, limit=self.limit)
        return [row for sample, prompt in zip(samples, rendered, strict=True) for row in self._draws_of(sample, prompt)]

    def _draws_of(self, sample: Sample, prompt: RenderedPrompt) -> Iterator[Encoded]:
        ids = prompt.tokens
        if not ids:
            raise UnusableRow("empty_prompt", "the prompt has no token")
        truncated = prompt.shortened or len(ids) > self.limit
        ids = keep_end(ids, limit=self.limit, bos=self._bos)
        for draw in range(self._draws):
            yield Encoded(sample.row, draw, sample.id, ids, truncated=truncated)

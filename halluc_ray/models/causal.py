"""Causal language models (GPT, Llama families): prompt in, continuation out, on transformers' generate.

Knows one checkpoint and one template; does not plan batches. Callers: `loading` makes it, `execution`
runs it. Imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from halluc_ray.config import CausalSystem
from halluc_ray.models.causal_prompts import CausalPrompts
from halluc_ray.models.generation import TextGeneration
from halluc_ray.models.limits import longest_input
from halluc_ray.models.padding import pad
from halluc_ray.models.pretrained import load_tokenizer
from halluc_ray.models.protocol import Encoded, Output
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
        self._decoding = system.decoding
        self.draws = system.decoding.samples
        tokenizer = load_tokenizer(folder)
        self._network = network
        self._device = device
        self._prompts = CausalPrompts(system, tokenizer=tokenizer, positions=longest_input(network, tokenizer))
        self._generation = TextGeneration(
            system.decoding,
            network=self._network,
            tokenizer=tokenizer,
            device=device,
            reasoning=system.reasoning,
        )

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Fill, wrap and tokenise; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that the template reads, or its prompt has no token.
        """
        return self._prompts.encode(samples)

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

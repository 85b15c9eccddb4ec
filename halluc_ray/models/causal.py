"""Causal language models (GPT, Llama families): prompt in, continuation out, on transformers' generate.

The spec's `decoding` is all there is: of the checkpoint's generation config only the end-of-sequence
tokens are kept. A prompt above the limit keeps its beginning-of-sequence token and its end, where
the question and the chat turn's header stand; the cut is counted. Knows one checkpoint and one
template; does not plan batches. Callers: `loading` makes it, `execution` runs it. Imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria

from halluc_ray.config import CausalSystem
from halluc_ray.errors import SpecError
from halluc_ray.models import prompts
from halluc_ray.models.faults import device_faults
from halluc_ray.models.padding import pad
from halluc_ray.models.pretrained import load_network, load_tokenizer, longest_input
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.models.rendering import Renderer
from halluc_ray.models.sampling import TokenChoice
from halluc_ray.records import Sample


class CausalLM:
    """A decoder-only language model, loaded.

    Attributes:
        draws: answers per sample.
    """

    def __init__(self, system: CausalSystem, *, folder: Path, dtype: str, attention: str, device: str) -> None:
        """Load network and tokenizer from a local folder.

        Raises:
            ModelError: the folder holds no such model.
            SpecError: template, chat or limits don't fit the checkpoint.
        """
        self._system = system
        self._decoding = system.decoding
        self.draws = system.decoding.samples
        self._tokenizer = load_tokenizer(folder)
        self._renderer = Renderer(system, self._tokenizer)
        self._network = load_network("causal-lm", folder, dtype=dtype, attention=attention, device=device)
        self._device = device
        self._limit = self._input_limit()
        self._ends = _end_tokens(self._network, self._tokenizer)
        self._pad_token = next((t for t in (self._tokenizer.pad_token_id, *self._ends) if t is not None), 0)
        self._network.generation_config = GenerationConfig(
            max_new_tokens=self._decoding.max_new_tokens,
            do_sample=False,
            num_beams=1,
            use_cache=True,
            eos_token_id=list(self._ends) or None,
            pad_token_id=self._pad_token,
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

        Shapes: B rows, T prompt tokens padded on the left, N new tokens.

        Raises:
            UnusableRow: a row's scores are not finite.
            OutOfMemory: retryable with a smaller budget.
        """
        ids_BT, mask_BT = pad([row.tokens for row in batch], value=self._pad_token, side="left")
        width = ids_BT.shape[1]
        choice = TokenChoice(self._decoding, batch=batch, prompt_width=width)
        stops = _StopStrings(self._tokenizer, self._decoding.stop, self._ends, prompt_width=width)
        with device_faults(len(batch), width + self._decoding.max_new_tokens), torch.inference_mode():
            all_BT = self._network.generate(
                input_ids=ids_BT.to(self._device),
                attention_mask=mask_BT.to(self._device),
                logits_processor=[choice],
                stopping_criteria=[stops] if self._decoding.stop else [],
            )
            new_BN = all_BT[:, width:].tolist()
            broken = choice.broken_B is not None and bool(choice.broken_B.any())
        if broken:
            raise prompts.UnusableRow("non_finite_logits", f"the model's scores overflow in {self._network.dtype}")
        return [self._output(tokens) for tokens in new_BN]

    def blank(self, encoded: Encoded) -> Encoded:
        """As many end-of-sequence tokens, drawing noise of no sample's."""
        return replace(encoded, id="", tokens=(self._pad_token,) * len(encoded.tokens))

    def close(self) -> None:
        """Free the device."""
        del self._network
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

    def _output(self, tokens: list[int]) -> Output:
        """Text up to the first end token or stop string, whichever comes first."""
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        tokens = tokens[:end]
        if any(stop in _decode(self._tokenizer, tokens) for stop in self._decoding.stop):
            for count in range(1, len(tokens) + 1):
                text = _decode(self._tokenizer, tokens[:count])
                found = [at for stop in self._decoding.stop if (at := text.find(stop)) >= 0]
                if found:
                    return Output(text[: min(found)], finish="stop", num_output_tokens=count)
        finish = "length" if end is None else "stop"
        return Output(_decode(self._tokenizer, tokens), finish=finish, num_output_tokens=len(tokens))


class _StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row whose continuation holds a stop string; looks at the text, so no token boundary hides one."""

    def __init__(self, tokenizer: Any, stops: Sequence[str], ends: frozenset[int], *, prompt_width: int) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._ends = ends
        self._prompt_width = prompt_width
        self._done: set[int] = set()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for position, tokens in enumerate(input_ids[:, self._prompt_width :].tolist()):
            if position not in self._done and (tokens[-1] in self._ends or self._stopped(tokens)):
                self._done.add(position)
        done = [position in self._done for position in range(len(input_ids))]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

    def _stopped(self, tokens: list[int]) -> bool:
        text = _decode(self._tokenizer, tokens)
        return any(stop in text for stop in self._stops)


def _decode(tokenizer: Any, tokens: list[int]) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """End-of-sequence ids that checkpoint or tokenizer declare."""
    ends: set[int] = set()
    for declared in (
        network.generation_config.eos_token_id,
        getattr(network.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        ends.update([declared] if isinstance(declared, int) else declared or [])
    return frozenset(ends)

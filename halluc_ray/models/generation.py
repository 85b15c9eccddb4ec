"""Answers on transformers' generate as the spec's decoding says: greedy or keyed noise, stop strings, one beam.

Of the checkpoint's own generation settings nothing is kept but its end-of-sequence tokens and what the
caller names. Knows a loaded network and its tokenizer; knows no prompt and no template. Callers: the
models that write text. Imports torch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria

from halluc_ray.config.prompting import Decoding, Reasoning
from halluc_ray.models.faults import device_faults
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.models.reasoning import answer_start, opens_trace, take_answer
from halluc_ray.models.sampling import TokenChoice

_TAG_TOKENS = 32
"""Last tokens of a prompt that an opening tag is looked for in."""


class TextGeneration:
    """Writes the answers of one network.

    Attributes:
        pad_token: id that fills a row up.
    """

    def __init__(
        self,
        decoding: Decoding,
        *,
        network: Any,
        tokenizer: Any,
        device: str,
        architecture: Mapping[str, Any] | None = None,
        reasoning: Reasoning | None = None,
    ) -> None:
        """Replace the network's generation config.

        Args:
            decoding: of the system.
            network: loaded.
            tokenizer: of the network.
            device: of the network.
            architecture: what the network can't do without, by generate's names.
            reasoning: traces that stand before the answers.
        """
        self._decoding = decoding
        self._network = network
        self._tokenizer = tokenizer
        self._device = device
        self._reasoning = reasoning
        self._read = _Reading(tokenizer, reasoning)
        self._ends = _end_tokens(network, tokenizer)
        self.pad_token: int = next((t for t in (tokenizer.pad_token_id, *sorted(self._ends)) if t is not None), 0)
        network.generation_config = GenerationConfig(
            max_new_tokens=decoding.max_new_tokens,
            do_sample=False,
            num_beams=1,
            use_cache=True,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=self.pad_token,
            **(architecture or {}),
        )

    def answers(self, batch: Sequence[Encoded], inputs: Mapping[str, torch.Tensor], *, num_before: int) -> list[Output]:
        """Run one batch.

        Args:
            batch: its rows; their ids and draws key the noise.
            inputs: what generate is given, rows aligned with `batch`; `input_ids_BT` among them.
            num_before: tokens of a row of generate's result that stand before the answer.

        Shapes: B rows, T input tokens, N new tokens.

        Raises:
            UnusableRow: a row's scores are not finite.
            OutOfMemory: retryable with a smaller budget.
        """
        choice = TokenChoice(self._decoding, batch=batch, prompt_width=num_before)
        opened = [self._read.opened_by(row.tokens) for row in batch]
        stops = _StopStrings(self._read, self._decoding.stop, self._ends, opened=opened, prompt_width=num_before)
        width = inputs["input_ids"].shape[1] + self._decoding.max_new_tokens
        with device_faults(len(batch), width), torch.inference_mode():
            all_BN = self._network.generate(
                **{name: tensor.to(self._device) for name, tensor in inputs.items()},
                logits_processor=[choice],
                stopping_criteria=[stops] if self._decoding.stop else [],
            )
            new_BN = all_BN[:, num_before:].tolist()
            broken = choice.broken_B is not None and bool(choice.broken_B.any())
        if broken:
            raise UnusableRow("non_finite_logits", f"the model's scores overflow in {self._network.dtype}")
        return [self._output(tokens, was_open) for tokens, was_open in zip(new_BN, opened, strict=True)]

    def _output(self, tokens: list[int], opened: bool) -> Output:
        """The answer up to the first end token or stop string, whichever comes first."""
        output, tokens = self._cut(tokens, opened)
        if self._reasoning is None:
            return output

        def tokens_until(characters: int) -> int:
            return bisect_left(range(len(tokens)), characters, key=lambda count: len(self._read.text(tokens[:count])))

        return take_answer(output, self._reasoning, opened=opened, tokens_until=tokens_until)

    def _cut(self, tokens: list[int], opened: bool) -> tuple[Output, list[int]]:
        """All that was generated up to its end, and the tokens of it."""
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        tokens = tokens[:end]
        if self._read.stop_in(tokens, self._decoding.stop, opened=opened) is not None:
            for count in range(1, len(tokens) + 1):
                end_of_text = self._read.stop_in(tokens[:count], self._decoding.stop, opened=opened)
                if end_of_text is not None:
                    text = self._read.text(tokens[:count])[:end_of_text]
                    return Output(text, finish="stop", num_output_tokens=count), tokens[:count]
        finish = "length" if end is None else "stop"
        return Output(self._read.text(tokens), finish=finish, num_output_tokens=len(tokens)), tokens


class _Reading:
    """Tokens as text: special ones left out, but for the tags around a trace."""

    def __init__(self, tokenizer: Any, reasoning: Reasoning | None) -> None:
        self._tokenizer = tokenizer
        self._reasoning = reasoning
        special = set(tokenizer.all_special_ids)
        tags = {f"<{mark}{tag}>" for tag in reasoning.tags for mark in ("", "/")} if reasoning else set()
        known = set(tokenizer.convert_tokens_to_ids(sorted(tags))) - {tokenizer.unk_token_id} if tags else set()
        self._left_out = special - known if special & known else None

    def text(self, tokens: Sequence[int]) -> str:
        """What the tokens say."""
        if self._left_out is None:
            return _decode(self._tokenizer, list(tokens))
        kept = [token for token in tokens if token not in self._left_out]
        return _decode(self._tokenizer, kept, skip_special_tokens=False)

    def opened_by(self, prompt: Sequence[int]) -> bool:
        """Whether a prompt ends inside a trace."""
        if self._reasoning is None:
            return False
        return opens_trace(
            _decode(self._tokenizer, list(prompt[-_TAG_TOKENS:]), skip_special_tokens=False), self._reasoning
        )

    def stop_in(self, tokens: Sequence[int], stops: Sequence[str], *, opened: bool) -> int | None:
        """Where the first stop string of the answer begins in the text; None where there is none yet."""
        if not stops:
            return None
        text = self.text(tokens)
        start = 0 if self._reasoning is None else answer_start(text, self._reasoning, opened=opened)
        found = [] if start is None else [at for stop in stops if (at := text.find(stop, start)) >= 0]
        return min(found, default=None)


class _StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row whose continuation holds a stop string; looks at the text, so no token boundary hides one."""

    def __init__(
        self, read: _Reading, stops: Sequence[str], ends: frozenset[int], *, opened: Sequence[bool], prompt_width: int
    ) -> None:
        self._read = read
        self._stops = stops
        self._ends = ends
        self._opened = opened
        self._prompt_width = prompt_width
        self._done: set[int] = set()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for position, tokens in enumerate(input_ids[:, self._prompt_width :].tolist()):
            if position not in self._done and (tokens[-1] in self._ends or self._stopped(position, tokens)):
                self._done.add(position)
        done = [position in self._done for position in range(len(input_ids))]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

    def _stopped(self, position: int, tokens: list[int]) -> bool:
        return self._read.stop_in(tokens, self._stops, opened=self._opened[position]) is not None


def _decode(tokenizer: Any, tokens: list[int], *, skip_special_tokens: bool = True) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False))


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

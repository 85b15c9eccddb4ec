"""Answers on transformers' generate as the spec's decoding says: greedy or keyed noise, stop strings, one beam.

Of the checkpoint's own generation settings nothing is kept but its end-of-sequence tokens and what the
caller names. Knows a loaded network and its tokenizer; knows no prompt and no template. Callers: the
models that write text. Imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria

from halluc_ray.config.prompting import Decoding, Reasoning
from halluc_ray.models.answers import AnswerReader, end_tokens
from halluc_ray.models.faults import device_faults
from halluc_ray.models.padding import pad_token
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.models.sampling import TokenChoice


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
        self._device = device
        ends = end_tokens(
            network.generation_config.eos_token_id,
            getattr(network.config, "eos_token_id", None),
            tokenizer.eos_token_id,
        )
        self._reader = AnswerReader(decoding, tokenizer=tokenizer, ends=ends, reasoning=reasoning)
        self.pad_token = pad_token(tokenizer.pad_token_id, *sorted(ends))
        network.generation_config = GenerationConfig(
            max_new_tokens=decoding.max_new_tokens,
            do_sample=False,
            num_beams=1,
            use_cache=True,
            eos_token_id=sorted(ends) or None,
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
        opened = [self._reader.opened_by(row.tokens) for row in batch]
        stops = _StopStrings(self._reader, opened=opened, prompt_width=num_before)
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
        return [self._reader.output(tokens, opened=was_open) for tokens, was_open in zip(new_BN, opened, strict=True)]


class _StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row whose continuation holds a stop string; looks at the text, so no token boundary hides one."""

    def __init__(self, reader: AnswerReader, *, opened: Sequence[bool], prompt_width: int) -> None:
        self._reader = reader
        self._opened = opened
        self._prompt_width = prompt_width
        self._done: set[int] = set()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for position, tokens in enumerate(input_ids[:, self._prompt_width :].tolist()):
            if position not in self._done and self._reader.has_ended(tokens, opened=self._opened[position]):
                self._done.add(position)
        done = [position in self._done for position in range(len(input_ids))]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

"""Sequence classification: an encoder or decoder with a classification head, on transformers.

Knows one checkpoint and one template; does not plan batches and knows no outcome. Callers:
`loading` makes it, `execution` runs it. Imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch

from halluc_ray.config import ClassifierSystem
from halluc_ray.models import prompts
from halluc_ray.models.encoder_texts import EncoderTexts
from halluc_ray.models.faults import device_faults
from halluc_ray.models.limits import longest_input
from halluc_ray.models.padding import pad
from halluc_ray.models.pretrained import load_tokenizer
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.records import Sample


class Encoder:
    """A classifier, loaded.

    Attributes:
        draws: 1; a classifier has one answer.
    """

    draws = 1

    def __init__(
        self, system: ClassifierSystem, *, folder: Path, labels: Mapping[str, str], network: Any, device: str
    ) -> None:
        """Put a loaded network beside the tokenizer of a local folder; `labels` names each class, by its id as text.

        Raises:
            ModelError: the folder holds no such model.
            SpecError: a template names no role.
        """
        where = f"systems[{system.name}]"
        self._template = prompts.parse(system.template, where=f"{where}.template")
        self._pair = (
            None
            if system.pair_template is None
            else prompts.parse(system.pair_template, where=f"{where}.pair_template")
        )
        tokenizer = load_tokenizer(folder)
        self._network = network
        self._device = device
        self._labels = {int(index): name for index, name in labels.items()}
        self._pad_token = self._network.config.get_text_config().pad_token_id
        self._side: Literal["left", "right"] = "left" if _pools_the_last_place(self._network) else "right"
        self._texts = EncoderTexts(
            tokenizer,
            limit=min(system.max_input_tokens, longest_input(network, tokenizer)),
            filler=tokenizer.unk_token_id or self._pad_token or 0,
            paired=self._pair is not None,
        )

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Tokenise; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that the template reads, or its text has no token.
        """
        if not samples:
            return []
        first = [prompts.fill_row(self._template, sample) for sample in samples]
        second = None if self._pair is None else [prompts.fill_row(self._pair, sample) for sample in samples]
        coded = zip(samples, self._texts.coded(first, second), strict=True)
        return [Encoded(s.row, 0, s.id, text.tokens, text.segments, text.truncated) for s, text in coded]

    def cost(self, encoded: Encoded) -> int:
        """Tokens of the input."""
        return len(encoded.tokens)

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """Labels and their probabilities.

        Shapes: B rows, T tokens, C classes. The probability is softmax in float64 of the logits.

        Raises:
            UnusableRow: a row's logits are not finite.
            OutOfMemory: retryable with a smaller budget.
        """
        padding = self._padding(batch)
        ids_BT, mask_BT = pad([row.tokens for row in batch], value=padding, side=self._side)
        inputs = {"input_ids": ids_BT, "attention_mask": mask_BT}
        if any(row.segments for row in batch):
            segments = [row.segments or (0,) * len(row.tokens) for row in batch]
            inputs["token_type_ids"] = pad(segments, value=0, side=self._side)[0]
        with device_faults(*ids_BT.shape), torch.inference_mode():
            moved = {name: tensor.to(self._device) for name, tensor in inputs.items()}
            logits_BC = self._logits(moved, padding).double().cpu()
        if not bool(logits_BC.isfinite().all()):
            raise prompts.UnusableRow("non_finite_logits", f"the classifier's logits overflow in {self._network.dtype}")
        best = logits_BC.softmax(-1).max(-1)
        return [
            Output(text=self._labels[index], finish="label", probability=probability)
            for index, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def blank(self, encoded: Encoded) -> Encoded:
        """As many tokens: the special ones of an empty text, around unknown ones."""
        return replace(encoded, tokens=self._texts.blank(len(encoded.tokens)), segments=())

    def close(self) -> None:
        """Free the device."""
        del self._network
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _padding(self, batch: Sequence[Encoded]) -> int:
        """Id that fills rows up: the network's own, else one that no row ends with.

        Decoders with a head read a row's last token that is not padding, by its id; those that name no
        padding read the last of a row that stands alone, whatever it is.
        """
        if self._pad_token is not None:
            return int(self._pad_token)
        last = {row.tokens[-1] for row in batch}
        return next(token for token in count() if token not in last)

    def _logits(self, inputs: Mapping[str, torch.Tensor], padding: int) -> torch.Tensor:
        """Logits under a padding id that the network's config holds for this pass alone: others borrow the network."""
        config = self._network.config.get_text_config()
        config.pad_token_id = padding
        try:
            logits_BC: torch.Tensor = self._network(**inputs).logits
        finally:
            config.pad_token_id = self._pad_token
        return logits_BC


def _pools_the_last_place(network: Any) -> bool:
    """Whether the head reads a row's last place, token or not (XLNet), so that padding has to come first."""
    return getattr(network.config, "summary_type", None) == "last"

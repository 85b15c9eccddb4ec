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
from halluc_ray.models.faults import device_faults
from halluc_ray.models.padding import pad
from halluc_ray.models.pretrained import load_tokenizer, longest_input
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
        where = f"systems.{system.name}"
        self._template = prompts.parse(system.template, where=f"{where}.template")
        self._pair = (
            None
            if system.pair_template is None
            else prompts.parse(system.pair_template, where=f"{where}.pair_template")
        )
        self._tokenizer = load_tokenizer(folder)
        self._network = network
        self._device = device
        self._labels = {int(index): name for index, name in labels.items()}
        self._limit = min(system.max_input_tokens, longest_input(self._network, self._tokenizer))
        self._pad_token = self._network.config.get_text_config().pad_token_id
        self._side: Literal["left", "right"] = "left" if _pools_the_last_place(self._network) else "right"
        self._filler = self._tokenizer.unk_token_id or self._pad_token or 0
        self._frame = self._tokenizer(*[""] * (1 if self._pair is None else 2))["input_ids"]
        self._has_segments = "token_type_ids" in self._tokenizer.model_input_names

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Tokenise; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that the template reads, or its text has no token.
        """
        if not samples:
            return []
        fields = [{**sample.fields, "id": sample.id} for sample in samples]
        first = [prompts.fill(self._template, values) for values in fields]
        second = None if self._pair is None else [prompts.fill(self._pair, values) for values in fields]
        coded = self._tokenizer(first, second, truncation=True, max_length=self._limit, padding=False, verbose=False)
        if not all(coded["input_ids"]):
            raise prompts.UnusableRow("empty_prompt", "the text has no token")
        segments = coded["token_type_ids"] if self._has_segments else [()] * len(samples)
        return [
            Encoded(
                sample.row, 0, sample.id, tuple(tokens), tuple(kinds) if any(kinds) else (), bool(detail.overflowing)
            )
            for sample, tokens, kinds, detail in zip(
                samples, coded["input_ids"], segments, coded.encodings, strict=True
            )
        ]

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
        if self._has_segments and any(row.segments for row in batch):
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
        num_filled = max(0, len(encoded.tokens) - len(self._frame))
        tokens = (*self._frame[:1], *(self._filler,) * num_filled, *self._frame[1:])
        return replace(encoded, tokens=tokens[: len(encoded.tokens)], segments=())

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

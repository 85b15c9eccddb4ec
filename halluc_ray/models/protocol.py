"""What a model is to the engine: encode samples, run one batch, close.

Batches are planned outside (`batches`), so that a batch's composition depends on its shard alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from halluc_ray.records import Sample


@dataclass(frozen=True, slots=True)
class Encoded:
    """One draw of one sample, ready to run.

    Attributes:
        row: offset of the row in its shard.
        draw: which of the k draws of that row.
        id: the sample's id.
        tokens: token ids as fed to the model.
        segments: token type ids where the model has them, else empty.
        truncated: the input was longer than the system's limit and was cut.
        options: the row's options, sorted, where one is to be chosen.
        continuations: token ids of each option, rated after `tokens`.
        pair: token ids of the row's second text, read by itself.
        text: the prompt that a processor lays images into, where there are any.
        images: encoded images.
    """

    row: int
    draw: int
    id: str
    tokens: tuple[int, ...]
    segments: tuple[int, ...] = ()
    truncated: bool = False
    options: tuple[str, ...] = ()
    continuations: tuple[tuple[int, ...], ...] = ()
    pair: tuple[int, ...] = ()
    text: str = ""
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class OptionScore:
    """One option under a language model: natural logarithm of its probability after the prompt, and its length."""

    text: str
    logprob: float
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Output:
    """What the model made of one encoded draw.

    Attributes:
        text: the answer; for a classifier, the label's name; None where there is none to speak of.
        finish: `stop`, `length`, `label`, `choice` or `tie`; None for a matcher.
        num_output_tokens: tokens generated (0 for a classifier).
        probability: of the predicted label, for classifiers.
        raw_text: all that was generated, where `text` is a part of it.
        num_reasoning_tokens: of the tokens generated, where a trace was looked for.
        logprob: natural logarithm of the output's probability, where it is known.
        similarity: cosine, of a matcher.
        option_scores: of each option, sorted by its text.
        failure: why this output is no answer, in snake_case; the unit fails with it.
    """

    text: str | None
    finish: str | None
    num_output_tokens: int = 0
    probability: float | None = None
    raw_text: str | None = None
    num_reasoning_tokens: int | None = None
    logprob: float | None = None
    similarity: float | None = None
    option_scores: tuple[OptionScore, ...] | None = None
    failure: str | None = None


class Model(Protocol):
    """A loaded model.

    Raises: ModelError for what can never work; OutOfMemory when the batch did not fit; anything
    else that `run` raises is taken as the fault of a row of the batch and isolated.
    """

    @property
    def draws(self) -> int:
        """Answers per sample; a row that can't be run fails as many units."""

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """One entry per sample and draw, in order."""

    def cost(self, encoded: Encoded) -> int:
        """Tokens that the draw occupies in a batch: its input and what it may generate."""

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """Outputs of one batch, aligned with it."""

    def blank(self, encoded: Encoded) -> Encoded:
        """A harmless stand-in of the same length, so that the rest of its batch keeps its bytes."""

    def close(self) -> None:
        """Free the device."""

"""How the next token is chosen: temperature, nucleus, and noise that belongs to the unit.

Sampling is the Gumbel-max trick: the largest of score + Gumbel noise is a draw from softmax(score).
The noise is a function of (seed, id, draw, position) through a counter-based generator, so that a
draw is the same whatever shares its batch, wherever it runs. Callers: `generation`, `vllm_backend`. Imports torch.

Reference: E. J. Gumbel, Statistical Theory of Extreme Values (1954), and C. J. Maddison, D. Tarlow,
T. Minka, A* Sampling (2014), section 2; the generator is Philox4x64 of J. K. Salmon et al. (2011).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

from halluc_ray.config import Decoding
from halluc_ray.models.protocol import Encoded


def gumbel_noise(num_tokens: int, *, seed: int, sample_id: str, draw: int, position: int) -> npt.NDArray[np.float64]:
    """Standard Gumbel noise of one unit at one output position.

    Args:
        num_tokens: size of the vocabulary.
        seed: the decoding's seed.
        sample_id: the sample's id.
        draw: which of its draws.
        position: output position, from 0.

    Returns:
        float64 of shape `(num_tokens,)`, finite.
    """
    key = unit_key(seed=seed, sample_id=sample_id, draw=draw)
    raw = np.random.Philox(key=key, counter=position << 128).random_raw(num_tokens)
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(-np.log(uniform))


def unit_key(*, seed: int, sample_id: str, draw: int) -> int:
    """128 bits that belong to one unit: key of its noise.

    Args:
        seed: the decoding's seed.
        sample_id: the sample's id.
        draw: which of its draws.
    """
    key = hashlib.blake2b(f"{seed}\0{draw}\0{sample_id}".encode(), digest_size=16).digest()
    return int.from_bytes(key, "little")


class TokenChoice(LogitsProcessor):  # type: ignore[misc]
    """Makes arg max the decoding's choice, and remembers rows whose scores are not finite.

    Attributes:
        broken_B: rows that had a NaN, or nothing finite, at some step.
    """

    def __init__(self, decoding: Decoding, *, batch: Sequence[Encoded], prompt_width: int) -> None:
        self._decoding = decoding
        self._batch = batch
        self._prompt_width = prompt_width
        self._warpers: list[LogitsProcessor] = []
        if decoding.temperature > 0:
            self._warpers.append(TemperatureLogitsWarper(float(decoding.temperature)))
            if decoding.top_p < 1:
                self._warpers.append(TopPLogitsWarper(decoding.top_p))
        self.broken_B: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of the next token, `scores_BV` (B rows, V tokens) in, same out."""
        broken_B = ~scores.amax(-1).isfinite()
        self.broken_B = broken_B if self.broken_B is None else self.broken_B | broken_B
        for warp in self._warpers:
            scores = warp(input_ids, scores)
        if self._decoding.temperature == 0:
            return scores
        position = input_ids.shape[1] - self._prompt_width
        noise_BV = np.stack([self._noise(row, scores.shape[1], position) for row in self._batch])
        return scores.double() + torch.from_numpy(noise_BV).to(scores.device)

    def _noise(self, row: Encoded, num_tokens: int, position: int) -> npt.NDArray[np.float64]:
        return gumbel_noise(num_tokens, seed=self._decoding.seed, sample_id=row.id, draw=row.draw, position=position)

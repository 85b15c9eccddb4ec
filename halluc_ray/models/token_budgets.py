"""Token budgets: tokens of a padded batch, by what a kind does with them, by device and weights.

    kind                                                      cpu    cuda
    sequence-classification, embedder, dual-encoder           1,024  131,072 below 0.2 G weights, 65,536 below 1 G,
                                                                     else 16,384
    causal-lm, seq2seq-lm, image-text-to-text, choices        4,096  65,536 below 1 G weights, 32,768 below 4 G,
                                                                     16,384 below 16 G, else 8,192

An encoder reads once, and small batches stay in a core's caches; a decoding step is memory-bound, so that rows share
the weights.

The CPU column is measured; the CUDA column is sized so that activations and key-value caches stay well
inside 40 GiB and are to be tuned per card.

Pure: a function of these, never a measurement. Caller: `numerics`.
"""

from __future__ import annotations

from halluc_ray.models.devices import Device
from halluc_ray.models.kinds import KINDS

_CPU_BUDGETS = {"reads": 1_024, "decodes": 4_096}
_CUDA_BUDGETS = {
    "reads": ((200_000_000, 131_072), (1_000_000_000, 65_536)),
    "decodes": ((1_000_000_000, 65_536), (4_000_000_000, 32_768), (16_000_000_000, 16_384)),
}
_CUDA_FLOORS = {"reads": 16_384, "decodes": 8_192}


def auto_token_budget(kind: str, *, device_kind: Device, num_parameters: int) -> int:
    """Tokens per padded batch, from the module's table.

    >>> auto_token_budget("causal-lm", device_kind="cuda", num_parameters=8_000_000_000)
    16384
    """
    use = KINDS[kind].batches
    if device_kind == "cpu":
        return _CPU_BUDGETS[use]
    return next((budget for below, budget in _CUDA_BUDGETS[use] if num_parameters < below), _CUDA_FLOORS[use])

"""Cosines of embeddings, in float64.

Knows vectors, no model. Callers: `dual_encoder`, `embedder`. Imports torch.
"""

from __future__ import annotations

import torch

from halluc_ray.models.prompts import UnusableRow


def cosines(one: torch.Tensor, other: torch.Tensor) -> list[float]:
    """Cosine of each row of one with the same row of the other, from -1 to 1.

    Shapes: both (B, D): B rows, D dimensions.

    Raises:
        UnusableRow: an embedding is not finite, or is zero and points nowhere.
    """
    one_BD, other_BD = one.double(), other.double()
    norms_B = one_BD.norm(dim=-1) * other_BD.norm(dim=-1)
    if not bool(norms_B.isfinite().all()):
        raise UnusableRow("non_finite_embedding", "an embedding overflows in the system's dtype")
    if not bool((norms_B > 0).all()):
        raise UnusableRow("zero_embedding", "an embedding is zero, so that it has no direction")
    cosine_B = (one_BD * other_BD).sum(-1) / norms_B
    return [float(value) for value in cosine_B.clamp(-1.0, 1.0)]

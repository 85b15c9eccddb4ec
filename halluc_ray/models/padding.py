"""Token ids of a batch as rectangular tensors.

Knows widths and sides, no model. Callers: the models. Imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch


def pad(
    rows: Sequence[Sequence[int]], *, value: int, side: Literal["left", "right"] = "right"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad rows to the longest.

    Args:
        rows: token ids.
        value: id of the padding token.
        side: where the padding goes; decoding needs `left`, so that every row ends at the same place.

    Returns:
        `ids_BT` and `mask_BT`, int64; the mask is 1 on tokens and 0 on padding.

    Shapes: B rows, T tokens of the longest row.
    """
    width = max(len(row) for row in rows)
    ids_BT = np.full((len(rows), width), value, dtype=np.int64)
    mask_BT = np.zeros((len(rows), width), dtype=np.int64)
    for position, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids_BT[position, place] = row
        mask_BT[position, place] = 1
    return torch.from_numpy(ids_BT), torch.from_numpy(mask_BT)


def pad_token(*known: int | None) -> int:
    """The first id that there is, else 0: the mask hides what it stands on."""
    return next((token for token in known if token is not None), 0)

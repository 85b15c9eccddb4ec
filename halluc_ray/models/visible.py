"""Token ids as a person reads them: plain text, special tokens, and what was cut, told apart.

Pure on a tokenizer that it is given. Called by the preview.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any


class PieceKind(StrEnum):
    """What a stretch of a prompt is to the model."""

    TEXT = "text"
    SPECIAL = "special"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a prompt."""

    kind: PieceKind
    text: str


def pieces_of(tokenizer: Any, kept: Sequence[int], *, whole: Sequence[int] | None = None) -> list[Piece]:
    """A prompt in pieces, in its order.

    Args:
        tokenizer: of the model.
        kept: ids that the model is fed.
        whole: ids before the cut; None where nothing was cut.
    """
    whole = kept if whole is None else whole
    start, stop = cut_of(kept, whole)
    cut = [Piece(PieceKind.CUT, _decode(tokenizer, list(whole[start:stop])))] if start < stop else []
    return [*_pieces(tokenizer, kept[:start]), *cut, *_pieces(tokenizer, kept[start:])]


def cut_of(kept: Sequence[int], whole: Sequence[int]) -> tuple[int, int]:
    """Where in `whole` the one stretch lies that `kept` lacks.

    >>> cut_of([0, 3, 4], [0, 1, 2, 3, 4])
    (1, 3)
    """
    num_cut = max(len(whole) - len(kept), 0)
    start = 0
    while num_cut and start < len(kept) and list(kept[start:]) != list(whole[start + num_cut :]):
        start += 1
    return start, start + num_cut


def _pieces(tokenizer: Any, ids: Sequence[int]) -> Iterator[Piece]:
    """Special tokens one by one, what stands between them together: a character may take several tokens."""
    special = set(tokenizer.all_special_ids) | {
        index for index, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    for is_special, run in groupby(ids, key=special.__contains__):
        if is_special:
            yield from (Piece(PieceKind.SPECIAL, _decode(tokenizer, [token])) for token in run)
        else:
            yield Piece(PieceKind.TEXT, _decode(tokenizer, list(run)))


def _decode(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

"""Texts of the models that read and write nothing, as tokens: cut at the end, counted, and their stand-ins.

Knows a tokenizer and a limit; knows no template and no network. Callers: `encoder`, `embedder`,
`dual_encoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from halluc_ray.models.prompts import UnusableRow


class CodedText(NamedTuple):
    """A text, or a pair of texts: its ids, its token types where any differs from 0, and whether it was cut."""

    tokens: tuple[int, ...]
    segments: tuple[int, ...]
    truncated: bool


class EncoderTexts:
    """Codes the texts of one model.

    Args:
        tokenizer: of the model.
        limit: tokens that a text may have, the special ones included.
        filler: id that stands for a word of a stand-in.
        paired: two segments are read as one.
    """

    def __init__(self, tokenizer: Any, *, limit: int, filler: int, paired: bool = False) -> None:
        self._tokenizer = tokenizer
        self._limit = limit
        self._filler = filler
        self._frame: list[int] = tokenizer(*[""] * (2 if paired else 1))["input_ids"]

    def coded(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> list[CodedText]:
        """Ids of each text, or of each pair.

        Args:
            texts: one per row.
            seconds: second segments, aligned with `texts`.

        Raises:
            UnusableRow: a text has no token.
        """
        found = self._tokenizer(
            list(texts), seconds, truncation=True, max_length=self._limit, padding=False, verbose=False
        )
        if not all(found["input_ids"]):
            raise UnusableRow("empty_prompt", "the text has no token")
        segments = found.get("token_type_ids") or [()] * len(texts)
        return [
            CodedText(tuple(ids), tuple(types) if any(types) else (), bool(detail.overflowing))
            for ids, types, detail in zip(found["input_ids"], segments, found.encodings, strict=True)
        ]

    def blank(self, length: int) -> tuple[int, ...]:
        """As many tokens: the special ones of an empty text around fillers."""
        filled = (self._filler,) * max(0, length - len(self._frame))
        return (*self._frame[:1], *filled, *self._frame[1:])[:length]

"""One corpus row as a model sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: who speaks (`system`, `user`, `assistant`, `tool`), and what."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model is given for one corpus row.

    Attributes:
        row: offset of the row in its shard's row range, before any selection.
        id: the row's id as text; where the corpus has none, its location.
        fields: texts by placeholder: a mapped role (`prompt`, `context`, ...) or a corpus column; one
            whose value is null is absent.
        turns: the row's conversation, where a system reads `messages`.
        images: encoded images (PNG, JPEG, ...), where a system reads `image`.
        options: what may be chosen from, sorted, where a system reads `options`.
    """

    row: int
    id: str
    fields: Mapping[str, str]
    turns: tuple[Turn, ...] = ()
    images: tuple[bytes, ...] = ()
    options: tuple[str, ...] = ()

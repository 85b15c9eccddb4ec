"""Conversations of a corpus: lists of {role, content}, as Arrow lists or as JSON text.

Pure on Arrow. What is no conversation is null and marked. Called by row reading.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from halluc_ray.engine.roles import Texts, to_texts

_TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def to_turns(array: pa.Array) -> Texts:
    """Each row's turns; positions of those that are no conversation are marked.

    >>> to_turns(pa.array(['[{"role": "user", "content": "Hi"}]', "Hi", None])).undecodable.to_pylist()
    [False, True, False]
    """
    bad = np.zeros(len(array), dtype=bool)
    stored = array.to_pylist()
    if not _holds_lists(array.type):
        texts = to_texts(array)
        stored, bad = texts.values.to_pylist(), texts.undecodable.to_numpy(zero_copy_only=False).copy()
    turns: list[list[dict[str, str]] | None] = []
    for position, value in enumerate(stored):
        found = _turns(value)
        bad[position] |= found is None and value is not None
        turns.append(found)
    return Texts(pa.array(turns, _TURNS), pa.array(bad))


def _holds_lists(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _turns(value: Any) -> list[dict[str, str]] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list) or not value:
        return None
    turns = []
    for turn in value:
        if not isinstance(turn, dict):
            return None
        role, content = _text(turn.get("role")), _text(turn.get("content"))
        if role is None or content is None:
            return None
        turns.append({"role": role, "content": content})
    return turns


def _text(value: Any) -> str | None:
    """A text that UTF-8 can hold: JSON may have half of a surrogate pair."""
    try:
        if isinstance(value, str):
            value = value.encode("utf-8")
        return value.decode("utf-8") if isinstance(value, bytes) else None
    except UnicodeError:
        return None

"""From corpus columns of many types to the few that models and indicators see.

Pure on Arrow. Says at planning time which types a role may have, and at run time turns values into
text, marking each value that can't be. Called by the plan (`check_roles`) and by row reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.errors import SpecError


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def _is_code(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_day(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(_is_code(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_texts(kind: pa.DataType) -> bool:
    return _is_list(kind) and (_is_text(kind.value_type) or pa.types.is_null(kind.value_type))


def _is_turns(kind: pa.DataType) -> bool:
    if not _is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    names = [field.name for field in kind.value_type]
    return all(name in names and _is_text(kind.value_type.field(name).type) for name in ("role", "content"))


def _is_images(kind: pa.DataType) -> bool:
    if _is_list(kind):
        return _is_images(kind.value_type) and not _is_list(kind.value_type)
    if pa.types.is_struct(kind):
        return {field.name for field in kind} >= {"bytes", "path"}
    return _is_text(kind)


BETWEEN_PASSAGES = "\n\n"
Accepts = Callable[[pa.DataType], bool]

_ALLOWED: dict[str, tuple[str, Accepts]] = {
    "text": ("text (string or UTF-8 bytes)", _is_text),
    "name": ("text or integers", lambda kind: _is_text(kind) or _is_code(kind)),
    "answers": (
        "text, integers, booleans or a list of these",
        lambda kind: (
            _is_text(kind)
            or _is_code(kind)
            or (_is_list(kind) and (_is_text(kind.value_type) or _is_code(kind.value_type)))
            or (_is_list(kind) and pa.types.is_null(kind.value_type))
        ),
    ),
    "passages": ("text, or a list of texts", lambda kind: _is_text(kind) or _is_texts(kind)),
    "words": (
        "text, numbers, booleans, dates or a list of texts",
        lambda kind: _is_text(kind) or _is_number(kind) or _is_day(kind) or _is_texts(kind),
    ),
    "turns": ("a list of {role, content}, or that as JSON text", lambda kind: _is_text(kind) or _is_turns(kind)),
    "images": ("image bytes, paths or URIs, {bytes, path}, or a list of these", _is_images),
    "verdict": ("booleans, numbers or text", lambda kind: _is_text(kind) or _is_number(kind)),
    "cell": (
        "text, integers, booleans or dates (a cell of a slice needs exact values)",
        lambda kind: _is_text(kind) or _is_code(kind) or _is_day(kind),
    ),
    "number": ("numbers or booleans", _is_number),
    "any": ("any type", lambda kind: True),
}

ROLE_NEEDS = {
    "id": "name",
    "prompt": "text",
    "messages": "turns",
    "context": "passages",
    "image": "images",
    "options": "answers",
    "response": "text",
    "reference": "answers",
    "label": "verdict",
}


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """One use of a corpus column: which key of the spec names it, and what it must be."""

    key: str
    column: str
    needs: str

    def check(self, schema: pa.Schema, uri: str) -> None:
        """Refuse a type that can't serve; a column of nulls alone may have any.

        Raises:
            SpecError: naming the key, the column, its type, the file, and what is allowed.
        """
        kind = schema.field(self.column).type
        wording, accepts = _ALLOWED[self.needs]
        if not accepts(kind) and not pa.types.is_null(kind):
            raise SpecError(f"{self.key}: column {self.column!r} holds {kind} in {uri}; it must hold {wording}")


@dataclass(frozen=True, slots=True)
class Texts:
    """A role's values, and the positions whose bytes are not UTF-8 (null in `values`)."""

    values: pa.Array
    undecodable: pa.Array


def to_texts(array: pa.Array) -> Texts:
    """Text of each value: strings as they are, bytes decoded, integers and booleans written out."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if pa.types.is_boolean(kind):
        return Texts(pc.if_else(array, "true", "false"), _none(len(array)))
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)) and (
        not pa.types.is_fixed_size_binary(kind)
    ):
        return Texts(array.cast(pa.string()), _none(len(array)))
    return _decode(array)


def _decode(array: pa.Array) -> Texts:
    try:
        return Texts(array.cast(pa.binary()).cast(pa.string()), _none(len(array)))
    except pa.ArrowInvalid:
        values: list[str | None] = []
        bad = np.zeros(len(array), dtype=bool)
        for position, value in enumerate(array.to_pylist()):
            try:
                values.append(None if value is None else value.decode("utf-8"))
            except UnicodeDecodeError:
                values.append(None)
                bad[position] = True
        return Texts(pa.array(values, pa.string()), pa.array(bad))


def to_words(array: pa.Array) -> Texts:
    """Any column that a template may name as text; a list's texts are joined by an empty line.

    Nulls inside a list are dropped; an empty list is null.
    """
    if not _is_list(array.type):
        return to_texts(array)
    lists = to_answers(array)
    return Texts(pc.binary_join(lists.values, BETWEEN_PASSAGES), lists.undecodable)


def to_answers(array: pa.Array) -> Texts:
    """Lists of acceptable answers: one text becomes a list of one; nulls inside a list are dropped.

    An empty list, or one of nulls only, is no reference: null. A list with undecodable bytes is
    null and marked.
    """
    if not _is_list(array.type):
        texts = to_texts(array)
        return Texts(_wrap(texts.values), texts.undecodable)
    lists = array.cast(pa.large_list(array.type.value_type))
    flat = to_texts(pc.list_flatten(lists))
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy()
    parent = np.repeat(np.arange(len(array)), lengths)
    bad = np.zeros(len(array), dtype=bool)
    bad[parent[flat.undecodable.to_numpy(zero_copy_only=False)]] = True
    kept = flat.values.is_valid().to_numpy(zero_copy_only=False) & ~bad[parent]
    sizes = np.bincount(parent[kept], minlength=len(array))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    packed = pa.ListArray.from_arrays(
        pa.array(offsets), flat.values.filter(pa.array(kept)), mask=pa.array(sizes == 0) if len(array) else None
    )
    return Texts(packed, pa.array(bad))


def _wrap(values: pa.Array) -> pa.Array:
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int32)
    mask = pa.array(~valid) if len(values) else None
    return pa.ListArray.from_arrays(pa.array(offsets), values.drop_null(), mask=mask)


def _none(length: int) -> pa.Array:
    return pa.array(np.zeros(length, dtype=bool))

"""Values on their way from a record to an Arrow column: casts, joins, JSON text, and the kinds of a column.

A column's kind is the narrowest that holds every value seen: kinds form a lattice, and `widened` is its
join. Pure; nothing is rounded or dropped by widening: integers among numbers are texts until it is known that
the column holds no text, so that a 3 becomes the text 3 and never 3.0. Callers: the mapping, the writer.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import pyarrow as pa

from halluc_ray.corpora.importing.paths import kind_name
from halluc_ray.corpora.importing.records import RowProblem

_INT64 = range(-(2**63), 2**63)
_EXACT_IN_FLOAT = range(-(2**53), 2**53 + 1)


class Kind(Enum):
    """What a column holds."""

    NULL = "null"
    BOOL = "true or false"
    INT = "integer"
    LONG = "integer beyond 2^53"
    FLOAT = "number"
    MIXED = "number, written as integer or not"
    TEXT = "text"
    JSON = "JSON text"
    BYTES = "bytes"
    INTS = "list of integers"
    LONGS = "list of integers beyond 2^53"
    FLOATS = "list of numbers"
    MIXEDS = "list of numbers, written as integers or not"
    TEXTS = "list of texts"
    BLOBS = "list of bytes"


ARROW = {
    Kind.NULL: pa.string(),
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    Kind.LONG: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.MIXED: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.JSON: pa.string(),
    Kind.BYTES: pa.binary(),
    Kind.INTS: pa.list_(pa.int64()),
    Kind.LONGS: pa.list_(pa.int64()),
    Kind.FLOATS: pa.list_(pa.float64()),
    Kind.MIXEDS: pa.list_(pa.string()),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.BLOBS: pa.list_(pa.binary()),
}
_OF_TYPE = {
    type(None): Kind.NULL,
    bool: Kind.BOOL,
    float: Kind.FLOAT,
    str: Kind.TEXT,
    bytes: Kind.BYTES,
    dict: Kind.JSON,
}
_NUMBERS = {Kind.INT, Kind.LONG, Kind.FLOAT, Kind.MIXED}
_SCALARS = _NUMBERS | {Kind.BOOL, Kind.TEXT}
_LISTS = {Kind.INTS, Kind.LONGS, Kind.FLOATS, Kind.MIXEDS, Kind.TEXTS}
_OF_BYTES = {Kind.BYTES, Kind.BLOBS}


def kind_of(value: Any) -> Kind:
    """The kind of one value. Lists of texts and numbers are lists of texts; what is nested deeper is JSON."""
    if (plain := _OF_TYPE.get(type(value))) is not None:
        return plain
    match value:
        case int():
            return Kind.INT if value in _EXACT_IN_FLOAT else Kind.LONG if value in _INT64 else Kind.TEXT
        case list() | tuple():
            return _list_kind({_shallow(element) for element in value} - {Kind.NULL})
        case Mapping():
            return Kind.JSON
        case _:
            return Kind.TEXT


def widened(one: Kind, other: Kind) -> Kind | None:
    """The narrowest kind that holds both; None for bytes beside anything else."""
    if one == other or other is Kind.NULL:
        return one
    if one is Kind.NULL:
        return other
    both = {one, other}
    if both & _OF_BYTES:
        return Kind.BLOBS if both == _OF_BYTES else None
    if both <= {Kind.INT, Kind.FLOAT, Kind.MIXED}:
        return Kind.MIXED
    if both == {Kind.INT, Kind.LONG}:
        return Kind.LONG
    if both == {Kind.INTS, Kind.LONGS}:
        return Kind.LONGS
    if both <= {Kind.INTS, Kind.FLOATS, Kind.MIXEDS}:
        return Kind.MIXEDS
    if both <= _SCALARS:
        return Kind.TEXT
    if both <= _SCALARS | _LISTS:
        return Kind.TEXTS
    return Kind.JSON


def settled(kind: Kind) -> Kind:
    """What a column holds when all its values are known: integers among numbers are numbers."""
    return {Kind.MIXED: Kind.FLOAT, Kind.MIXEDS: Kind.FLOATS}.get(kind, kind)


def fitted(value: Any, kind: Kind) -> Any:
    """The value as an element of a column of that kind, which holds it."""
    if value is None:
        return None
    match kind:
        case Kind.TEXT | Kind.MIXED | Kind.NULL:
            return plain_text(value)
        case Kind.JSON:
            return value if isinstance(value, str) else json_text(value)
        case Kind.FLOAT:
            return float(value)
        case Kind.FLOATS:
            return [None if element is None else float(element) for element in value]
        case Kind.TEXTS | Kind.MIXEDS:
            elements = value if isinstance(value, list | tuple) else [value]
            return [None if element is None else plain_text(element) for element in elements]
        case Kind.BLOBS:
            return list(value) if isinstance(value, list | tuple) else [value]
        case _:
            return value


def plain_text(value: Any) -> str:
    """A scalar as text: JSON's spelling of numbers and booleans, ISO 8601 for times.

    >>> plain_text(True), plain_text(3), plain_text(0.5)
    ('true', '3', '0.5')
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case Mapping() | list() | tuple():
            return json_text(value)
        case _:
            return str(value)


def json_text(value: Any) -> str:
    """The value as JSON text.

    Raises:
        RowProblem: it holds bytes, or nests too deeply.
    """
    try:
        return json.dumps(value, ensure_ascii=False, default=_scalar)
    except RecursionError as error:
        raise RowProblem("nested too deeply", "the value nests hundreds of levels; map what is needed of it") from error


def joined(value: Any, separator: str) -> str:
    """A list's elements as one text; a text as it is."""
    if isinstance(value, list | tuple):
        return separator.join(plain_text(element) for element in value if element is not None)
    return plain_text(value)


def _shallow(element: Any) -> Kind:
    return Kind.JSON if isinstance(element, list | tuple) else kind_of(element)


def _list_kind(kinds: set[Kind]) -> Kind:
    if kinds <= {Kind.BYTES}:
        return Kind.BLOBS if kinds else Kind.TEXTS
    if kinds <= {Kind.INT, Kind.LONG}:
        return Kind.LONGS if Kind.LONG in kinds else Kind.INTS
    if kinds <= {Kind.INT, Kind.FLOAT}:
        return Kind.MIXEDS if Kind.INT in kinds else Kind.FLOATS
    return Kind.TEXTS if kinds <= _SCALARS else Kind.JSON


def _scalar(value: Any) -> str:
    if isinstance(value, bytes):
        raise RowProblem("bytes inside a nested value", "bytes can't be JSON text; map the path of the bytes itself")
    return plain_text(value)


def _as_int(value: Any) -> int:
    match value:
        case int():
            return int(value)
        case float() if value.is_integer():
            return int(value)
        case str():
            try:
                return int(value)
            except ValueError:
                pass
    raise RowProblem("not an integer", f"{kind_name(value)} is no integer")


def _as_float(value: Any) -> float:
    if isinstance(value, int | float | decimal.Decimal | str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isnan(number) or isinstance(value, float):
            return number
    raise RowProblem("not a number", f"{kind_name(value)} is no number")


def _as_bool(value: Any) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str) and (found := known.get(str(value).strip().lower())) is not None:
        return found
    raise RowProblem("neither true nor false", f"{kind_name(value)} is none of {', '.join(known)}")


def _elementwise(cast: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def over(value: Any) -> Any:
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return [None if element is None else cast(element) for element in value]
        return cast(value)

    return over


CASTS: dict[str, Callable[[Any], Any]] = {
    "text": _elementwise(plain_text),
    "int": _elementwise(_as_int),
    "float": _elementwise(_as_float),
    "bool": _elementwise(_as_bool),
}

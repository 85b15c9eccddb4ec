"""A JSON document that holds many records: an array, objects one after another, or a list inside an object.

Streamed with ijson, so that memory is bounded by one record. Not read through `datasets`, whose reader
loads a whole document. A document that breaks off keeps the records before the break; one that breaks
in the middle can't be read past it, and is an error. Caller: `reading`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO

import ijson

from halluc_ray.corpora.importing.lines import Nans, numbered_lines, parsed, record_or_rejection
from halluc_ray.corpora.importing.records import Place, Record, Rejection
from halluc_ray.corpora.importing.surrogates import MARK, HalfPairs
from halluc_ray.errors import InputError

_HEAD_BYTES = 64 << 10
_CUT = re.compile(r"premature EOF|incomplete|parse error: unterminated", re.IGNORECASE)
_NAN = re.compile(rb"[\s:,\[](-?Infinity|NaN)\b")


def read_document(
    stream: BinaryIO, *, name: str, uri: str, records: str | None, nan_as_null: bool
) -> Iterator[Record | Rejection]:
    """Every record of the document.

    Args:
        stream: UTF-8, past its mark.
        name: of the file, for places.
        uri: of the file, for errors.
        records: dotted path of the list that holds the records, where the document is one object.
        nan_as_null: read NaN as null instead of refusing the record.

    Raises:
        InputError: no JSON, broken in the middle, or one object without a word where its records are.
    """
    head = stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]  # type: ignore[attr-defined]
    first = head.lstrip()[:1]
    if not first:
        return
    if first not in (b"[", b"{"):
        raise InputError(f"{uri} is no JSON: it begins with {head.lstrip()[:20]!r}; say --format if it is another one")
    if records is not None:
        yield from _streamed(stream, f"{records}.item", name, uri)
    elif first == b"[":
        yield from _streamed(stream, "item", name, uri)
    elif _one_per_line(head):
        yield from _lines(stream, name, nan_as_null)
    else:
        yield from _objects(stream, name, uri)


def _one_per_line(head: bytes) -> bool:
    """Whether the first line is an object of its own, and another line follows."""
    line, feed, rest = head.lstrip().partition(b"\n")
    if not feed or not rest.strip():
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _lines(stream: BinaryIO, name: str, nan_as_null: bool) -> Iterator[Record | Rejection]:
    nans = Nans(as_null=nan_as_null)
    decoder = json.JSONDecoder(parse_constant=nans)
    filled = ((number, offset, data) for number, offset, data in numbered_lines(stream) if data.strip())
    for row, (number, offset, data) in enumerate(filled):
        yield parsed(data, Place(name, row, line=number, byte=offset), decoder, nans)


def _objects(stream: BinaryIO, name: str, uri: str) -> Iterator[Record | Rejection]:
    """Objects one after another, over any number of lines; a single one must say where its records are."""
    held: list[Record | Rejection] = []
    count = 0
    for found in _streamed(stream, "", name, uri):
        count += 1
        if count == 1:
            held.append(found)
            continue
        yield from held
        held.clear()
        yield found
    if count == 1 and isinstance(alone := held[0], Record) and (lists := _lists_of_objects(alone.value)):
        raise InputError(f"{uri} is one object; its records may be in {' or '.join(lists)}: say --records {lists[0]}")
    yield from held


def _lists_of_objects(value: Any, before: str = "") -> list[str]:
    found = []
    for key, inner in value.items():
        path = f"{before}{key}"
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            found.append(path)
        elif isinstance(inner, dict):
            found += _lists_of_objects(inner, f"{path}.")
    return found


def _streamed(stream: BinaryIO, prefix: str, name: str, uri: str) -> Iterator[Record | Rejection]:
    counted = _Tail(stream)
    row = 0
    values = ijson.items(counted, prefix, multiple_values=not prefix, buf_size=_HEAD_BYTES)
    while True:
        try:
            value = next(values)
        except StopIteration:
            break
        except ijson.JSONError as error:
            if _is_cut(error, counted):
                yield Rejection(
                    Place(name, row),
                    "cut at the end of the file",
                    "the file ends in the middle of a record, and what came after is missing; copy or write it again",
                )
                return
            raise InputError(_broken(error, counted, uri, row)) from error
        except ValueError as error:
            raise InputError(_broken(error, counted, uri, row)) from error
        try:
            yield _record(value, Place(name, row), counted)
        except RecursionError:
            told = "the value nests hundreds of levels; map what is needed of it"
            yield Rejection(Place(name, row), "nested too deeply", told)
        row += 1
    if not row and prefix not in ("", "item"):
        raise InputError(f"{uri}: no list at {prefix.removesuffix('.item')!r}; --records is the path of the list")


def _record(value: Any, place: Place, counted: _Tail) -> Record | Rejection:
    if counted.halves.marked and MARK in json.dumps(value, ensure_ascii=False, default=str):
        told = "an escape such as \\ud83d stands for no letter without its other half; escape whole pairs"
        return Rejection(place, "half a surrogate pair", told)
    return record_or_rejection(_with_floats(value), place)


def _with_floats(value: Any) -> Any:
    """The value with floats for decimals; integers of any size stay what they are."""
    match value:
        case Decimal():
            return float(value)
        case dict():
            return {key: _with_floats(inner) for key, inner in value.items()}
        case list():
            return [_with_floats(inner) for inner in value]
        case _:
            return value


def _is_cut(error: Exception, counted: _Tail) -> bool:
    return counted.ended and bool(_CUT.search(_words(error)))


def _broken(error: Exception, counted: _Tail, uri: str, row: int) -> str:
    about = f"within the {_HEAD_BYTES >> 10} KiB before byte {counted.offset}"
    if nan := _NAN.search(counted.last):
        return (
            f"{uri}: {nan[1].decode()} {about}, after {row:,} records, which is not JSON; "
            "write null, or one object a line, where --nan null reads it"
        )
    words = " ".join(_words(error).split())
    return (
        f"{uri}: broken JSON {about}, after {row:,} records ({words[:200]}); the records after it can't be told apart: "
        "mend the file, or write one object a line, where a broken line costs only itself"
    )


def _words(error: Exception) -> str:
    """An error's text; the parser's own message may hold a piece of the file as bytes."""
    first = error.args[0] if error.args else error
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)


class _Tail:
    """A stream that knows how far it was read, holds the last block and marks halves of surrogate pairs."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner
        self.offset = 0
        self.last = b""
        self.ended = False
        self.halves = HalfPairs()

    def read(self, size: int) -> bytes:
        if not size:  # asked what kind of stream this is
            return b""
        block = self._inner.read(size)
        while block and not (data := self.halves.feed(block)):
            block = self._inner.read(size)
        if not block:
            data = self.halves.feed(b"")
        if data:
            self.last = data
        else:
            self.ended = True
        self.offset += len(data)
        return data

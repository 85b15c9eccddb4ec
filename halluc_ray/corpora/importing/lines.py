"""JSON Lines, line by line: each line that can't be read is one rejection with its line and byte.

Not read through `datasets`: its JSON reader stops at the first broken line of a block of megabytes and
names neither line nor byte. Memory is bounded by the longest line that is taken. Caller: `reading`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from halluc_ray.corpora.importing.paths import kind_name
from halluc_ray.corpora.importing.records import Place, Record, Rejection

MAX_LINE_BYTES = 16 << 20
_RAW_BYTES = 2_000


class NotJson(ValueError):
    """A literal that JSON does not have: NaN, Infinity."""


class Nans:
    """What to do with the literals NaN and Infinity: refuse them, or read null and count."""

    def __init__(self, *, as_null: bool) -> None:
        self.as_null = as_null
        self.found = 0

    def __call__(self, literal: str) -> None:
        """Called by the JSON parser for each."""
        if not self.as_null:
            raise NotJson(literal)
        self.found += 1

    def taken(self) -> int:
        """How many since the last call."""
        found, self.found = self.found, 0
        return found


def read_lines(stream: BinaryIO, *, name: str, nan_as_null: bool) -> Iterator[Record | Rejection]:
    """Every line that is not blank, as a record or a rejection."""
    nans = Nans(as_null=nan_as_null)
    decoder = json.JSONDecoder(parse_constant=nans)
    row = 0
    for number, offset, data in numbered_lines(stream):
        if not data.strip():
            continue
        place = Place(name, row, line=number, byte=offset)
        row += 1
        yield parsed(data, place, decoder, nans)


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Line number from 1, byte offset and bytes; of a line above the limit, one byte more than the limit."""
    number = offset = 0
    while data := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        start = offset
        offset += len(data)
        if len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
            while rest := stream.readline(MAX_LINE_BYTES):
                offset += len(rest)
                if rest.endswith(b"\n"):
                    break
        yield number, start, data


def parsed(data: bytes, place: Place, decoder: json.JSONDecoder, nans: Nans) -> Record | Rejection:
    """One line as a record, or why not."""
    raw = data[:_RAW_BYTES].decode(errors="replace").rstrip("\r\n")
    if len(data) > MAX_LINE_BYTES:
        return Rejection(
            place, "line too long", f"longer than {MAX_LINE_BYTES >> 20} MiB; is a line feed missing? split it", raw
        )
    if b"\0" in data:
        at = data.index(b"\0")
        return Rejection(
            place, "NUL byte", f"a NUL byte at column {at + 1}; the file was cut, or is UTF-16 (say --encoding)", raw
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return Rejection(
            place,
            "not UTF-8",
            f"byte {place.byte_at(error.start)} is {data[error.start : error.start + 1]!r}; if the whole file is in "
            "another encoding, say --encoding",
            raw,
        )
    try:
        value, end = decoder.raw_decode(text := text.strip())
    except NotJson as error:
        nans.taken()
        return Rejection(place, "NaN or Infinity", f"{error} is not JSON; write null, or say --nan null", raw)
    except json.JSONDecodeError as error:
        nans.taken()
        return Rejection(place, *_fault(data, error), raw)
    except ValueError:
        nans.taken()
        return Rejection(place, "number too long", "an integer of thousands of digits; write it as text", raw)
    except RecursionError:
        return Rejection(place, "nested too deeply", "the object nests hundreds of levels; flatten it", raw)
    if rest := text[end:].strip():
        nans.taken()
        return Rejection(
            place,
            "more than one value on the line",
            f"after the first comes {rest[:40]!r}; a line holds one object",
            raw,
        )
    return record_or_rejection(value, place, nans.taken(), raw)


def record_or_rejection(value: Any, place: Place, nan_fields: int = 0, raw: str = "") -> Record | Rejection:
    """The value as a record, where it is an object."""
    if isinstance(value, dict):
        return Record(place, value, nan_fields)
    return Rejection(
        place,
        "not an object",
        f"{kind_name(value)} where an object with named fields is needed",
        raw or repr(value)[:_RAW_BYTES],
    )


def _fault(data: bytes, error: json.JSONDecodeError) -> tuple[str, str]:
    unfinished = error.pos >= len(error.doc) or "Unterminated string" in error.msg
    if unfinished and not data.endswith(b"\n"):
        told = "the file ends in the middle of an object, and what came after is missing; copy or write it again"
        return "cut at the end of the file", told
    if error.doc.startswith("[") and unfinished:
        return "not JSON", "an array over several lines; if the file is one JSON array, say --format json"
    if error.doc.startswith("{") and unfinished:
        return "not JSON", "an object over several lines; if objects are spread over lines, say --format json"
    found = error.doc[error.pos : error.pos + 20]
    return "not JSON", f"{error.msg} at column {error.pos + 1}, where {found!r} stands"

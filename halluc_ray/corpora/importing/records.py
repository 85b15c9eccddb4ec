"""What readers hand on: records with their place, and rejections with their reason.

Knows no format and no mapping. Callers: every reader, the mapping, the writer of rejections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_RAW_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies in its source.

    Attributes:
        file: name of the file, relative to the source.
        row: records before it in the file, rejected ones included.
        line: 1-based line where it begins, for text.
        byte: offset where it begins, for text.
    """

    file: str
    row: int
    line: int | None = None
    byte: int | None = None

    def byte_at(self, offset: int) -> int:
        """Offset in the file of a byte of the record."""
        return (self.byte or 0) + offset

    def __str__(self) -> str:
        """As a person looks it up.

        >>> str(Place("a.jsonl", 3, line=4, byte=120)), str(Place("a.parquet", 3))
        ('a.jsonl line 4 (byte 120)', 'a.parquet row 3')
        """
        if self.line is None:
            return f"{self.file} row {self.row}"
        return f"{self.file} line {self.line}" + ("" if self.byte is None else f" (byte {self.byte})")


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the source holds it."""

    place: Place
    value: Mapping[str, Any]
    nan_fields: int = 0
    """NaN and infinite literals that were read as null."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One record that can't be taken.

    Attributes:
        place: where it lies.
        reason: a few words that many rejections share; they are counted by it.
        detail: what exactly, and what to do.
        raw: the beginning of it as it stands in the source.
    """

    place: Place
    reason: str
    detail: str
    raw: str = ""

    def as_json(self) -> dict[str, Any]:
        """One line of `_rejected.jsonl`."""
        place = {"file": self.place.file, "row": self.place.row, "line": self.place.line, "byte": self.place.byte}
        known = {key: value for key, value in place.items() if value is not None}
        return known | {"reason": self.reason, "detail": self.detail, "raw": self.raw[:MAX_RAW_CHARACTERS]}


class RowProblem(Exception):
    """A record can't be mapped; becomes a Rejection where the place is known."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

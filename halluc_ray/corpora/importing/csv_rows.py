"""CSV and TSV, record by record: a ragged or undecodable record is one rejection with its line.

Not read through `datasets`: its reader is pandas', which stops at the first ragged record and guesses
types. Here every cell is text, and an empty cell is null. Caller: `reading`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from halluc_ray.corpora.importing.lines import MAX_LINE_BYTES, numbered_lines
from halluc_ray.corpora.importing.records import Place, Record, Rejection
from halluc_ray.errors import InputError

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
_HEAD_BYTES = 64 << 10
_HEAD_RECORDS = 50


def read_csv(stream: BinaryIO, *, name: str, uri: str, delimiter: str | None = None) -> Iterator[Record | Rejection]:
    """Every record below the header.

    Args:
        stream: UTF-8 bytes, past their mark.
        name: of the file, for places.
        uri: of the file, for errors.
        delimiter: one character; found from the first records where None.

    Raises:
        InputError: no header, two columns of one name, a line or a quote without end.
    """
    head = stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]  # type: ignore[attr-defined]
    if b"\r" in head and b"\n" not in head:
        raise InputError(f"{uri}: its lines end in carriage returns alone; convert them to line feeds")
    if delimiter is None:
        delimiter = detected_delimiter(head)
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = _Lines(stream, uri)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header = _header(reader, uri)
    row = 0
    while True:
        line = reader.line_num + 1
        place = Place(name, row, line=line, byte=lines.offset)
        lines.start_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Rejection(place, "broken quotes", _quote_fault(error, line, reader.line_num, uri), lines.raw())
            row += 1
            continue
        if not cells:
            continue
        row += 1
        yield _record(header, cells, place, lines.raw())


def detected_delimiter(head: bytes) -> str:
    r"""The delimiter under which the first records have the most columns, and most often equally many.

    >>> detected_delimiter(b"id;text\n1;one, two\n"), detected_delimiter(b"alone\n1\n")
    (';', ',')
    """
    text = head.decode(errors="replace")
    best = (0.0, ",")
    for delimiter in DELIMITERS:
        try:
            records = [cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if cells]
        except csv.Error:
            continue
        widths = [len(cells) for cells in records[:_HEAD_RECORDS]]
        if not widths or widths[0] < 2:
            continue
        alike = Counter(widths)[widths[0]] / len(widths)
        best = max(best, (alike + widths[0] / 1000, delimiter), key=lambda found: found[0])
    return best[1]


def _header(reader: Iterator[list[str]], uri: str) -> list[str]:
    try:
        cells = next(reader)
    except StopIteration:
        raise InputError(f"{uri} is empty; a CSV file begins with its column names") from None
    except csv.Error as error:
        raise InputError(f"{uri} line 1: the header can't be read ({error}); say --delimiter, or mend it") from error
    names = [cell.strip() or f"column {position}" for position, cell in enumerate(cells, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{uri} line 1: two columns are called {twice[0]!r}; rename one")
    if any("\udc80" <= letter <= "\udcff" for name in names for letter in name):
        raise InputError(f"{uri} line 1: the header is not UTF-8; say --encoding, such as cp1252 or gb18030")
    return names


def _record(header: list[str], cells: list[str], place: Place, raw: str) -> Record | Rejection:
    if len(cells) != len(header):
        return Rejection(
            place,
            "ragged",
            f"{len(cells)} cells under {len(header)} columns; is a cell with the delimiter or a quote in it unquoted?",
            raw,
        )
    for name, cell in zip(header, cells, strict=True):
        if not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell):
            return Rejection(
                place, "not UTF-8", f"column {name!r} holds bytes that are no UTF-8; say --encoding if all do", raw
            )
        if "\0" in cell:
            return Rejection(place, "NUL byte", f"column {name!r} holds a NUL byte; mend the record", raw)
    return Record(place, {name: cell or None for name, cell in zip(header, cells, strict=True)})


def _quote_fault(error: csv.Error, first: int, last: int, uri: str) -> str:
    words = str(error)
    if "field larger" in words or "unexpected end" in words:
        raise InputError(
            f"{uri}: a quote opened in the record at line {first} is not closed until line {last}, so the records "
            "after it can't be told apart; close it, or double it if it is part of the text"
        ) from error
    if first == last:
        return f"line {first}: {words}; inside quotes a quote is written twice"
    return (
        f"lines {first} to {last}: {words}; inside quotes a quote is written twice. If the quote at line {first} is "
        f"not meant to go on, the {last - first} lines after it are records of their own, which are left out with it"
    )


class _Lines:
    """Lines as text for the parser; bytes that are no UTF-8 stay recognisable. Keeps the record's beginning."""

    def __init__(self, stream: BinaryIO, uri: str) -> None:
        self._numbered = numbered_lines(stream)
        self._uri = uri
        self._raw = ""
        self.offset = 0

    def start_record(self) -> None:
        self._raw = ""

    def raw(self) -> str:
        """The beginning of the record as it stands."""
        return self._raw[:1_000].rstrip("\r\n").encode(errors="replace").decode()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, start, data = next(self._numbered)
        if len(data) > MAX_LINE_BYTES:
            raise InputError(
                f"{self._uri} line {number} is longer than {MAX_LINE_BYTES >> 20} MiB; do its lines end in line feeds?"
            )
        self.offset = start + len(data)
        text = data.decode(errors="surrogateescape")
        if len(self._raw) < 1_000:
            self._raw += text[:1_000]
        return text

"""From a record to corpus rows: the mapping applied, an id given, the record's other fields kept, texts checked.

Counts what a person must be told: paths that were never found, nulls, fields left out. Knows neither
formats nor Parquet. Caller: the import.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from halluc_ray.corpora.importing.paths import MISSING, kind_name
from halluc_ray.corpora.importing.records import Place, Record, RowProblem
from halluc_ray.corpora.importing.values import Kind, json_text, kind_of, plain_text
from halluc_ray.errors import InputError

ALWAYS_TEXT = ("id", "prompt", "response")
Keep = Literal["scalars", "all", "none"] | frozenset[str]
Row = dict[str, Any]
MAX_COLUMNS = 1_000
_MAX_SEEN = 100


class Mapper(Protocol):
    """A mapping that a user wrote, or one of a harness."""

    @property
    def names(self) -> tuple[str, ...]:
        """The output columns that are known before a record is read."""

    @property
    def fields(self) -> frozenset[str]:
        """Fields of the record that become a column as they are, and are not kept a second time."""

    @property
    def touched(self) -> frozenset[str]:
        """Fields of which at least a part is read; that the rest is left out needs no word."""

    def rows(self, record: Record) -> Iterator[tuple[dict[str, Any], int | None]]:
        """Values by column, and the place within an exploded record. Raises RowProblem."""


@dataclass(slots=True)
class RowBuilder:
    """Makes rows, and counts.

    Attributes:
        mapper: what becomes of a record.
        id_from_row: the id is the file's name and the row's number in it.
        keep: which unmapped fields of a record become columns too.
        filled: column -> rows that have a value.
        found: columns that some record had a value or a null for.
        seen_fields: the first fields of records, for a hint.
        left_out: fields that were not kept because they are nested.
        renamed: kept field -> column, where the field's name was taken.
    """

    mapper: Mapper
    id_from_row: bool
    keep: Keep
    filled: Counter[str] = field(default_factory=Counter)
    found: set[str] = field(default_factory=set)
    seen_fields: dict[str, None] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)
    _columns: dict[str, str] = field(default_factory=dict)
    _names: frozenset[str] = frozenset()
    _fields: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Look up once what every record needs."""
        self._names = frozenset(self.mapper.names)
        self._fields = self.mapper.fields

    def build(self, record: Record) -> list[Row]:
        """The rows of one record.

        Raises:
            RowProblem: the record can't be mapped.
            InputError: the records have more different fields than a table can hold.
        """
        kept = self._kept_fields(record.value)
        rows = []
        for values, position in self.mapper.rows(record):
            row = {column: self._value(column, value) for column, value in values.items()}
            id = self._id(values, record.place)
            row["id"] = id if position is None else f"{id}#{position}"
            rows.append({"id": row["id"]} | row | kept)
        return rows

    def count(self, row: Row) -> None:
        """Count the values of a row that is written."""
        self.filled.update(column for column, value in row.items() if value is not None)

    def check_found(self) -> None:
        """Refuse a mapping of which a column, or a field to keep, was found in no record.

        Raises:
            InputError: names the columns, and the fields that records have.
        """
        fields = ", ".join(list(self.seen_fields)[:30])
        if lost := [name for name in self.mapper.names if name not in self.found]:
            raise InputError(
                f"no record has what is mapped to {', '.join(lost)}; records have the fields {fields}; mend --map"
            )
        if isinstance(self.keep, frozenset) and (lost := sorted(self.keep - self._kept)):
            raise InputError(f"no record has the field {', '.join(lost)}; there are {fields}; mend --keep")

    def _id(self, values: Mapping[str, Any], place: Place) -> str:
        if self.id_from_row:
            return f"{place.file}:{place.row}"
        value = values["id"]
        if value is MISSING or value is None or value == "" or value != value:
            raise RowProblem("no id", "the id is null, empty, NaN or missing; map another path, or say --id row")
        if kind_of(value) not in (Kind.TEXT, Kind.INT, Kind.LONG, Kind.FLOAT):
            raise RowProblem("no id", f"the id is {kind_name(value)}; map text or a number, or say --id row")
        return plain_text(value)

    def _value(self, column: str, value: Any) -> Any:
        if value is MISSING:
            return None
        self.found.add(column)
        if column in ALWAYS_TEXT and value is not None and kind_of(value) not in (Kind.BYTES, Kind.BLOBS):
            value = plain_text(value)
        return storable(value)

    def _kept_fields(self, record: Mapping[str, Any]) -> Row:
        if len(self.seen_fields) < _MAX_SEEN:
            self.seen_fields.update(dict.fromkeys(record))
        if self.keep == "none":
            return {}
        kept = {}
        for name, value in record.items():
            if self._is_kept(name, value):
                kept[self._free_name(name)] = storable(value)
        return kept

    def _is_kept(self, name: str, value: Any) -> bool:
        if name in self._kept:
            return True
        if isinstance(self.keep, frozenset):
            if name in self.keep:
                self._kept.add(name)
            return name in self.keep
        if name in self._fields or name in self.left_out or value is None:
            return False
        if self.keep == "scalars" and isinstance(value, Mapping | list | tuple | bytes):
            self.left_out.add(name)
            return False
        self._kept.add(name)
        if len(self._kept) > MAX_COLUMNS:
            raise InputError(
                f"records have more than {MAX_COLUMNS:,} different fields, such as {name[:40]!r}; say --keep none, or "
                "name what to keep"
            )
        return True

    def _free_name(self, name: str) -> str:
        """The column of a kept field: its name, or one that neither the mapping nor another field has."""
        if (known := self._columns.get(name)) is not None:
            return known
        taken = self._names | set(self._columns.values()) | ({"id"} if self.id_from_row else set())
        column = name
        while not column or column in taken:
            column = f"source_{column}"
        self._columns[name] = column
        if column != name:
            self.renamed[name] = column
        return column


class JsonText(str):
    """Text that stands for a nested value."""

    __slots__ = ()


def storable(value: Any) -> Any:
    """The value as a column can hold it: nested ones as JSON text, texts checked to be UTF-8.

    Raises:
        RowProblem: half a surrogate pair, or bytes in a nested value.
    """
    kind = kind_of(value)
    if kind is Kind.JSON:
        value = JsonText(json_text(value))
    if isinstance(value, str):
        return checked_text(value)
    if kind is Kind.TEXTS:
        return [None if element is None else checked_text(plain_text(element)) for element in value]
    return checked_text(plain_text(value)) if kind is Kind.TEXT else value


def checked_text(text: str) -> str:
    """The text, if it can be UTF-8. Raises RowProblem."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RowProblem(
                "half a surrogate pair",
                f"{text[error.start]!r} at character {error.start} stands for no letter; escape whole pairs",
            ) from error
    return text

"""What an import is asked for, how far it is, and what it did: plain data.

Callers: the import, its manifest, the command line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from halluc_ray.corpora.importing.duplicates import Duplicates
from halluc_ray.corpora.importing.reading import ReadingOptions
from halluc_ray.corpora.importing.records import Rejection
from halluc_ray.corpora.importing.rows import Keep, Mapper
from halluc_ray.corpora.importing.values import Kind


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What to make of a source.

    Attributes:
        mapper: from record to columns.
        described: the mapping as the user gave it, for the manifest.
        reading: how files are read.
        id_from_row: ids are the file's name and the row's number.
        keep: which other fields of a record become columns.
        limit: records to read.
        overwrite: replace an earlier import.
    """

    mapper: Mapper
    described: str
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    id_from_row: bool = False
    keep: Keep = "scalars"
    limit: int | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is; bytes are those stored in the source, and unknown for the hub."""

    bytes_read: int
    bytes_total: int
    records: int
    rejected: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did.

    Attributes:
        uri: where the corpus is.
        records: read from the source.
        imported: of these, taken.
        rows: what they became.
        rejected: reason -> records.
        examples: reason -> the first rejection of it.
        files: Parquet files.
        columns: column -> what it holds.
        nulls: column -> rows without a value.
        duplicates: rows whose id another row has before them.
        left_out: nested fields that were not kept.
        renamed: kept field -> column, where its name was taken.
        nan_as_null: NaN literals that were read as null.
    """

    uri: str
    records: int
    imported: int
    rows: int
    rejected: dict[str, int]
    examples: dict[str, Rejection]
    files: int
    columns: dict[str, Kind]
    nulls: dict[str, int]
    duplicates: Duplicates
    left_out: tuple[str, ...]
    renamed: dict[str, str]
    nan_as_null: int

    @property
    def rejected_share(self) -> float:
        """Rejected records over all records."""
        return sum(self.rejected.values()) / self.records if self.records else 0.0

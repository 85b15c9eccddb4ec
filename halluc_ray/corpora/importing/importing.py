"""The import: read a source, map its records, write a Parquet corpus with its manifest, account for every record.

records = imported + rejected; rows = what imported records became (one each, or more where a list is exploded).
Knows the order of things; each step is a module of its own. Caller: the command line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from halluc_ray.corpora.importing.account import ImportOptions, ImportProgress, ImportResult
from halluc_ray.corpora.importing.duplicates import Duplicates, IdHashes
from halluc_ray.corpora.importing.manifest import file_entries, manifest_text, source_entries
from halluc_ray.corpora.importing.publishing import MANIFEST, REJECTED, target
from halluc_ray.corpora.importing.reading import read_records, source_files
from halluc_ray.corpora.importing.records import MAX_RAW_CHARACTERS, Record, Rejection, RowProblem
from halluc_ray.corpora.importing.rows import RowBuilder
from halluc_ray.corpora.importing.sources import HubDataset, Source, SourceFile, find_source
from halluc_ray.corpora.importing.writer import CorpusWriter
from halluc_ray.errors import ConservationError, InputError, SpecError, StoreError
from halluc_ray.storage.publishing import Target

_TELL_EVERY = 256


def import_corpus(
    source: str, out: str, options: ImportOptions, *, on_progress: Callable[[ImportProgress], None] | None = None
) -> ImportResult:
    """Write the source's records as a Parquet corpus.

    Args:
        source: a file, folder, glob, `s3://` URI, saved dataset or hub id.
        out: a folder or `s3://bucket/prefix`; it appears whole or not at all.
        options: mapping and more.
        on_progress: called now and then.

    Raises:
        SpecError: no id is mapped.
        InputError: the source can't be read as a whole, a mapped column is in no record, no record could be
            taken, or OUT holds something.
        InputChanged: a file of the source changed while it was read.
        StoreError: OUT can't be written; retryable where the store may recover.
    """
    if "id" not in options.mapper.names and not options.id_from_row:
        raise SpecError("no column is mapped to id; add id=PATH to --map, or say --id row (file name and row number)")
    if "id" in options.mapper.names and options.id_from_row:
        raise SpecError("--id row and a mapping of id exclude each other; leave one out")
    found = find_source(source, format=options.reading.format)
    files = source_files(found, options.reading)
    with target(out, overwrite=options.overwrite) as place:
        try:
            return _Import(found, files, options, place, on_progress).run()
        except OSError as error:
            raise StoreError(
                f"can not write {place.staging}: {error.strerror or error}; free some space, or choose another OUT"
            ) from error


class _Import:
    """One import under way."""

    def __init__(
        self,
        source: Source,
        files: tuple[SourceFile, ...],
        options: ImportOptions,
        place: Target,
        on_progress: Callable[[ImportProgress], None] | None,
    ) -> None:
        self._source, self._files, self._options, self._place = source, files, options, place
        self._on_progress = on_progress
        self._rows = RowBuilder(options.mapper, options.id_from_row, options.keep)
        self._writer = CorpusWriter(place.staging)
        self._ids = IdHashes(place.staging / "ids")
        self._bytes = self._records = self._imported = self._written = self._nans = 0
        self._rejected: Counter[str] = Counter()
        self._examples: dict[str, Rejection] = {}

    def run(self) -> ImportResult:
        """Read everything, then publish."""
        # half a surrogate pair, from a field's name, is written as JSON's own escape of it
        with (self._place.staging / REJECTED).open("w", encoding="utf-8", errors="backslashreplace") as rejected:
            for found in self._read():
                self._take(found, rejected)
        parts = self._writer.close()
        duplicates = self._ids.count([part.path for part in parts])
        (self._place.staging / "ids").rmdir()
        self._check(sum(part.rows for part in parts))
        self._told()
        result = self._result(len(parts), duplicates)
        names = [part.path.name for part in parts] + ([REJECTED] if self._rejected else [])
        if not self._rejected:
            (self._place.staging / REJECTED).unlink()
        text = manifest_text(
            result,
            options=self._options,
            source=source_entries(self._source, self._files),
            files=file_entries(parts),
        )
        (self._place.staging / MANIFEST).write_text(text, encoding="utf-8")
        self._place.publish([*names, MANIFEST])
        return result

    def _read(self) -> Iterator[Record | Rejection]:
        records = read_records(self._source, self._files, self._options.reading, on_bytes=self._count_bytes)
        for found in records:
            if self._options.limit is not None and self._records >= self._options.limit:
                records.close()  # type: ignore[attr-defined]
                return
            self._records += 1
            if self._records % _TELL_EVERY == 0:
                self._told()
            yield found

    def _take(self, found: Record | Rejection, rejected: TextIO) -> None:
        if isinstance(found, Record):
            try:
                rows = self._rows.build(found)
                for row in rows:
                    self._writer.check(row)
            except RowProblem as problem:
                raw = _raw(found.value)
                found = Rejection(found.place, problem.reason, problem.detail, raw)
            else:
                for row in rows:
                    self._writer.add(row)
                    self._rows.count(row)
                    self._ids.add(row["id"])
                self._imported += 1
                self._written += len(rows)
                self._nans += found.nan_fields
                return
        self._rejected[found.reason] += 1
        self._examples.setdefault(found.reason, found)
        rejected.write(json.dumps(found.as_json(), ensure_ascii=False) + "\n")

    def _check(self, rows_in_files: int) -> None:
        if not self._records:
            raise InputError("the source holds no record; check that it is the right file")
        if not self._imported:
            first = next(iter(self._examples.values()))
            raise InputError(
                f"none of {self._records:,} records could be taken; the first, {first.place}: {first.reason}: "
                f"{first.detail}"
            )
        self._rows.check_found()
        if self._imported + sum(self._rejected.values()) != self._records or rows_in_files != self._written:
            raise ConservationError(
                f"{self._records:,} records were read, {self._imported:,} imported, "
                f"{sum(self._rejected.values()):,} rejected; {self._written:,} rows made, {rows_in_files:,} written"
            )

    def _result(self, files: int, duplicates: Duplicates) -> ImportResult:
        return ImportResult(
            uri=self._place.uri,
            records=self._records,
            imported=self._imported,
            rows=self._written,
            rejected=dict(self._rejected.most_common()),
            examples=self._examples,
            files=files,
            columns=self._writer.kinds,
            nulls={column: self._null_rows(column) for column in self._writer.kinds},
            duplicates=duplicates,
            left_out=tuple(sorted(self._rows.left_out - self._options.mapper.touched)),
            renamed=dict(sorted(self._rows.renamed.items())),
            nan_as_null=self._nans,
        )

    def _null_rows(self, column: str) -> int:
        return self._written - self._rows.filled[column]

    def _count_bytes(self, count: int) -> None:
        self._bytes += count

    def _told(self) -> None:
        if self._on_progress is not None:
            total = 0 if isinstance(self._source, HubDataset) else sum(file.file.size for file in self._files)
            self._on_progress(ImportProgress(self._bytes, total, self._records, sum(self._rejected.values())))


def _raw(value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(value, default=repr)[:MAX_RAW_CHARACTERS]
    except RecursionError:
        return ""

"""From a SOURCE to its records, whatever the format: the one place that chooses a reader.

Callers: the import, the look at a source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from halluc_ray.corpora.importing.csv_rows import DELIMITERS, read_csv
from halluc_ray.corpora.importing.json_values import read_document
from halluc_ray.corpora.importing.lines import read_lines
from halluc_ray.corpora.importing.records import Record, Rejection
from halluc_ray.corpora.importing.sources import Format, HubDataset, SavedDataset, Source, SourceFile
from halluc_ray.corpora.importing.streams import OnBytes, opened
from halluc_ray.corpora.importing.tables import read_arrow, read_hub, read_parquet, saved_files
from halluc_ray.errors import InputError, SpecError
from halluc_ray.storage.files import CorpusFile


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How files are read, where they do not say it themselves.

    Attributes:
        format: of files whose name does not tell it.
        delimiter: of CSV; found from the first records where None.
        encoding: of text.
        records: path of the list of records in a JSON document that is one object.
        split: of a saved or hub dataset.
        config: of a hub dataset.
        nan_as_null: read the literals NaN and Infinity as null instead of refusing the record.
    """

    format: Format | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    records: str | None = None
    split: str | None = None
    config: str | None = None
    nan_as_null: bool = False

    def __post_init__(self) -> None:
        """Refuse what no reader can take.

        Raises:
            SpecError: an encoding that is not known, a delimiter of several characters.
        """
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise SpecError(
                f"--encoding {self.encoding!r} is not known; such as utf-8, utf-16, cp1252, gb18030"
            ) from error
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise SpecError(
                f"--delimiter {self.delimiter!r} is not one character; such as {' '.join(map(repr, DELIMITERS))}"
            )


def source_files(source: Source, options: ReadingOptions) -> tuple[SourceFile, ...]:
    """The files behind a source; none for the hub.

    Raises:
        InputError: a saved dataset whose files or split are not there; an option that does not fit.
    """
    match source:
        case HubDataset():
            return ()
        case SavedDataset(path):
            found = []
            for file in saved_files(source, split=options.split):
                stat = file.stat()
                corpus_file = CorpusFile(str(file), stat.st_size, str(stat.st_mtime_ns))
                found.append(SourceFile(corpus_file, file.relative_to(path).as_posix(), "arrow"))
            return tuple(found)
        case tuple():
            if options.split is not None:
                raise InputError("--split is for saved and hub datasets; name the files of the split instead")
            return source
        case other:
            assert_never(other)


def read_records(
    source: Source, files: tuple[SourceFile, ...], options: ReadingOptions, *, on_bytes: OnBytes
) -> Iterator[Record | Rejection]:
    """Every record of the source, in order of its files.

    Raises:
        InputError: a file that can't be read as a whole; see the readers.
    """
    if isinstance(source, HubDataset):
        yield from read_hub(source, name=options.config, split=options.split)
    for file in files:
        yield from _read_file(file, options, on_bytes)


def _read_file(file: SourceFile, options: ReadingOptions, on_bytes: OnBytes) -> Iterator[Record | Rejection]:
    if file.file.size == 0:
        raise InputError(f"{file.file.uri} is empty (0 bytes); write it again or leave it out")
    match file.format:
        case "parquet":
            yield from read_parquet(file)
            on_bytes(file.file.size)
        case "arrow":
            yield from read_arrow(file)
            on_bytes(file.file.size)
        case "jsonl" | "json" | "csv" | "tsv":
            with opened(file, on_bytes=on_bytes, encoding=options.encoding) as stream:
                match file.format:
                    case "jsonl":
                        yield from read_lines(stream, name=file.name, nan_as_null=options.nan_as_null)
                    case "json":
                        yield from read_document(
                            stream,
                            name=file.name,
                            uri=file.file.uri,
                            records=options.records,
                            nan_as_null=options.nan_as_null,
                        )
                    case "csv" | "tsv":
                        tab = "\t" if file.format == "tsv" else None
                        delimiter = options.delimiter or tab
                        yield from read_csv(stream, name=file.name, uri=file.file.uri, delimiter=delimiter)
        case other:
            assert_never(other)

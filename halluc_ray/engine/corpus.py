"""The planned corpus: files, footers, digests, and whether the columns can serve.

Reads footers and cached digests, decodes no rows. Called by the plan.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from halluc_ray.config import RunSpec
from halluc_ray.config.expression import Condition
from halluc_ray.engine.roles import ROLE_NEEDS, ColumnUse
from halluc_ray.errors import SpecError
from halluc_ray.storage.corpus_parquet import open_parquet
from halluc_ray.storage.digests import digests
from halluc_ray.storage.files import CorpusFile, list_files

_READERS = 8


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One corpus file.

    Attributes:
        file: where it lies and which version is meant.
        digest: of its bytes.
        group_rows: rows of each row group.
        column_bytes: uncompressed bytes of each column.
        schema: its Arrow schema.
    """

    file: CorpusFile
    digest: str
    group_rows: tuple[int, ...]
    column_bytes: dict[str, int]
    schema: pa.Schema

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return sum(self.group_rows)


def read_corpus(spec: RunSpec) -> tuple[PlannedFile, ...]:
    """List the files, read their footers, digest their bytes; ordered by digest, so that names do not matter.

    Raises:
        InputError: nothing there, or a file that is no whole Parquet file.
    """
    files = list_files(spec.corpus.uri, endpoint=spec.store.endpoint, region=spec.store.region)
    with ThreadPoolExecutor(_READERS) as pool:
        footers = list(pool.map(_footer, files))
    planned = [
        PlannedFile(file, name, *footer) for file, name, footer in zip(files, digests(files), footers, strict=True)
    ]
    return tuple(sorted(planned, key=lambda found: (found.digest, found.file.uri)))


def _footer(file: CorpusFile) -> tuple[tuple[int, ...], dict[str, int], pa.Schema]:
    with open_parquet(file) as parquet:
        metadata = parquet.metadata
        sizes: dict[str, int] = {}
        groups = []
        for g in range(metadata.num_row_groups):
            group = metadata.row_group(g)
            groups.append(group.num_rows)
            for c in range(group.num_columns):
                column = group.column(c)
                name = column.path_in_schema.split(".")[0]
                sizes[name] = sizes.get(name, 0) + column.total_uncompressed_size
        return tuple(groups), sizes, parquet.schema_arrow


def column_uses(
    spec: RunSpec, raw: Iterable[tuple[str, str]], placeholders: Iterable[tuple[str, str]] = ()
) -> Iterator[ColumnUse]:
    """Every use that the spec makes of a corpus column.

    Args:
        spec: the run.
        raw: (key, column) of the corpus columns that indicators read by name.
        placeholders: (key, column) of those that templates name.
    """
    for role, column in spec.corpus.columns.mapped().items():
        yield ColumnUse(f"corpus.columns.{role}", column, ROLE_NEEDS[role])
    if spec.corpus.cluster:
        yield ColumnUse("corpus.cluster", spec.corpus.cluster, "name")
    for k, entry in enumerate(spec.slice_columns()):
        for column in entry:
            yield ColumnUse(f"slices[{k}]", column, "cell")
    for k, summary in enumerate(spec.summaries):
        if summary.column is not None:
            yield ColumnUse(f"summaries[{k}].column", summary.column, "number")
    for k, system in enumerate(spec.systems):
        if system.kind == "recorded" and system.name_from:
            yield ColumnUse(f"systems[{k}].name_from", system.name_from, "name")
    for key, column in raw:
        yield ColumnUse(key, column, "any")
    for key, column in placeholders:
        yield ColumnUse(key, column, "words")


def check_columns(
    files: Sequence[PlannedFile], uses: Sequence[ColumnUse], conditions: Sequence[tuple[str, Condition]]
) -> None:
    """Refuse a spec whose columns are not in every file, or can't serve there.

    Raises:
        SpecError: naming key, column, file, and what is there.
    """
    seen: list[pa.Schema] = []
    for planned in files:
        if any(planned.schema.equals(schema) for schema in seen):
            continue
        seen.append(planned.schema)
        names = planned.schema.names
        for use in uses:
            if names.count(use.column) != 1:
                raise SpecError(_missing(use, names, planned.file.uri))
            use.check(planned.schema, planned.file.uri)
        for key, condition in conditions:
            condition.check(planned.schema, path=f"{key} ({planned.file.uri})")


def _missing(use: ColumnUse, names: Sequence[str], uri: str) -> str:
    if use.column in names:
        return f"{use.key}: {uri} has {names.count(use.column)} columns called {use.column!r}; keep one"
    near = difflib.get_close_matches(use.column, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if use.needs == "words" and use.column in ROLE_NEEDS:
        return f"{use.key} reads {{{use.column}}}: set corpus.columns.{use.column} to the column that holds it"
    return f"{use.key}: there is no column {use.column!r} in {uri}; it has {', '.join(names) or 'none'}{hint}"

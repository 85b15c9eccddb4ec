"""Read a shard's rows: decode, select, and bring the columns to the types that models and indicators see.

Knows Parquet, roles and the selection; knows no system's model, indicator or Ray. Called by the plan,
shard runs and the preview.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from halluc_ray.config import Corpus
from halluc_ray.engine.conversations import to_turns
from halluc_ray.engine.roles import Texts, to_answers, to_texts, to_words
from halluc_ray.engine.rows import ShardRows
from halluc_ray.engine.selection import Selection, select
from halluc_ray.errors import InputError
from halluc_ray.records import Shard, ShardSource
from halluc_ray.storage.corpus_parquet import open_parquet
from halluc_ray.storage.files import CorpusFile, verify_unchanged
from halluc_ray.storage.plain_types import plain_schema, plain_table

_AS_STORED = frozenset({"id", "label", "image"})
_NO_COLUMN = "\x00rows"
"""Carries the number of rows where no column is read."""


class RowReader:
    """Reads shards of a planned corpus, keeping the last row group decoded for its other slices."""

    def __init__(self, files: Mapping[str, CorpusFile], *, corpus: Corpus, selection: Selection) -> None:
        self._files = files
        self._corpus = corpus
        self._selection = selection
        self._open: tuple[str, pq.ParquetFile] | None = None
        self._decoded: dict[tuple[str, int, int, tuple[str, ...]], pa.Table] = {}

    def read(self, shard: Shard, *, columns: Collection[str]) -> ShardRows:
        """Selected rows with every mapped role among `columns`, and the raw columns themselves.

        Raises:
            InputError: bytes of the planned file that can't be decoded, with file, row group and column;
                or texts beyond what one shard holds.
            InputChanged: the file is not the one that was planned.
        """
        with within_capacity(self._place(shard.source), num_rows=shard.source.num_rows):
            return self._read(shard, columns)

    def _read(self, shard: Shard, columns: Collection[str]) -> ShardRows:
        source = shard.source
        mapped = self._corpus.columns.mapped()
        where = self._selection.where
        first = set(where.columns if where else ()) | ({mapped["id"]} if "id" in mapped else set())
        head = self._slice(source, first)
        known = self._known_ids(head)
        ids = known if not known.null_count else pc.coalesce(known, self._places(source))
        selected = select(head, ids, self._selection)
        positions = pa.array(selected.positions)
        without_id = known.take(positions).null_count if "id" in mapped else 0
        rest = set(columns) - first
        table = head.take(positions)
        if rest:
            tail = self._slice(source, rest) if len(positions) else self._nothing(source, rest)
            for name in tail.column_names:
                table = table.append_column(name, tail.column(name).take(positions))
        verify_unchanged(self._files[source.file])
        texts = {
            role: role_texts(role, table.column(column).combine_chunks())
            for role, column in mapped.items()
            if role not in _AS_STORED and column in table.column_names
        }
        roles = {role: found.values for role, found in texts.items()}
        for role in _AS_STORED & mapped.keys():
            if role != "id" and mapped[role] in table.column_names:
                roles[role] = table.column(mapped[role]).combine_chunks()
        if "id" in mapped:
            roles["id"] = known.take(positions)
        return ShardRows(
            shard=shard,
            place=self._place(source),
            rows=selected.positions.astype(np.uint32),
            ids=ids.take(positions),
            roles=roles,
            undecodable={role: found.undecodable.to_numpy(zero_copy_only=False) for role, found in texts.items()},
            table=table,
            counts=selected.counts | {"without_id": without_id},
        )

    def _known_ids(self, head: pa.Table) -> pa.Array:
        column = self._corpus.columns.id
        if column is None:
            return pa.nulls(head.num_rows, pa.string())
        return to_texts(head.column(column).combine_chunks()).values

    def _places(self, source: ShardSource) -> pa.Array:
        """What rows without an id are known by: the file, and the row in it."""
        metadata = self._parquet(source.file).metadata
        start = sum(metadata.row_group(g).num_rows for g in range(source.group_start)) + source.row_start
        return pa.array([f"{source.file[:16]}:{start + offset}" for offset in range(source.num_rows)], pa.string())

    def _slice(self, source: ShardSource, columns: Collection[str]) -> pa.Table:
        names = tuple(sorted(columns))
        key = (source.file, source.group_start, source.group_stop, names)
        if key not in self._decoded:
            self._decoded = {k: table for k, table in self._decoded.items() if k[:3] == key[:3]}
            self._decoded[key] = self._decode(source, names)
        return self._decoded[key].slice(source.row_start, source.num_rows)

    def _nothing(self, source: ShardSource, columns: Collection[str]) -> pa.Table:
        schema = self._parquet(source.file).schema_arrow
        return plain_schema(pa.schema([schema.field(name) for name in sorted(columns)])).empty_table()

    def _decode(self, source: ShardSource, names: tuple[str, ...]) -> pa.Table:
        parquet = self._parquet(source.file)
        groups = list(range(source.group_start, source.group_stop))
        if not names:
            rows = sum(parquet.metadata.row_group(g).num_rows for g in groups)
            return pa.table({_NO_COLUMN: pa.nulls(rows)})
        try:
            table = parquet.read_row_groups(groups, columns=list(names))
            return plain_table(table)
        except (pa.ArrowException, OSError) as error:
            verify_unchanged(self._files[source.file])
            raise self._locate(source, names, error) from error

    def _locate(self, source: ShardSource, names: tuple[str, ...], error: Exception) -> InputError:
        parquet = self._parquet(source.file)
        for group in range(source.group_start, source.group_stop):
            for name in names:
                try:
                    parquet.read_row_group(group, columns=[name])
                except (pa.ArrowException, OSError) as found:
                    uri = self._files[source.file].uri
                    return InputError(
                        f"{uri}: row group {group}, column {name!r} can't be decoded ({found}); "
                        "the file is damaged: write it again, or take it out of the corpus"
                    )
        return InputError(f"{self._place(source)} can't be decoded ({error})")

    def _parquet(self, file: str) -> pq.ParquetFile:
        if self._open is None or self._open[0] != file:
            self._open = (file, open_parquet(self._files[file]))
        return self._open[1]

    def _place(self, source: ShardSource) -> str:
        groups = f"row group {source.group_start}"
        if source.group_stop > source.group_start + 1:
            groups = f"row groups {source.group_start}-{source.group_stop - 1}"
        return f"{self._files[source.file].uri}: {groups}, rows {source.row_start}-{source.row_stop - 1}"


@contextmanager
def within_capacity(place: str, *, num_rows: int) -> Iterator[None]:
    """Say what to do where the texts of a shard pass the 2 GiB that Arrow's string columns hold.

    Raises:
        InputError: naming the place and the key that makes shards smaller.
    """
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowCapacityError) as error:
        if "overflow" not in str(error) and not isinstance(error, pa.ArrowCapacityError):
            raise
        raise InputError(
            f"{place}: a column's {num_rows:,} texts pass 2 GiB, the most that one shard holds; "
            f"set engine.shard_rows to less, such as {max(1, num_rows // 8)}, and have row groups below 2 GiB"
        ) from error


def role_texts(role: str, array: pa.Array) -> Texts:
    """A role's values as indicators and prompts see them: lists for references, options and messages, else text."""
    if role in ("reference", "options"):
        return to_answers(array)
    return to_turns(array) if role == "messages" else to_words(array)

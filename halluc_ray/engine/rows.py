"""Read a shard's rows: decode, select, and say what is wrong with each bad row.

Knows Parquet and roles; does not know systems' models, indicators or Ray. Called by shard runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from halluc_ray.config import Corpus
from halluc_ray.engine.conversations import to_turns
from halluc_ray.engine.roles import Texts, to_answers, to_texts, to_words
from halluc_ray.engine.selection import Selection, select
from halluc_ray.errors import BadRow, InputError
from halluc_ray.records import Shard, ShardSource
from halluc_ray.storage.corpus_parquet import open_parquet
from halluc_ray.storage.files import CorpusFile, verify_unchanged
from halluc_ray.storage.plain_types import plain_schema, plain_table

_NAMED_ROWS = 5
_AS_STORED = frozenset({"id", "label", "image"})
_MAY_BE_NULL = frozenset({"options", "reference"})
"""A choice is among both, so that either may be missing; a template that reads a null one fails as it is filled."""
_NO_COLUMN = "\x00rows"
"""Carries the number of rows where no column is read."""


@dataclass(slots=True)
class ShardRows:
    """The selected rows of one shard.

    Attributes:
        shard: the shard.
        place: file and row groups, for messages.
        rows: uint32 offsets in the shard's row range.
        ids: one text per row.
        roles: values by role; `reference` and `options` hold lists of text, `messages` lists of
            {role, content}, `label` and `image` are as stored, the others are text.
        undecodable: by role, True where the stored bytes are no UTF-8.
        table: the corpus' own columns that were asked for.
        counts: corpus rows by fate, see `selection`; and `without_id`, of the selected.
    """

    shard: Shard
    place: str
    rows: npt.NDArray[np.uint32]
    ids: pa.Array
    roles: dict[str, pa.Array]
    undecodable: dict[str, npt.NDArray[np.bool_]]
    table: pa.Table
    counts: dict[str, int]

    def __len__(self) -> int:
        return len(self.rows)

    def failures(self, roles: Iterable[str]) -> list[str | None]:
        """Why each row can't be evaluated by a system that reads `roles`; None where it can."""
        reasons = self.undecodable_in(roles)
        for role in sorted(set(roles) - _MAY_BE_NULL):
            if role in self.roles and self.roles[role].null_count:
                for position in np.flatnonzero(pc.is_null(self.roles[role]).to_numpy(zero_copy_only=False)):
                    reasons[position] = reasons[position] or f"null_{role}"
        return reasons

    def undecodable_in(self, roles: Iterable[str]) -> list[str | None]:
        """Which of `roles` holds bytes that are no text, per row; None where none does."""
        reasons: list[str | None] = [None] * len(self)
        for role in sorted(roles):
            for position in np.flatnonzero(self.undecodable.get(role, ())):
                reasons[position] = reasons[position] or f"undecodable_{role}"
        return reasons

    def refuse_bad(self, reasons: list[str | None], columns: Mapping[str, str]) -> None:
        """Stop at bad rows.

        Raises:
            BadRow: naming file, row group, column, what is wrong and the first rows.
        """
        bad = [position for position, reason in enumerate(reasons) if reason]
        if bad:
            reason = reasons[bad[0]] or ""
            fault, _, role = reason.partition("_")
            alike = [int(self.rows[position]) for position in bad if reasons[position] == reason]
            raise BadRow(
                f"{self.place}: column {columns.get(role, role)!r} has {len(alike)} {fault} value(s) "
                f"(rows {_first(alike)} of the range); fix the corpus or set corpus.on_bad_row: fail_row"
            )

    def refuse_failed(self, generations: pa.Table) -> None:
        """Stop at rows that a model could not answer.

        Raises:
            BadRow: naming file, row group, the reason and the first rows.
        """
        failed = generations.filter(generations["failure"].is_valid())
        if len(failed):
            reason = failed["failure"][0].as_py()
            alike = failed.filter(pc.equal(failed["failure"].cast(pa.string()), reason))["row"].unique().to_pylist()
            raise BadRow(
                f"{self.place}: {len(alike)} row(s) got no output, reason {reason} (rows {_first(alike)} of the "
                "range); fix the corpus or set corpus.on_bad_row: fail_row"
            )


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


def _first(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:_NAMED_ROWS])) + (", …" if len(rows) > _NAMED_ROWS else "")


def role_texts(role: str, array: pa.Array) -> Texts:
    """A role's values as indicators and prompts see them: lists for references, options and messages, else text."""
    if role in ("reference", "options"):
        return to_answers(array)
    return to_turns(array) if role == "messages" else to_words(array)

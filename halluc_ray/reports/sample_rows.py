"""One shard's units as a reader wants to see them: verdicts, evidence, texts, side by side.

Knows how the parts of a shard and the corpus rows under it are joined (by position, and by row);
does not choose among them. Callers: `samples`, `shown`, `pairing`, `flips`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from halluc_ray.errors import InputError
from halluc_ray.records import OUTCOMES, Commit, Shard
from halluc_ray.records.runs import NO_NAME, RunRecord, SystemRecord
from halluc_ray.storage.commits import read_commit, read_part
from halluc_ray.storage.corpus_parquet import open_parquet
from halluc_ray.storage.files import CorpusFile, verify_unchanged
from halluc_ray.storage.parquet import decode
from halluc_ray.storage.plain_types import plain_table
from halluc_ray.storage.store import ObjectStore
from halluc_ray.wiring.inputs import WRITES_NOTHING

_TEXT_ROLES = ("prompt", "context", "reference", "response", "label")
_EVIDENCE = ("reason", "span", "span_start", "span_stop", "against")
_ANY_OF = " | "
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_STORED_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)
_LABELS = pa.array([outcome.label for outcome in OUTCOMES])


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """The columns of a run's samples, cheap ones first.

    Attributes:
        verdicts: `file`, `row`, `draw`, `system`, `id`, `failure`, and per indicator its outcome.
        evidence: per indicator `<name>_reason`, `_span`, `_span_start`, `_span_stop`, `_against`.
        texts: `prompt`, `context`, `reference`, `response`, `label`, null where not mapped; then the
            corpus columns of the run's slices, as text.
        outcome_of: indicator name -> its outcome column.
    """

    verdicts: tuple[str, ...]
    evidence: tuple[str, ...]
    texts: tuple[str, ...]
    outcome_of: Mapping[str, str]

    @property
    def all(self) -> tuple[str, ...]:
        """Every column, in order."""
        return self.verdicts + self.evidence + self.texts


def sample_columns(record: RunRecord) -> SampleColumns:
    """Columns of the run's samples. An indicator named like another column gets the suffix `_outcome`."""
    fixed = ("file", "row", "draw", "system", "id", "failure")
    taken = {*fixed, *_TEXT_ROLES}
    outcome_of = {i.name: f"{i.name}_outcome" if i.name in taken else i.name for i in record.indicators}
    evidence = tuple(f"{i.name}_{field}" for i in record.indicators for field in _EVIDENCE)
    named = {*taken, *outcome_of.values(), *evidence}
    sliced = tuple(dict.fromkeys(c for entry in record.slices for c in entry if c not in named))
    return SampleColumns(fixed + tuple(outcome_of.values()), evidence, _TEXT_ROLES + sliced, outcome_of)


@dataclass(frozen=True, slots=True)
class RowGroups:
    """The row groups that were read last, one range for each set of columns.

    Shards that lie side by side, and systems on one corpus, share them.
    """

    _kept: dict[tuple[str, ...], tuple[tuple[object, ...], pa.Table]] = field(default_factory=dict)

    def read(self, file: CorpusFile, *, start: int, stop: int, columns: tuple[str, ...]) -> pa.Table:
        """Some columns of the row groups from `start` to before `stop`."""
        place = (file, start, stop)
        kept = self._kept.pop(columns, None)
        if kept is None or kept[0] != place:
            kept = (place, _read_groups(file, start, stop, columns))
        self._kept[columns] = kept
        return kept[1]


def _read_groups(file: CorpusFile, start: int, stop: int, columns: tuple[str, ...]) -> pa.Table:
    with open_parquet(file) as parquet:
        missing = sorted(set(columns) - set(parquet.schema_arrow.names))
        if missing:
            raise InputError(f"{file.uri} has no column {missing[0]!r}; it has {', '.join(parquet.schema_arrow.names)}")
        table = plain_table(parquet.read_row_groups(list(range(start, stop)), columns=list(columns)))
    verify_unchanged(file)
    return table


@dataclass(frozen=True, slots=True)
class ShardRows:
    """Access to the units of one committed shard of one system.

    Attributes:
        files: file digest -> corpus file; texts of files that are missing here are null.
        groups: shared by shards that are read one after the other.
    """

    store: ObjectStore
    record: RunRecord
    system: SystemRecord
    shard: Shard
    commit: Commit
    files: Mapping[str, CorpusFile]
    groups: RowGroups = field(default_factory=RowGroups)

    def verdicts(self, data: bytes | None = None) -> pa.Table:
        """The verdict columns of every unit; `data` is the part, where it was read before."""
        part = decode(data or read_part(self.store, self.system.count, self.commit))
        if self.system.name is not None:
            names: pa.Array = pa.repeat(pa.scalar(self.system.name), len(part))
        else:
            names = part["system"].cast(pa.string()).fill_null(NO_NAME)
        fixed = {
            "file": pa.repeat(pa.scalar(self.shard.source.file), len(part)),
            "row": part["row"],
            "draw": part["draw"],
            "system": names,
            "id": part["id"],
            "failure": part["failure"].cast(pa.string()),
        }
        columns = sample_columns(self.record)
        outcomes = {
            column: _LABELS.take(part[f"outcome_{k}"].combine_chunks().cast(pa.int32()))
            for k, column in enumerate(columns.outcome_of.values())
        }
        return pa.table(fixed | outcomes)

    def evidence(self, positions: pa.Array) -> pa.Table:
        """The evidence columns of some units."""
        columns: dict[str, pa.ChunkedArray] = {}
        for indicator, stage in zip(self.record.indicators, self.system.scores, strict=True):
            part = self._part(stage, _EVIDENCE).take(positions)
            for name in _EVIDENCE:
                values = part[name].cast(pa.string()) if name == "reason" else part[name]
                columns[f"{indicator.name}_{name}"] = values
        return pa.table(columns)

    def texts(self, rows: pa.Array, positions: pa.Array) -> pa.Table:
        """The text columns of some units: the answer is the generated one, or the corpus' own of a system without one.

        Args:
            rows: each unit's corpus row, counted from the start of the shard.
            positions: each unit's position in the parts.
        """
        texts = self._corpus_texts(rows, sample_columns(self.record).texts)
        if self.system.kind not in WRITES_NOTHING:
            generated = self._part(self.system.generate, ("text",)).take(positions)["text"]
            texts["response"] = generated
        return pa.table(texts)

    def slices(self, rows: pa.Array) -> pa.Table:
        """The columns of the run's slices, as text, of some corpus rows."""
        columns = tuple(dict.fromkeys(column for entry in self.record.slices for column in entry))
        return pa.table(self._corpus_texts(rows, columns, by_role=False)) if columns else pa.table({})

    def corpus(self, rows: pa.Array, *, columns: Sequence[str]) -> pa.Table:
        """Columns of some corpus rows in their own types.

        Raises:
            InputError: the corpus file is not where the run read it, or has changed.
        """
        file = self.files.get(self.shard.source.file)
        if file is None:
            raise InputError(
                f"{', '.join(map(repr, columns))}: the corpus file of digest {self.shard.source.file[:12]} is gone or "
                "has changed since the run read it; put it back where it was, or do without these columns"
            )
        return self._corpus_rows(file, columns=tuple(sorted(columns))).take(rows)

    def _part(self, stage: str, columns: Sequence[str]) -> pa.Table:
        commit = read_commit(self.store, stage, self.shard.key)
        return decode(read_part(self.store, stage, commit), columns)

    def _corpus_texts(
        self, rows: pa.Array, wanted: Sequence[str], *, by_role: bool = True
    ) -> dict[str, pa.ChunkedArray]:
        file = self.files.get(self.shard.source.file)
        columns: dict[str, str | None] = {name: name for name in wanted}
        if by_role:
            columns |= dict.fromkeys(_TEXT_ROLES) | self.record.corpus.columns
        mapped = {name: column for name in wanted if (column := columns[name]) is not None}
        nothing = pa.chunked_array([pa.nulls(len(rows), pa.string())])
        texts = dict.fromkeys(wanted, nothing)
        if file is not None and mapped:
            found = self._corpus_rows(file, columns=tuple(sorted(set(mapped.values())))).take(rows)
            texts |= {name: as_text(found[column]) for name, column in mapped.items()}
        return texts

    def _corpus_rows(self, file: CorpusFile, *, columns: tuple[str, ...]) -> pa.Table:
        source = self.shard.source
        table = self.groups.read(file, start=source.group_start, stop=source.group_stop, columns=columns)
        return table.slice(source.row_start, source.num_rows)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Any column as text: lists joined by ` | `, bytes that are no UTF-8 with a mark in their place."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_text(column.cast(kind.value_type))
    if any(is_kind(kind) for is_kind in _LISTS):
        values = [None if v is None else _ANY_OF.join(_word(x) for x in v if x is not None) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())])
    if any(is_kind(kind) for is_kind in _STORED_TEXTS):
        return _decoded(column.cast(pa.large_binary()))
    return _one_by_one(column) if pa.types.is_nested(kind) else column.cast(pa.string())


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes as text; those of a Parquet string too, which no writer has to check."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return _one_by_one(column)


def _one_by_one(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([None if v is None else _word(v) for v in column.to_pylist()], pa.string())])


def _word(value: object) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def all_positions(table: pa.Table) -> pa.Array:
    """0, 1, ... for every row of the table."""
    return pa.array(np.arange(len(table), dtype=np.int64))

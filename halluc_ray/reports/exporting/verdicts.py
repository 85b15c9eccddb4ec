"""The verdicts of a run as one tidy table: a row per unit and indicator, shard upon shard.

Knows how the parts of a shard are joined; holds a few shards at a time, whatever the size of the run.
Does not know what the rows are written as. Caller: `datasets`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.errors import InputError
from halluc_ray.records.runs import RunRecord
from halluc_ray.records.schemas import SCORED
from halluc_ray.reports.parts import iter_committed, iter_parts, read_count_commits
from halluc_ray.reports.sample_rows import ShardRows, sample_columns
from halluc_ray.reports.sides import PlacedShard, Side
from halluc_ray.storage.files import CorpusFile
from halluc_ray.storage.parquet import decode
from halluc_ray.storage.store import ObjectStore

_WINDOW = 8
UNITS_AT_ONCE = 8_192
_SCORE_COLUMNS = ("state", "score", "reason", "span", "span_start", "span_stop", "against")
_FIXED = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("draw", pa.uint16(), nullable=False),
        pa.field("system", pa.string(), nullable=False),
        pa.field("indicator", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("score", pa.float64()),  # null where the outcome is not one of a score
        pa.field("reason", pa.string()),
        pa.field("failure", pa.string()),
        pa.field("file", pa.string(), nullable=False),  # digest of the corpus file
        pa.field("row", pa.int64(), nullable=False),  # of that file, from 0
    ]
)
_TEXTS = ("prompt", "context", "reference", "response", "label")
_EVIDENCE = pa.schema(
    [
        pa.field("span", pa.string()),
        pa.field("span_start", pa.int32()),
        pa.field("span_stop", pa.int32()),
        pa.field("against", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class VerdictTable:
    """The verdicts of a run, to be read once from start to end.

    Attributes:
        sources: file digest -> corpus file.
        texts: with prompt, context, reference, response, label and evidence.
        slices: with the columns of the run's slices, as text.
    """

    store: ObjectStore
    record: RunRecord
    run_id: str
    sources: Mapping[str, CorpusFile]
    texts: bool = False
    slices: bool = True

    @property
    def slice_columns(self) -> dict[str, str]:
        """Corpus column of a slice -> column of the table: the same, or `slice_` before it where that is taken."""
        taken = {*_FIXED.names, *_TEXTS, *_EVIDENCE.names}
        columns = dict.fromkeys(column for entry in self.record.slices for column in entry) if self.slices else ()
        return {column: f"slice_{column}" if column in taken else column for column in columns}

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types."""
        texts = [*self.slice_columns.values(), *(_TEXTS if self.texts else ())]
        evidence = list(_EVIDENCE) if self.texts else []
        return pa.schema([*_FIXED, *(pa.field(name, pa.string()) for name in texts), *evidence])

    def tables(self) -> Iterator[pa.Table]:
        """The rows in pieces: by system, file, row, draw and indicator, each in the run's order.

        Raises:
            RunIncomplete: shards are not committed.
            InputError: slices or texts are asked for, and a corpus file is gone or has changed.
        """
        self._check_corpus()
        commits = read_count_commits(self.store, self.record)
        for system in self.record.systems:
            side = Side(self.store, self.run_id, self.record, system, system.name or "", self.sources)
            markers = commits.by_stage[system.count]
            shards = [shard.key for shard in self.record.shards(system)]
            parts = iter_parts(self.store, system.count, markers, window=_WINDOW)
            scores = [iter_committed(self.store, stage, shards, window=_WINDOW) for stage in system.scores]
            for placed, marker, part, *scored in zip(side.placed(), markers, parts, *scores, strict=True):
                yield from self._shard(placed, side.rows(placed.shard, marker), part, scored)

    def _check_corpus(self) -> None:
        needed = self.texts or self.slice_columns
        gone = [file.digest for file in self.record.corpus.files if needed and file.digest not in self.sources]
        if gone:
            raise InputError(
                f"{len(gone)} of {len(self.record.corpus.files)} corpus files are gone or have changed since the run "
                f"read them (the first: digest {gone[0][:12]}), and hold texts and slices; put them back where they "
                "were, or export with --no-slices and without --texts"
            )

    def _shard(self, placed: PlacedShard, rows: ShardRows, part: bytes, scored: Sequence[bytes]) -> Iterator[pa.Table]:
        units = rows.verdicts(part)
        wanted = _SCORE_COLUMNS if self.texts else _SCORE_COLUMNS[:3]
        scores = [decode(data, wanted) for data in scored]
        for start in range(0, len(units), UNITS_AT_ONCE):
            some = units.slice(start, UNITS_AT_ONCE)
            positions = pa.array(np.arange(start, start + len(some), dtype=np.int64))
            of_unit = self._of_units(placed, rows, some, positions)
            verdicts = [self._of_indicator(k, some, table.slice(start, len(some))) for k, table in enumerate(scores)]
            yield _woven(of_unit, verdicts).select(self.schema.names).cast(self.schema)

    def _of_units(self, placed: PlacedShard, rows: ShardRows, units: pa.Table, positions: pa.Array) -> pa.Table:
        """What is the same for every indicator."""
        found = {name: units[name] for name in ("id", "draw", "system", "failure", "file")}
        found["row"] = pc.add(units["row"].cast(pa.int64()), placed.first_row)
        if names := self.slice_columns:
            slices = rows.slices(units["row"])
            found |= {name: slices[column] for column, name in names.items()}
        if self.texts:
            texts = rows.texts(units["row"], positions)
            found |= {name: texts[name] for name in _TEXTS}
        return pa.table(found)

    def _of_indicator(self, item: int, units: pa.Table, scores: pa.Table) -> pa.Table:
        name = self.record.indicators[item].name
        found = {
            "indicator": pa.repeat(pa.scalar(name), len(units)),
            "outcome": units[sample_columns(self.record).outcome_of[name]],
            "score": pc.if_else(pc.equal(scores["state"], SCORED), scores["score"], None),
            "reason": scores["reason"].cast(pa.string()),
        }
        return pa.table(found | {column: scores[column] for column in (_EVIDENCE.names if self.texts else ())})


def _woven(units: pa.Table, verdicts: Sequence[pa.Table]) -> pa.Table:
    """Each unit's indicators one under another, the unit's own columns beside them."""
    at = np.arange(len(units))
    of_verdicts = (at[:, None] + len(units) * np.arange(len(verdicts))).ravel()
    found = pa.concat_tables(verdicts).combine_chunks().take(pa.array(of_verdicts))
    beside = units.combine_chunks().take(pa.array(np.repeat(at, len(verdicts))))
    return pa.table(
        {
            **dict(zip(beside.column_names, beside.columns, strict=True)),
            **dict(zip(found.column_names, found.columns, strict=True)),
        }
    )

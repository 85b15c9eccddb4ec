"""The units of one shard: what a system made of its rows, in the stored form.

Builds generate and verdict parts from rows, and lines units up with the rows they are draws of.
Pure on Arrow. Called by scoring and shard runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from halluc_ray.engine.rows import ShardRows
from halluc_ray.records.schemas import GENERATIONS, verdict_schema

_STORED_AS = {"response": "text"}
RAW = "column:"
"""Before the name of a corpus column that an indicator reads as it is."""


@dataclass(frozen=True, slots=True)
class Units:
    """The units of one shard beside the rows that they are draws of.

    Attributes:
        generations: the generate part.
        rows: the shard's selected rows.
        position: of each unit's row among the selected rows.
        rebatched: memory forced smaller batches than planned, so that another run may differ.
    """

    generations: pa.Table
    rows: ShardRows
    position: npt.NDArray[np.int64]
    rebatched: bool = False

    @classmethod
    def of(cls, generations: pa.Table, rows: ShardRows, *, rebatched: bool = False) -> Units:
        """Line units up with their rows."""
        unit_row = generations.column("row").to_numpy()
        return cls(generations, rows, np.searchsorted(rows.rows, unit_row), rebatched)

    def __len__(self) -> int:
        return int(self.generations.num_rows)

    @property
    def failure(self) -> pa.Array:
        """Why there is no output, per unit; null: there is one."""
        return self.generations.column("failure").combine_chunks().dictionary_decode()

    def per_unit(self, values: pa.Array) -> pa.Array:
        """A row's values repeated for each of its units."""
        if len(self) == len(values) and np.array_equal(self.position, np.arange(len(values))):
            return values
        return values.take(pa.array(self.position))

    def column(self, name: str, *, generated: frozenset[str] = frozenset()) -> pa.Array:
        """What an indicator calls `name`: an output, a role, or a corpus column after `column:`."""
        if name.startswith(RAW):
            return self.per_unit(self.rows.table.column(name.removeprefix(RAW)).combine_chunks())
        if name in generated:
            return self.generations.column(_STORED_AS.get(name, name)).combine_chunks()
        return self.per_unit(self.rows.roles[name])


def recorded_units(rows: ShardRows, reasons: Sequence[str | None], names: pa.Array | None) -> pa.Table:
    """The generate part of answers that the corpus holds: no text, one draw a row; `names` tell systems apart."""
    length = len(rows)
    columns: dict[str, pa.Array] = {
        "row": pa.array(rows.rows),
        "draw": pa.array(np.zeros(length, dtype=np.uint16)),
        "id": rows.ids,
        "failure": pa.array(reasons, pa.string()).dictionary_encode(),
    }
    if names is not None:
        columns["system"] = names.dictionary_encode()
    filled = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(length, f.type) for f in GENERATIONS]
    return pa.Table.from_arrays(filled, schema=GENERATIONS)


def verdicts_of(units: Units, outcomes: Sequence[npt.NDArray[np.uint8]]) -> pa.Table:
    """The main part of a count stage: outcome codes beside what identifies a unit."""
    schema = verdict_schema(len(outcomes))
    fixed = [units.generations.column(f.name).combine_chunks() for f in schema if not f.name.startswith("outcome_")]
    return pa.Table.from_arrays([*fixed, *map(pa.array, outcomes)], schema=schema)

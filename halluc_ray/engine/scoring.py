"""Score the units of one shard with one indicator, and turn stored scores into outcomes.

Failed units never reach an indicator. Knows the indicator protocol and the SCORES schema; does not
know systems, stores or Ray. Called by shard runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.engine.rows import ShardRows
from halluc_ray.indicators.protocol import Indicator, ScoringBatch
from halluc_ray.indicators.tables import scores_to_columns
from halluc_ray.records import Outcome
from halluc_ray.records.schemas import SCORES

RAW = "column:"
RECORDED_ONLY = "recorded_answers_only"


@dataclass(frozen=True, slots=True)
class Units:
    """The units of one shard beside the rows that they are draws of.

    Attributes:
        generations: the generate part.
        rows: the shard's selected rows.
        position: of each unit's row among the selected rows.
    """

    generations: pa.Table
    rows: ShardRows
    position: npt.NDArray[np.int64]

    @classmethod
    def of(cls, generations: pa.Table, rows: ShardRows) -> Units:
        """Line units up with their rows."""
        unit_row = generations.column("row").to_numpy()
        return cls(generations, rows, np.searchsorted(rows.rows, unit_row))

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

    def column(self, name: str, *, recorded: bool) -> pa.Array:
        """What an indicator calls `name`: a role, or a corpus column after `column:`."""
        if name.startswith(RAW):
            return self.per_unit(self.rows.table.column(name.removeprefix(RAW)).combine_chunks())
        if name == "response" and not recorded:
            return self.generations.column("text").combine_chunks()
        return self.per_unit(self.rows.roles[name])


def batch_of(units: Units, names: frozenset[str], *, recorded: bool, labels: Mapping[str, str]) -> ScoringBatch:
    """Columns of the units that have an output, for all the indicators that will read them."""
    ready = units.failure.is_null()
    whole = units.failure.null_count == len(units)
    columns = {name: units.column(name, recorded=recorded) for name in sorted(names)}
    return ScoringBatch({n: c if whole else c.filter(ready) for n, c in columns.items()}, labels)


def score_units(indicator: Indicator, units: Units, batch: ScoringBatch | None) -> pa.Table:
    """The score part of one indicator, aligned with the generate part.

    Args:
        indicator: the indicator.
        units: the shard's units.
        batch: columns of the units that have an output, or None where the indicator judges recorded
            answers only and the system's are not.
    """
    failure = units.failure
    ready = np.flatnonzero(failure.is_null().to_numpy(zero_copy_only=False))
    columns = {name: units.generations.column(name).combine_chunks() for name in ("row", "draw")}
    if batch is None:
        failed = failure.is_valid().to_numpy(zero_copy_only=False)
        state = np.where(failed, Outcome.FAILED, Outcome.NOT_APPLICABLE).astype(np.uint8)
        reason = pc.coalesce(failure, pa.scalar(RECORDED_ONLY)).dictionary_encode()
        return _table({**columns, "state": pa.array(state), "reason": reason}, len(units))
    scored = scores_to_columns(indicator.score(batch)) if len(ready) else {}
    if len(ready) == len(units):
        return _table({**columns, **scored}, len(units))
    source = np.full(len(units), -1, dtype=np.int64)
    source[ready] = np.arange(len(ready))
    index = pa.array(source, mask=source < 0)
    spread = {name: values.take(index) for name, values in scored.items()}
    if spread:
        spread["state"] = pc.fill_null(spread["state"], pa.scalar(int(Outcome.FAILED), pa.uint8()))
        own = spread["reason"].dictionary_decode() if pa.types.is_dictionary(spread["reason"].type) else spread["reason"]
        spread["reason"] = pc.coalesce(failure, own).dictionary_encode()
    else:
        spread["state"] = pa.array(np.full(len(units), Outcome.FAILED, dtype=np.uint8))
        spread["reason"] = failure.dictionary_encode()
    return _table({**columns, **spread}, len(units))


def decide(indicator: Indicator, scores: pa.Table) -> npt.NDArray[np.uint8]:
    """Outcome codes of a score part under the indicator's thresholds."""
    score = scores.column("score").combine_chunks().fill_null(np.nan).to_numpy(zero_copy_only=False)
    return indicator.decide(score, scores.column("state").to_numpy())


def _table(columns: dict[str, pa.Array], length: int) -> pa.Table:
    filled = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(length, field.type) for field in SCORES
    ]
    return pa.Table.from_arrays(filled, schema=SCORES)

"""Score the units of one shard with one indicator, and turn stored scores into outcomes.

Failed units never reach an indicator. Knows the indicator protocol and the SCORES schema; does not
know systems, stores or Ray. Called by shard runs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.config import RecordedSystem
from halluc_ray.engine.units import Units
from halluc_ray.indicators.protocol import Indicator, ScoringBatch
from halluc_ray.indicators.tables import scores_to_columns
from halluc_ray.records import Outcome
from halluc_ray.records.schemas import SCORES
from halluc_ray.wiring.inputs import GENERATED, RESPONSE
from halluc_ray.wiring.systems import ResolvedSystem

RECORDED_ONLY, NO_SUCH_OUTPUT = "recorded_answers_only", "no_such_output"


def judges(indicator: Indicator, resolved: ResolvedSystem) -> bool:
    """Whether an indicator has something to say of a system's outputs; else each unit is not applicable."""
    recorded = isinstance(resolved.spec, RecordedSystem)
    if recorded:
        return not indicator.columns & (GENERATED - {RESPONSE})
    return not indicator.recorded_only and indicator.columns & GENERATED <= resolved.gives


def columns_read(indicator: Indicator, resolved: ResolvedSystem) -> frozenset[str]:
    """What an indicator reads of the corpus to judge a system's outputs; nothing where it does not judge."""
    return indicator.columns - resolved.gives if judges(indicator, resolved) else frozenset()


def batch_of(
    units: Units, names: frozenset[str], *, generated: frozenset[str], labels: Mapping[str, str]
) -> ScoringBatch:
    """Columns of the units that have an output, for all the indicators that will read them."""
    ready = units.failure.is_null()
    whole = units.failure.null_count == len(units)
    columns = {name: units.column(name, generated=generated) for name in sorted(names)}
    return ScoringBatch({n: c if whole else c.filter(ready) for n, c in columns.items()}, labels)


def score_units(indicator: Indicator, units: Units, batch: ScoringBatch | None, *, read: frozenset[str]) -> pa.Table:
    """The score part of one indicator, aligned with the generate part.

    Args:
        indicator: the indicator.
        units: the shard's units.
        batch: columns of the units that have an output, or None where the indicator does not judge
            the system's.
        read: what it reads of the corpus; a unit whose bytes there are no text fails.
    """
    failure = units.failure
    ready = np.flatnonzero(failure.is_null().to_numpy(zero_copy_only=False))
    columns = {name: units.generations.column(name).combine_chunks() for name in ("row", "draw")}
    if batch is None:
        failed = failure.is_valid().to_numpy(zero_copy_only=False)
        state = np.where(failed, Outcome.FAILED, Outcome.NOT_APPLICABLE).astype(np.uint8)
        reason = pc.coalesce(failure, pa.scalar(_why_not(indicator))).dictionary_encode()
        return _table({**columns, "state": pa.array(state), "reason": reason}, len(units))
    scored = scores_to_columns(indicator.score(batch)) if len(ready) else {}
    if len(ready) < len(units):
        scored = _spread(scored, ready, failure)
    return _table({**columns, **_without_undecodable(read, units, scored)}, len(units))


def decide(indicator: Indicator, scores: pa.Table) -> npt.NDArray[np.uint8]:
    """Outcome codes of a score part under the indicator's thresholds."""
    score = scores.column("score").combine_chunks().fill_null(np.nan).to_numpy(zero_copy_only=False)
    return indicator.decide(score, scores.column("state").to_numpy())


def _why_not(indicator: Indicator) -> str:
    return RECORDED_ONLY if indicator.recorded_only else NO_SUCH_OUTPUT


def _spread(scored: Mapping[str, pa.Array], ready: npt.NDArray[np.int64], failure: pa.Array) -> dict[str, pa.Array]:
    """Scores of the ready units among all units; the others failed for their own reasons."""
    source = np.full(len(failure), -1, dtype=np.int64)
    source[ready] = np.arange(len(ready))
    index = pa.array(source, mask=source < 0)
    spread = {name: values.take(index) for name, values in scored.items()}
    if not spread:
        state = pa.array(np.full(len(failure), Outcome.FAILED, dtype=np.uint8))
        return {"state": state, "reason": failure.dictionary_encode()}
    spread["state"] = pc.fill_null(spread["state"], pa.scalar(int(Outcome.FAILED), pa.uint8()))
    spread["reason"] = pc.coalesce(failure, _plain(spread["reason"])).dictionary_encode()
    return spread


def _without_undecodable(read: frozenset[str], units: Units, scored: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Units of rows that hold undecodable bytes in a role that the indicator reads fail under it."""
    for role in sorted(read & units.rows.undecodable.keys()):
        bad = units.rows.undecodable[role]
        if bad.any():
            mask = pc.and_(units.per_unit(pa.array(bad)), units.failure.is_null())
            why = pc.if_else(mask, f"undecodable_{role}", _plain(scored["reason"])).dictionary_encode()
            state = pc.if_else(mask, pa.scalar(int(Outcome.FAILED), pa.uint8()), scored["state"])
            scored = {**scored, "state": state, "reason": why}
    return scored


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _table(columns: dict[str, pa.Array], length: int) -> pa.Table:
    filled = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(length, field.type)
        for field in SCORES
    ]
    return pa.Table.from_arrays(filled, schema=SCORES)

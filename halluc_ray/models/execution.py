"""Running a model over one shard's samples: plan, run, survive, one table of units.

Composition of batches depends on the shard alone. A batch that fails is tried again, then its rows
are tried one at a time with the others blanked, so that good rows run in a batch of the same shape
and keep their bytes, and the row at fault fails alone. Out of memory halves the token budget for
the rest of the shard. Knows the protocol; imports no torch. Caller: the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import pyarrow as pa

from halluc_ray.errors import OutOfMemory
from halluc_ray.models.batches import plan_batches
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.protocol import Encoded, Model, Output
from halluc_ray.records import Sample
from halluc_ray.records.schemas import GENERATIONS

ROW_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a row can make a model raise. Anything else (I/O, a lost device) is no row's fault and is raised."""

ENCODE_ROWS = 1_024


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that has no output, whatever the draw: its offset in the shard, id, and snake_case reason."""

    row: int
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Generated:
    """A shard's units.

    Attributes:
        table: of schema GENERATIONS, ordered by (row, draw).
        notes: `token_budget`, where memory forced a smaller one than planned; else empty.
        memory_splits: how often a batch did not fit and was halved.
    """

    table: pa.Table
    notes: dict[str, int | str]
    memory_splits: int = 0


Result = Output | str
"""An output, or the reason why there is none."""


def generate(
    model: Model, *, samples: Sequence[Sample], token_budget: int, failures: Sequence[Failure] = ()
) -> Generated:
    """Run a model over the samples of a shard.

    Args:
        model: loaded.
        samples: rows to run.
        token_budget: planned tokens of a padded batch.
        failures: rows known to be unusable; each becomes one failed unit per draw.

    Raises:
        WorkerLost: the device is gone (retryable elsewhere).
        ModelError: the model can't run at all.
    """
    failed = list(failures)
    encoded: list[Encoded] = []
    size = 1 if any(sample.images for sample in samples) else ENCODE_ROWS  # halving would look at images again
    for start in range(0, len(samples), size):
        encoded += _encode(model, samples[start : start + size], failed)
    results, budget, splits = _run_all(model, encoded, token_budget)
    units = [_unit(row, result) for row, result in zip(encoded, results, strict=True)]
    units += [_failed_unit(failure, draw) for failure in failed for draw in range(model.draws)]
    notes: dict[str, int | str] = {} if budget == token_budget else {"token_budget": budget}
    return Generated(units_table(units), notes, splits)


def _encode(model: Model, samples: Sequence[Sample], failed: list[Failure]) -> list[Encoded]:
    """Encode, halving down to the samples at fault."""
    try:
        return model.encode(samples)
    except (UnusableRow, *ROW_FAULTS) as error:
        if len(samples) == 1:
            failed.append(Failure(samples[0].row, samples[0].id, _reason(error, "encode_error")))
            return []
    half = len(samples) // 2
    return _encode(model, samples[:half], failed) + _encode(model, samples[half:], failed)


def _run_all(model: Model, encoded: Sequence[Encoded], token_budget: int) -> tuple[list[Result], int, int]:
    """Results aligned with `encoded`, the budget that memory allowed in the end, and how often it was halved."""
    splits = 0
    costs = [model.cost(row) for row in encoded]
    results: dict[int, Result] = {}
    queue = plan_batches(costs, token_budget=token_budget)
    while queue:
        positions = queue.pop(0)
        try:
            outcome = _run_batch(model, [encoded[i] for i in positions])
        except OutOfMemory:
            if len(positions) == 1:
                outcome = ["out_of_memory"]
            else:
                token_budget = max(1, token_budget // 2)
                splits += 1
                left = sorted(i for batch in [positions, *queue] for i in batch)
                plan = plan_batches([costs[i] for i in left], token_budget=token_budget)
                queue = [[left[i] for i in batch] for batch in plan]
                continue
        results.update(zip(positions, outcome, strict=True))
    return [results[i] for i in range(len(encoded))], token_budget, splits


def _run_batch(model: Model, batch: Sequence[Encoded]) -> Sequence[Result]:
    for _ in range(2):
        with suppress(UnusableRow, *ROW_FAULTS):
            return model.run(batch)
    return [_run_alone(model, batch, position) for position in range(len(batch))]


def _run_alone(model: Model, batch: Sequence[Encoded], position: int) -> Result:
    """One row among blanks: same shape, same place, so the same bytes as among its batch."""
    rows = [row if at == position else model.blank(row) for at, row in enumerate(batch)]
    try:
        return model.run(rows)[position]
    except (UnusableRow, *ROW_FAULTS) as error:
        return _reason(error, "model_error")


def _reason(error: Exception, default: str) -> str:
    return error.reason if isinstance(error, UnusableRow) else default


def _unit(row: Encoded, result: Result) -> dict[str, object]:
    unit: dict[str, object] = {
        "row": row.row,
        "draw": row.draw,
        "id": row.id,
        "num_prompt_tokens": len(row.tokens) + len(row.pair),
        "truncated": row.truncated,
    }
    if isinstance(result, str):
        return unit | {"failure": result}
    return unit | asdict(result)


def _failed_unit(failure: Failure, draw: int) -> dict[str, object]:
    return {"row": failure.row, "draw": draw, "id": failure.id, "failure": failure.reason}


def units_table(units: list[dict[str, object]]) -> pa.Table:
    """Units by column name as a table of schema GENERATIONS, ordered by (row, draw)."""
    units.sort(key=lambda unit: (unit["row"], unit["draw"]))
    columns = []
    for field in GENERATIONS:
        values = [unit.get(field.name) for unit in units]
        if pa.types.is_dictionary(field.type):
            columns.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            columns.append(pa.array(values, field.type))
    return pa.table(columns, schema=GENERATIONS)

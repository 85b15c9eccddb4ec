"""Which rows the page shows: a fair choice that is the same for any order of work.

Knows verdict columns and hashes of ids; reads no texts but slice values. Every system, indicator,
outcome and every worst slice takes turns, and within each the smallest hash comes first. Caller: `shown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from halluc_ray.records import OUTCOMES
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.sample_rows import ShardRows, sample_columns

_TURNS = {"hallucinated": 3, "supported": 2}  # of one round; every other outcome has one
_FEWEST = 64
Stratum = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Cell:
    """A slice cell of one system under one indicator; its hallucinated rows have turns of their own."""

    system: str
    indicator: str
    slice: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row by its id, in the order in which its stratum offers it."""

    hash: int
    id: str


def choose_ids(shards: Sequence[ShardRows], record: RunRecord, *, cells: Sequence[Cell], rows: int) -> list[str]:
    """Ids of at most `rows` rows, the first choice first.

    Args:
        shards: what is looked at.
        record: the run.
        cells: the slice cells to have turns of their own.
        rows: how many rows the page has room for.
    """
    best: dict[Stratum, list[Candidate]] = {}
    keep = max(_FEWEST, rows // max(1, len(record.systems)))
    for shard in shards:
        for stratum, found in _offers(shard, record, cells, keep):
            merged = sorted({*best.get(stratum, ()), *found}, key=lambda candidate: (candidate.hash, candidate.id))
            best[stratum] = merged[:keep]
    return _take_turns(best, record, rows)


def id_hash(id_: str) -> int:
    """The hash that orders rows."""
    return xxhash.xxh3_64_intdigest(id_.encode("utf-8", errors="replace"))


def _offers(
    shard: ShardRows, record: RunRecord, cells: Sequence[Cell], keep: int
) -> Iterator[tuple[Stratum, set[Candidate]]]:
    """Per stratum, the rows of one shard with the smallest hashes."""
    units = shard.verdicts()
    if not len(units):
        return
    ids = units["id"].to_pylist()
    hashes = np.array([id_hash(id_) for id_ in ids], dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    systems = units["system"]
    outcome_of = sample_columns(record).outcome_of
    for system in pc.unique(systems).to_pylist():
        of_system = pc.equal(systems, system).to_numpy()
        for indicator in record.indicators:
            outcomes = units[outcome_of[indicator.name]]
            for outcome in OUTCOMES:
                mask = of_system & pc.equal(outcomes, outcome.label).to_numpy()
                yield (indicator.name, outcome.label, system, -1), _smallest(mask, order, hashes, ids, keep)
    if not cells:
        return
    sliced = shard.slices(units["row"])
    for at, cell in enumerate(cells):
        mask = pc.equal(systems, cell.system).to_numpy() & _in_cell(sliced, cell.slice)
        mask &= pc.equal(units[outcome_of[cell.indicator]], "hallucinated").to_numpy()
        yield (cell.indicator, "hallucinated", cell.system, at), _smallest(mask, order, hashes, ids, keep)


def _smallest(
    mask: npt.NDArray[np.bool_],
    order: npt.NDArray[np.intp],
    hashes: npt.NDArray[np.uint64],
    ids: Sequence[str],
    keep: int,
) -> set[Candidate]:
    return {Candidate(int(hashes[at]), ids[at]) for at in order[mask[order]][:keep]}


def _in_cell(sliced: pa.Table, values: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    mask = np.ones(len(sliced), dtype=np.bool_)
    for column, value in values.items():
        texts = sliced[column]
        found = pc.is_null(texts) if value is None else pc.equal(texts, pa.scalar(value).cast(pa.string()))
        mask &= found.fill_null(False).to_numpy()
    return mask


def _take_turns(best: Mapping[Stratum, Sequence[Candidate]], record: RunRecord, rows: int) -> list[str]:
    """Rounds over the strata until there are enough rows or none is left; a row is taken once."""
    indicators = {indicator.name: at for at, indicator in enumerate(record.indicators)}
    outcomes = {outcome.label: at for at, outcome in enumerate(OUTCOMES)}
    strata = sorted(best, key=lambda key: (outcomes[key[1]], key[3], indicators[key[0]], key[2]))
    queues = {stratum: iter(best[stratum]) for stratum in strata}
    taken: dict[str, None] = {}
    while queues and len(taken) < rows:
        for stratum in [stratum for stratum in strata if stratum in queues]:
            turns = _TURNS.get(stratum[1], 1)
            while turns and len(taken) < rows:
                candidate = next(queues[stratum], None)
                if candidate is None:
                    del queues[stratum]
                    break
                if candidate.id not in taken:
                    taken[candidate.id] = None
                    turns -= 1
    return list(taken)

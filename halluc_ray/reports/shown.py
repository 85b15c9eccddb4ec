"""The rows that the page lets a reader look into: every system's answer to each, with verdicts.

Knows the shards of a run and which of them are looked at: a bounded number out of a few row groups, chosen
by hash of their place, and so the same ones for all systems. Does not know how the page holds them. Caller: `files`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.records import Shard
from halluc_ray.records.runs import RunRecord, SystemRecord
from halluc_ray.reports.choosing import Cell, choose_ids, id_hash
from halluc_ray.reports.parts import CountCommits, read_count_commits
from halluc_ray.reports.sample_rows import RowGroups, ShardRows
from halluc_ray.storage.files import CorpusFile
from halluc_ray.storage.store import ObjectStore

MOST_UNITS = 2000
SLICES = "slices of the row"  # a key that no column is likely to have
_MOST_SHARDS = 64
_MOST_PLACES = 8
_ENOUGH_UNITS = 200_000
_PER_ID = 64
_SHARED = ("prompt", "context", "reference", "label")
Unit = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One question and what each system made of it.

    Attributes:
        units: answers as `samples` has them, by column, in the order of systems and draws.
    """

    id: str
    units: tuple[Unit, ...]

    @property
    def first(self) -> Unit:
        """The unit to take the question, context, reference and slice values from: they are equal in all."""
        return self.units[0]


def shown_rows(
    store: ObjectStore,
    record: RunRecord,
    *,
    sources: Mapping[str, CorpusFile],
    commits: CountCommits | None = None,
    cells: Sequence[Cell] = (),
    most_units: int = MOST_UNITS,
) -> list[ShownRow]:
    """A fair choice of rows, the first choice first.

    Args:
        store: where the run lies.
        record: the run.
        sources: file digest -> corpus file; texts of files that are not given are null.
        commits: markers that were read before; read here otherwise.
        cells: slice cells that are the worst, to be represented.
        most_units: answers at most, over all systems.
    """
    commits = commits or read_count_commits(store, record)
    shards = list(_shards(store, record, sources, commits))
    named = sum(system.draws for system in record.systems if system.name is not None)
    ids = choose_ids(shards, record, cells=cells, rows=most_units // max(1, named))
    found: dict[str, list[Unit]] = {id_: [] for id_ in ids}
    wanted = pa.array(ids, pa.string())
    for shard in shards:
        for unit in _load(shard, wanted):
            if len(found[unit["id"]]) < _PER_ID:
                found[unit["id"]].append(unit)
    return list(_side_by_side(found, most_units))


def _shards(
    store: ObjectStore, record: RunRecord, sources: Mapping[str, CorpusFile], commits: CountCommits
) -> Iterator[ShardRows]:
    """Shards to look at: in each system's turn the next one by hash of its place; ordered by place."""
    orders = [shards_in_turns(record.shards(system)) for system in record.systems]
    taken: list[tuple[SystemRecord, Shard, int]] = []
    units = turn = 0
    while units < _ENOUGH_UNITS and len(taken) < _MOST_SHARDS and any(turn < len(order) for order in orders):
        for system, order in zip(record.systems, orders, strict=True):
            if turn < len(order):
                at, shard = order[turn]
                taken.append((system, shard, at))
                units += shard.source.num_rows * system.draws
        turn += 1
    groups = RowGroups()
    place = {file.digest: at for at, file in enumerate(record.corpus.files)}
    taken.sort(key=lambda entry: (place[entry[1].source.file], entry[1].source.group_start, entry[1].source.row_start))
    for system, shard, at in taken:
        yield ShardRows(store, record, system, shard, commits.by_stage[system.count][at], sources, groups)


def shards_in_turns(shards: Sequence[Shard]) -> list[tuple[int, Shard]]:
    """Positions and shards, one of each row group in turn, the smallest hashes first.

    To read a text its row group is decoded: beyond the first few groups, others come only when these have
    no shard left.
    """
    by_group: dict[str, list[tuple[int, Shard]]] = {}
    for at, shard in enumerate(shards):
        by_group.setdefault(f"{shard.source.file} {shard.source.group_start}", []).append((at, shard))
    groups = [
        sorted(by_group[place], key=lambda pair: id_hash(str(pair[1].source.row_start)))
        for place in sorted(by_group, key=id_hash)
    ]
    order: list[tuple[int, Shard]] = []
    for first in range(0, len(groups), _MOST_PLACES):
        turns = zip_longest(*groups[first : first + _MOST_PLACES])
        order += [pair for turn in turns for pair in turn if pair is not None]
    return order


def _load(shard: ShardRows, wanted: pa.Array) -> list[Unit]:
    units = shard.verdicts()
    positions = pc.indices_nonzero(pc.is_in(units["id"], value_set=wanted))
    if not len(positions):
        return []
    units = units.take(positions)
    merged: list[Unit] = [{} for _ in range(len(units))]
    for piece in (units, shard.evidence(positions), shard.texts(units["row"], positions)):
        for row, values in zip(merged, piece.to_pylist(), strict=True):
            row.update(values)
    sliced = shard.slices(units["row"])
    for at, values in enumerate(sliced.to_pylist() if sliced.num_columns else ()):
        merged[at][SLICES] = values
    return merged


def _side_by_side(found: Mapping[str, Sequence[Unit]], most_units: int) -> Iterator[ShownRow]:
    """Units of one id whose question, context and reference are equal, until there are enough."""
    left = most_units
    for id_, units in found.items():
        rows: dict[tuple[Any, ...], list[Unit]] = {}
        for unit in units:
            rows.setdefault(tuple(unit[name] for name in _SHARED), []).append(unit)
        for row in rows.values():
            if len(row) > left:
                return
            left -= len(row)
            yield ShownRow(id_, tuple(row))

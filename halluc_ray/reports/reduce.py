"""From the counts of every shard to the counts of the run.

Knows the commits of count stages and the counts monoid; divides nothing. Memory is bounded by the
distinct keys of the counts, never by rows or shards. Callers: `files`, the engine's tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.errors import ConservationError, SpecError
from halluc_ray.records import Commit
from halluc_ray.records.counts import merge
from halluc_ray.records.runs import NO_NAME, RunRecord, SystemRecord
from halluc_ray.reports.cells import fold_cells
from halluc_ray.reports.conservation import check_conservation
from halluc_ray.reports.parts import CountCommits, iter_parts, read_count_commits
from halluc_ray.storage.parquet import decode
from halluc_ray.storage.store import ObjectStore

_LEAF_PARTS = 64


@dataclass(frozen=True, slots=True)
class RunCounts:
    """The counts of a whole run.

    Attributes:
        table: COUNTS, sorted by key; `system` holds the name that the report shows.
        systems: (name, position in the run's systems), in the report's order: as the spec lists
            them, and by name within one `name_from` column.
        selection: corpus rows by fate: `corpus`, `selected`, `where`, `where_null`, `sample`, `limit`.
        folded: slice position (from 1) -> how many of its cells were counted as "other".
    """

    table: pa.Table
    systems: tuple[tuple[str, int], ...]
    selection: dict[str, int]
    folded: dict[int, int]


def reduce(store: ObjectStore, record: RunRecord, *, commits: CountCommits | None = None) -> RunCounts:
    """Merge, name, check and fold the counts of every shard.

    Args:
        store: where the run's stages lie.
        record: the run.
        commits: markers that were read before; read here otherwise.

    Raises:
        RunIncomplete: shards are not committed.
        ConservationError: counts do not add up.
        SpecError: two systems have one name.
    """
    commits = commits or read_count_commits(store, record)
    merged = {stage: _merge_stage(store, stage, found) for stage, found in commits.by_stage.items()}
    return combine(record, [merged[system.count] for system in record.systems])


def combine(record: RunRecord, merged: Sequence[pa.Table]) -> RunCounts:
    """Put the merged counts of each of the record's systems together. Raises as `reduce`."""
    tables: list[pa.Table] = []
    systems: list[tuple[str, int]] = []
    selections: list[dict[str, int]] = []
    for position, (system, counts) in enumerate(zip(record.systems, merged, strict=True)):
        is_selection = pc.equal(counts["table"], "selection")
        selections.append(_by_stat(counts.filter(is_selection)))
        named = _named(counts.filter(pc.invert(is_selection)), system)
        names = [system.name] if system.name is not None else sorted(named["system"].unique().to_pylist())
        systems += [(name, position) for name in names]
        tables.append(named)
    _refuse_namesakes([name for name, _ in systems])
    differing = [position for position, found in enumerate(selections) if found != selections[0]]
    if differing:
        raise ConservationError(
            f"systems 0 and {differing[0]} of the run saw other corpus rows: {selections[0]} and "
            f"{selections[differing[0]]}; their stages come from different corpora: run into another output"
        )
    selection = selections[0] if selections else {}
    table = merge(tables)
    check_conservation(table, record=record, systems=systems, selection=selection)
    table, folded = fold_cells(table)
    return RunCounts(table=table, systems=tuple(systems), selection=selection, folded=folded)


def _merge_stage(store: ObjectStore, stage: str, commits: Sequence[Commit]) -> pa.Table:
    """Counts of a stage: leaves of some shards each, then level upon level as in a binary counter."""
    levels: list[tuple[int, pa.Table]] = []
    for leaf in _leaves(iter_parts(store, stage, commits, part="counts")):
        level, table = 0, leaf
        while levels and levels[-1][0] == level:
            table = merge([levels.pop()[1], table])
            level += 1
        levels.append((level, table))
    return merge([table for _, table in levels])


def _leaves(parts: Iterator[bytes]) -> Iterator[pa.Table]:
    while batch := [decode(data) for data in islice(parts, _LEAF_PARTS)]:
        yield merge(batch)


def _named(counts: pa.Table, system: SystemRecord) -> pa.Table:
    """The counts with the names that the report shows."""
    if system.name is not None:
        names: pa.Array = pa.repeat(pa.scalar(system.name), len(counts))
    else:
        names = pc.if_else(pc.equal(counts["system"], ""), NO_NAME, counts["system"])
    return counts.set_column(counts.schema.get_field_index("system"), counts.schema.field("system"), names)


def _refuse_namesakes(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SpecError(
            f"systems: two are called {twice[0]!r} (one may come from the column of `name_from`); "
            "give the other one another `name`"
        )


def _by_stat(counts: pa.Table) -> dict[str, int]:
    found: dict[str, int] = {}
    for stat, value in zip(counts["stat"].to_pylist(), counts["value"].to_pylist(), strict=True):
        found[stat] = found.get(stat, 0) + value
    return found

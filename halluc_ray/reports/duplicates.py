"""Ids that occur more than once under one system, over all shards of a run.

Knows the verdict parts and DuckDB, which spills to a folder of its own beyond a bounded memory; no
outcome depends on what is found here. Callers: `files`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.records.runs import RunRecord, SystemRecord
from halluc_ray.reports.parts import CountCommits, iter_parts, read_count_commits
from halluc_ray.storage.parquet import decode
from halluc_ray.storage.store import ObjectStore

_EXAMPLES = 5
_BATCH_PARTS = 64
_MEMORY = "512MB"


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Ids that occur more than once under one system.

    Attributes:
        ids: how many such (system, id) pairs there are.
        rows: rows beyond the first of each.
        examples: the smallest such ids, at most five.
    """

    ids: int
    rows: int
    examples: tuple[str, ...]


NO_DUPLICATES = Duplicates(0, 0, ())


def find_duplicates(store: ObjectStore, record: RunRecord, *, commits: CountCommits | None = None) -> Duplicates:
    """Count ids that occur more than once.

    Systems with one name each all see the same rows, so one of them is looked at; so is each system
    whose names come from a column. Rows without an id column are known by location, which is unique.

    Args:
        store: where the run's stages lie.
        record: the run.
        commits: markers that were read before; read here otherwise.
    """
    if "id" not in record.corpus.columns:
        return NO_DUPLICATES
    commits = commits or read_count_commits(store, record)
    by_names: dict[str | None, SystemRecord] = {}
    for system in record.systems:
        by_names.setdefault(system.name_from, system)
    found = [
        count_duplicates(_ids(store, system.count, commits)) for _, system in sorted(by_names.items(), key=_none_first)
    ]
    examples = sorted({example for one in found for example in one.examples})[:_EXAMPLES]
    return Duplicates(sum(one.ids for one in found), sum(one.rows for one in found), tuple(examples))


def count_duplicates(batches: Iterable[pa.Table]) -> Duplicates:
    """Duplicates over tables of (system, id), with bounded memory."""
    with (
        tempfile.TemporaryDirectory(prefix="halluc-ray-ids-") as folder,
        duckdb.connect(config={"memory_limit": _MEMORY, "threads": 2, "temp_directory": folder}) as database,
    ):
        database.execute("CREATE TABLE units (system VARCHAR, id VARCHAR)")
        for batch in batches:
            database.register("batch", batch)
            database.execute("INSERT INTO units SELECT system, id FROM batch")
            database.unregister("batch")
        database.execute(
            "CREATE TABLE twice AS SELECT id, count(*) AS times FROM units GROUP BY system, id HAVING count(*) > 1"
        )
        ids, surplus = database.execute("SELECT count(*), coalesce(sum(times - 1), 0) FROM twice").fetchone() or (0, 0)
        query = "SELECT DISTINCT id FROM twice ORDER BY id LIMIT ?"
        examples = tuple(str(row[0]) for row in database.execute(query, [_EXAMPLES]).fetchall())
    return Duplicates(int(ids), int(surplus), examples)


def _ids(store: ObjectStore, stage: str, commits: CountCommits) -> Iterator[pa.Table]:
    parts = iter_parts(store, stage, commits.by_stage[stage])
    while batch := [_first_draws(data) for data in islice(parts, _BATCH_PARTS)]:
        yield pa.concat_tables(batch)


def _first_draws(data: bytes) -> pa.Table:
    units = decode(data, ["system", "id", "draw"])
    units = units.filter(pc.equal(units["draw"], 0))
    return pa.table({"system": units["system"].cast(pa.string()), "id": units["id"]})


def _none_first(pair: tuple[str | None, SystemRecord]) -> tuple[bool, str]:
    return (pair[0] is not None, pair[0] or "")

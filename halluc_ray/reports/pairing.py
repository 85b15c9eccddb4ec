"""Pair the units of two systems: the same corpus row, id or value of a column on either side.

Knows verdict parts and DuckDB, which keeps the pairs on disk and spills beyond a bounded memory; does no
statistics. Where both sides are cut in the same shards, they are paired shard by shard. Callers:
`comparing`, `flips`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.errors import SpecError
from halluc_ray.reports.cells import cell_texts
from halluc_ray.reports.sample_rows import ShardRows, as_text
from halluc_ray.reports.sides import PlacedShard, Side, of_system
from halluc_ray.storage.parquet import decode

ROW = "row"
ID = "id"
_MEMORY = "1GB"
_SHOWN = 3
_ROWS_OF_A_FILE = 2**40


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of two systems.

    Attributes:
        by: `row` (file, row and draw), `id`, or a corpus column.
        indicators: names that both runs have.
        slices: of the report, read from A's corpus.
        cluster: corpus column of the source that rows share, `""` where draws of a row share it, or None.
    """

    by: str
    indicators: tuple[str, ...]
    slices: tuple[tuple[str, ...], ...]
    cluster: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Corpus columns of the slices, each once."""
        return tuple(dict.fromkeys(column for entry in self.slices for column in entry))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two systems' units, paired.

    Attributes:
        database: holds the table `pairs`: key, draw, cluster, a_<k> and b_<k> (outcome codes of indicator k),
            s_<j> (value of slice column j as JSON), a_shard, a_at, b_shard, b_at.
        units_a, units_b: units of each side.
        without_key_a, without_key_b: of these, units whose id or column is null.
        count: units that have a partner.
    """

    database: duckdb.DuckDBPyConnection
    question: Question
    units_a: int
    units_b: int
    without_key_a: int
    without_key_b: int
    count: int

    @property
    def only_a(self) -> int:
        """Units of A without a partner."""
        return self.units_a - self.count

    @property
    def only_b(self) -> int:
        """Units of B without a partner."""
        return self.units_b - self.count


@contextmanager
def paired(a: Side, b: Side, question: Question) -> Iterator[Pairs]:
    """Pair the units of two systems; the pairs live as long as the context.

    Raises:
        SpecError: a key occurs more than once on one side, so that pairs can't be told.
        InputError: a corpus column is asked for whose file is gone.
    """
    with (
        tempfile.TemporaryDirectory(prefix="halluc-ray-pairs-") as folder,
        duckdb.connect(
            f"{folder}/pairs.duckdb",
            config={"memory_limit": _MEMORY, "threads": 2, "temp_directory": folder},
        ) as database,
    ):
        database.execute("SET preserve_insertion_order = false")
        join = _by_shard if question.by == ROW and _same_cuts(a, b) else _at_once
        yield join(database, a, b, question)


def _same_cuts(a: Side, b: Side) -> bool:
    return [shard.key for shard in a.record.shards(a.system)] == [shard.key for shard in b.record.shards(b.system)]


def _by_shard(database: duckdb.DuckDBPyConnection, a: Side, b: Side, question: Question) -> Pairs:
    """Shard upon shard, so that no more than one of each side is held outside of the pairs."""
    files: dict[tuple[str, int], int] = {}
    units_a = units_b = 0
    _create(database, question)
    for of_a, of_b in zip(a.verdicts(), b.verdicts(), strict=True):
        left = _units(a, *of_a, question=question, files=files, first=True)
        right = _units(b, *of_b, question=question, files=files, first=False)
        units_a, units_b = units_a + len(left), units_b + len(right)
        database.register("a", left)
        database.register("b", right)
        _join(database, question)
        database.unregister("a")
        database.unregister("b")
    return Pairs(database, question, units_a, units_b, 0, 0, _count(database, "pairs"))


def _at_once(database: duckdb.DuckDBPyConnection, a: Side, b: Side, question: Question) -> Pairs:
    files: dict[tuple[str, int], int] = {}
    _create(database, question)
    for name, side in (("a", a), ("b", b)):
        _load(database, name, side, question=question, files=files)
        if question.by != ROW:
            _refuse_duplicates(database, name, side, question.by)
    _join(database, question)
    units_a, units_b = (_count(database, name) for name in ("a", "b"))
    keyless_a, keyless_b = (_count(database, name, "WHERE key IS NULL") for name in ("a", "b"))
    return Pairs(database, question, units_a, units_b, keyless_a, keyless_b, _count(database, "pairs"))


def _load(
    database: duckdb.DuckDBPyConnection,
    name: str,
    side: Side,
    *,
    question: Question,
    files: dict[tuple[str, int], int],
) -> None:
    made = False
    for placed, rows, data in side.verdicts():
        database.register("units", _units(side, placed, rows, data, question=question, files=files, first=name == "a"))
        target = f"INSERT INTO {name}" if made else f"CREATE TABLE {name} AS"
        database.execute(f"{target} SELECT * FROM units")  # noqa: S608 - a or b
        database.unregister("units")
        made = True
    if not made:
        raise SpecError(f"run {side.run_id} has no shards: its corpus is empty, so there is nothing to compare")


def _units(
    side: Side,
    placed: PlacedShard,
    rows: ShardRows,
    data: bytes,
    *,
    question: Question,
    files: dict[tuple[str, int], int],
    first: bool,
) -> pa.Table:
    """A side's units of one shard; slices and clusters are read on the first side alone."""
    names = [indicator.name for indicator in side.record.indicators]
    outcomes = [f"outcome_{names.index(name)}" for name in question.indicators]
    part = decode(data, ["row", "draw", "id", "system", *outcomes])
    at = of_system(part, side)
    part = part.take(at)
    columns = set(question.columns if first else ())
    columns |= {question.cluster} if first and question.cluster else set()
    columns |= {question.by} if question.by not in (ROW, ID) else set()
    found = rows.corpus(part["row"], columns=sorted(columns)) if columns and len(part) else None
    units: dict[str, pa.Array | pa.ChunkedArray] = {"key": _keys(part, placed, found, question, files)}
    units["draw"] = part["draw"]
    if first:
        units["cluster"] = _clusters(units["key"], found, question)
        nothing = pa.array([], pa.string())
        for j, column in enumerate(question.columns):
            units[f"s_{j}"] = cell_texts(found[column]) if found is not None else nothing
    units |= {f"o_{k}": part[column] for k, column in enumerate(outcomes)}
    units["shard"] = pa.array(np.full(len(part), placed.number, dtype=np.int32))
    units["at"] = at
    return pa.table(units)


def _keys(
    part: pa.Table, placed: PlacedShard, found: pa.Table | None, question: Question, files: dict[tuple[str, int], int]
) -> pa.Array | pa.ChunkedArray:
    if question.by == ID:
        return part["id"]
    if question.by != ROW:
        return as_text(found[question.by]) if found is not None else pa.array([], pa.string())
    file = files.setdefault(placed.file, len(files))
    return pc.add(part["row"].cast(pa.int64()), file * _ROWS_OF_A_FILE + placed.first_row)


def _clusters(
    keys: pa.Array | pa.ChunkedArray, found: pa.Table | None, question: Question
) -> pa.Array | pa.ChunkedArray:
    if question.cluster is None:
        return pa.nulls(len(keys), pa.string())
    own = keys.cast(pa.string())
    return pc.coalesce(as_text(found[question.cluster]), own) if question.cluster and found is not None else own


def _create(database: duckdb.DuckDBPyConnection, question: Question) -> None:
    key = "BIGINT" if question.by == ROW else "VARCHAR"
    columns = [f"key {key}", "draw USMALLINT", "cluster VARCHAR"]
    columns += [f"s_{j} VARCHAR" for j in range(len(question.columns))]
    columns += [f"{side}_{k} UTINYINT" for k in range(len(question.indicators)) for side in "ab"]
    columns += [f"{side}_{place}" for side in "ab" for place in ("shard INTEGER", "at BIGINT")]
    database.execute(f"CREATE TABLE pairs ({', '.join(columns)})")


def _join(database: duckdb.DuckDBPyConnection, question: Question) -> None:
    columns = ["a.key", "a.draw", "a.cluster", *(f"a.s_{j}" for j in range(len(question.columns)))]
    columns += [f"{side}.o_{k}" for k in range(len(question.indicators)) for side in "ab"]
    columns += [f"{side}.{place}" for side in "ab" for place in ("shard", "at")]
    database.execute(
        f"INSERT INTO pairs SELECT {', '.join(columns)} FROM a JOIN b ON a.key = b.key AND a.draw = b.draw"  # noqa: S608
    )


def _refuse_duplicates(database: duckdb.DuckDBPyConnection, name: str, side: Side, by: str) -> None:
    twice = f"SELECT key FROM {name} WHERE key IS NOT NULL GROUP BY key, draw HAVING count(*) > 1"  # noqa: S608 - a or b
    found = database.execute(f"SELECT DISTINCT key FROM ({twice}) ORDER BY key LIMIT {_SHOWN}").fetchall()  # noqa: S608
    if found:
        number = _count(database, f"(SELECT DISTINCT key FROM ({twice}))")  # noqa: S608
        examples = ", ".join(repr(key) for (key,) in found)
        raise SpecError(
            f"--by {by}: {number:,} values occur more than once for system {side.name!r} of run {side.run_id} (such as "
            f"{examples}), so that pairs can't be told; pair by a column that tells rows apart, or --by row"
        )


def _count(database: duckdb.DuckDBPyConnection, table: str, condition: str = "") -> int:
    row = database.execute(f"SELECT count(*) FROM {table} {condition}").fetchone()  # noqa: S608 - names of our own
    return int(row[0]) if row else 0

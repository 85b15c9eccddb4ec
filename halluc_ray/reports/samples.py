"""Rows of a run that satisfy a condition, with verdicts, evidence and texts.

Knows DuckDB, which evaluates the condition and is locked: it opens no file and loads nothing. Reads
shard by shard and stops at the limit. Callers: `halluc-ray samples`, the Python face.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from halluc_ray.errors import SpecError
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.parts import iter_parts, read_count_commits
from halluc_ray.reports.sample_rows import SampleColumns, ShardRows, all_positions, sample_columns
from halluc_ray.storage.files import CorpusFile
from halluc_ray.storage.store import ObjectStore

_AT = "halluc_ray_position"
_MEMORY = "1GB"
_WINDOW = 8


def samples(
    store: ObjectStore,
    record: RunRecord,
    *,
    sources: Mapping[str, CorpusFile],
    where: str | None = None,
    limit: int = 20,
) -> pa.Table:
    """Units of the run, in the order of systems and corpus, that satisfy `where`.

    Args:
        store: where the run lies.
        record: the run.
        sources: file digest -> corpus file. Texts of a file that is not given are null.
        where: a DuckDB expression over the columns of `sample_columns`, such as
            `hhem = 'hallucinated' AND response LIKE '%2019%'`; None takes every unit.
        limit: rows at most.

    Raises:
        SpecError: the expression is none, or names a column that does not exist; lists those that do.
        RunIncomplete: shards are not committed.
    """
    columns = sample_columns(record)
    used = _columns_used(where, columns)
    found: list[pa.Table] = []
    missing = limit
    with _locked_database() as database:
        for rows, data in _shards(store, record, sources):
            if missing <= 0:
                break
            matching = _matching(database, rows, columns, data=data, where=where, used=used, limit=missing)
            if matching is not None:
                found.append(matching)
                missing -= len(matching)
    return pa.concat_tables(found) if found else pa.table({name: [] for name in columns.all})


def _shards(
    store: ObjectStore, record: RunRecord, sources: Mapping[str, CorpusFile]
) -> Iterator[tuple[ShardRows, bytes]]:
    """Every shard with the bytes of its verdicts, a few read ahead."""
    commits = read_count_commits(store, record)
    for system in record.systems:
        markers = commits.by_stage[system.count]
        parts = iter_parts(store, system.count, markers, window=_WINDOW)
        for shard, marker, data in zip(record.shards(system), markers, parts, strict=True):
            yield ShardRows(store, record, system, shard, marker, sources), data


def _matching(
    database: duckdb.DuckDBPyConnection,
    rows: ShardRows,
    columns: SampleColumns,
    *,
    data: bytes,
    where: str | None,
    used: frozenset[str],
    limit: int,
) -> pa.Table | None:
    """Units of one shard: the dear columns are read before filtering only if the condition names them."""
    units = rows.verdicts(data)
    everything = all_positions(units)
    visible = units
    if used & set(columns.evidence):
        visible = _beside(visible, rows.evidence(everything))
    if used & set(columns.texts):
        visible = _beside(visible, rows.texts(units["row"], everything))
    at = _positions(database, visible.append_column(_AT, everything), where=where, limit=limit, columns=columns)
    if not len(at):
        return None
    chosen = units.take(at)
    return _beside(_beside(chosen, rows.evidence(at)), rows.texts(chosen["row"], at))


def _positions(
    database: duckdb.DuckDBPyConnection, visible: pa.Table, *, where: str | None, limit: int, columns: SampleColumns
) -> pa.Array:
    if where is None:
        return visible[_AT].slice(0, limit).combine_chunks()
    try:
        relation = database.from_arrow(visible).filter(where).order(_AT).limit(limit).project(_AT)
        return relation.to_arrow_table()[_AT].combine_chunks()
    except duckdb.Error as error:
        raise _bad_condition(where, columns, str(error)) from error


def _columns_used(where: str | None, columns: SampleColumns) -> frozenset[str]:
    """Columns that the condition names; all of them where it can't be told."""
    if where is None:
        return frozenset()
    try:
        tree = sqlglot.parse_one(where, dialect="duckdb")
    except SqlglotError:
        return frozenset(columns.all)
    lowered = {name.lower(): name for name in columns.all}
    named = {column.name.lower() for column in tree.find_all(exp.Column)}
    return frozenset(lowered[name] for name in named if name in lowered)


def _bad_condition(where: str, columns: SampleColumns, message: str) -> SpecError:
    cause = message.split("\n")[0]
    return SpecError(f"where: {where!r} can't be evaluated ({cause}); the columns are {', '.join(columns.all)}")


def _locked_database() -> duckdb.DuckDBPyConnection:
    """A database in memory that reads no files, sees no Python variables, and stays so."""
    database = duckdb.connect(
        config={
            "enable_external_access": False,
            "python_enable_replacements": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "memory_limit": _MEMORY,
            "threads": 2,
        }
    )
    database.execute("SET lock_configuration = true")
    return database


def _beside(left: pa.Table, right: pa.Table) -> pa.Table:
    for name in right.column_names:
        left = left.append_column(name, right[name])
    return left

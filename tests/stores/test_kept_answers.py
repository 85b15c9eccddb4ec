"""Answers that are kept until their shard is committed, on every store."""

import pytest

from halluc_ray.engine.kept import Costs, KeptAnswers
from halluc_ray.errors import StoreError
from halluc_ray.models.execution import units_table
from halluc_ray.storage import ObjectStore, commits, keys, parquet

STAGE = "generate-0123abcd"


def kept(store: ObjectStore, shard: str) -> KeptAnswers:
    return KeptAnswers(store, STAGE, shard, costs=Costs(store))


def units(*rows: int, text: str = "永和"):
    return units_table([{"row": row, "draw": 0, "id": f"q{row}", "text": text} for row in rows])


def objects(store: ObjectStore) -> list[str]:
    return [info.key for info in store.list(keys.parts_prefix(STAGE))]


def test_what_was_kept_is_found_by_the_next_try_of_that_shard_alone(store: ObjectStore) -> None:
    first = kept(store, "a")
    assert first.recall().num_rows == 0
    first.keep(units())
    assert objects(store) == []
    first.keep(units(0))
    first.keep(units(0, 1))
    kept(store, "b").keep(units(7))
    assert kept(store, "a").recall().equals(units(0, 1))
    second = kept(store, "a")
    second.keep(units(0, 1, 2))
    assert len(objects(store)) == 2, "what a try keeps stands in place of what earlier ones kept"
    second.forget()
    assert kept(store, "a").recall().num_rows == 0
    assert kept(store, "b").recall().equals(units(7))


def test_two_tries_that_kept_at_once_are_one(store: ObjectStore) -> None:
    """Neither saw the other's: both were written before either could remove."""
    for rows in ((0, 1), (1, 2)):
        store.put(keys.part_key(STAGE, "a", f"attempt{rows[0]}", "answers"), parquet.encode(units(*rows)))
    assert kept(store, "a").recall().equals(units(0, 1, 2))
    assert kept(store, "a").spent(lambda table: 10.0 * table.num_rows) == 30.0


def test_spent_is_what_commits_noted_and_what_open_shards_keep(store: ObjectStore) -> None:
    for shard, cost in (("a", 5), ("b", 7)):
        notes = {"cost_micro": cost}
        commits.publish(store, STAGE, shard, parts={"": parquet.encode(units(0))}, rows=1, notes=notes)
    commits.publish(store, STAGE, "c", parts={"": parquet.encode(units(0))}, rows=1)
    kept(store, "a").keep(units(0))
    kept(store, "d").keep(units(0, 1))
    assert kept(store, "e").spent(lambda table: 100.0 * table.num_rows) == 5 + 7 + 200
    commits.sweep(store, STAGE)
    assert len(objects(store)) == 4, "three commits and the open shard"


def test_a_damaged_object_is_named(store: ObjectStore) -> None:
    store.put(keys.part_key(STAGE, "a", "x", "answers"), parquet.encode(units(0))[:-9])
    with pytest.raises(StoreError, match=r"a\.x\.answers\.parquet is damaged .*; delete it to ask again"):
        kept(store, "a").recall()

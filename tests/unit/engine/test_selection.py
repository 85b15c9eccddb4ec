"""`limit` and `sample` over real files, against a brute force over all ids."""

import pytest
import xxhash

from halluc_ray.config import RunSpec
from halluc_ray.engine.plan import build_plan
from halluc_ray.engine.row_reader import RowReader
from halluc_ray.engine.selection import HASH_SPAN, sample_bound
from tests.unit.engine.whole import answers, spec_of, write


@pytest.fixture
def corpus(tmp_path):
    """Two files; every sixth id is null."""
    for name, rows in (("one", range(30)), ("two", range(30, 47))):
        ids = [None if k % 6 == 0 else f"q{k}" for k in rows]
        write(tmp_path / "c" / f"{name}.parquet", answers(rows) | {"id": ids}, group_rows=7)
    return tmp_path / "c"


def selected(corpus, tmp_path, *, shard_rows=5, **changes):
    """Ids that the shards of a plan select, and the counts of what they left out."""
    spec = spec_of(corpus, tmp_path / "out", corpus=changes, engine={"shard_rows": shard_rows})
    plan = build_plan(RunSpec.model_validate(spec), device="cpu")
    reader = RowReader(plan.context.files, corpus=plan.context.spec.corpus, selection=plan.context.selection)
    found = [reader.read(shard, columns=()) for shard in plan.shard_sets[0]]
    counts = {name: sum(rows.counts[name] for rows in found) for name in found[0].counts}
    return [id_ for rows in found for id_ in rows.ids.to_pylist()], counts


def hashed(id_):
    return xxhash.xxh3_64_intdigest(id_.encode())


def topic(id_):
    return int(id_.removeprefix("q")) % 3


@pytest.mark.parametrize("limit", [1, 2, 9, 46, 47, 99])
def test_limit_keeps_the_smallest_hashes(corpus, tmp_path, limit):
    everything, _ = selected(corpus, tmp_path)
    assert len(set(everything)) == 47, "rows without an id are known by their place"
    kept, counts = selected(corpus, tmp_path, limit=limit)
    assert sorted(kept, key=hashed) == sorted(everything, key=hashed)[:limit]
    assert (counts["selected"], counts["limit"], counts["corpus"]) == (len(kept), 47 - len(kept), 47)


@pytest.mark.parametrize("limit", [1, 5, 12])
def test_limit_is_taken_among_what_where_keeps(corpus, tmp_path, limit):
    where = "topic = 'a' AND id IS NOT NULL"
    everything, _ = selected(corpus, tmp_path)
    candidates = [id_ for id_ in everything if id_.startswith("q") and topic(id_) == 0]
    kept, counts = selected(corpus, tmp_path, where=where, limit=limit)
    assert sorted(kept, key=hashed) == sorted(candidates, key=hashed)[:limit]
    assert sum(counts[name] for name in ("selected", "where", "where_null", "limit")) == 47


@pytest.mark.parametrize("changes", [{"sample": 0.4}, {"limit": 11}, {"where": "words > 3", "sample": 0.6}])
def test_selection_is_the_same_whatever_the_cut(corpus, tmp_path, changes):
    found = [selected(corpus, tmp_path, shard_rows=size, **changes) for size in (1, 3, 7, 100)]
    assert all(ids == found[0][0] and counts == found[0][1] for ids, counts in found)


def test_sample_is_by_hash_of_id(corpus, tmp_path):
    everything, _ = selected(corpus, tmp_path)
    kept, _ = selected(corpus, tmp_path, sample=0.3)
    assert kept == [id_ for id_ in everything if hashed(id_) < sample_bound(0.3)]
    assert sample_bound(1.0) == HASH_SPAN


def test_rows_of_one_id_are_kept_or_left_out_together(corpus, tmp_path):
    write(corpus / "one.parquet", answers(range(30)) | {"id": [f"q{k // 3}" for k in range(30)]})
    kept, counts = selected(corpus, tmp_path, limit=4)
    assert counts["selected"] == len(kept) >= 4
    everything, _ = selected(corpus, tmp_path)
    assert all(everything.count(id_) == kept.count(id_) for id_ in kept)
    assert max(map(hashed, kept)) == sorted(map(hashed, everything))[3]

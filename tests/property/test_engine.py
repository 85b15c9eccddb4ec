"""Cuts, selections and counts against brute force."""

import json
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from halluc_ray.config import parse_condition
from halluc_ray.engine import counting
from halluc_ray.engine.selection import Selection, sample_bound, select
from halluc_ray.engine.shards import cut, read_amplification, shard_of
from halluc_ray.records import OUTCOMES
from halluc_ray.records.counts import exact_sums, merge, sum_of_limbs

groups = st.lists(st.integers(0, 40), max_size=12)


@given(group_rows=groups, shard_rows=st.integers(1, 50))
def test_a_cut_holds_every_row_once_and_in_order(group_rows, shard_rows):
    starts = np.cumsum([0, *group_rows])
    covered = []
    for source in cut("f", group_rows, shard_rows=shard_rows):
        assert 0 < source.num_rows <= shard_rows
        held = sum(group_rows[source.group_start : source.group_stop])
        whole = (source.row_start, source.row_stop) == (0, held)
        assert whole or source.group_stop == source.group_start + 1, "a slice crosses groups"
        assert source.row_stop <= held
        first = int(starts[source.group_start]) + source.row_start
        covered += range(first, first + source.num_rows)
    assert covered == list(range(sum(group_rows)))


@given(group_rows=groups, shard_rows=st.integers(1, 50))
def test_neighbouring_shards_could_not_be_one(group_rows, shard_rows):
    found = list(cut("f", group_rows, shard_rows=shard_rows))
    for one, next_ in pairwise(found):
        if one.group_start != next_.group_start and max(group_rows[one.group_start : next_.group_stop]) <= shard_rows:
            head = next(rows for rows in group_rows[next_.group_start :] if rows)
            assert one.num_rows + head > shard_rows


@given(first=groups, second=groups, shard_rows=st.integers(1, 50))
def test_a_cut_does_not_depend_on_other_files(first, second, shard_rows):
    alone = [shard_of(source, {}).key for source in cut("f", first, shard_rows=shard_rows)]
    others = [shard_of(source, {}).key for source in cut("g", second, shard_rows=shard_rows)]
    assert len({*alone, *others}) == len(alone) + len(others)
    sources = [*cut("f", first, shard_rows=shard_rows), *cut("g", second, shard_rows=shard_rows)]
    assert read_amplification(sources, {"f": first, "g": second}) >= 1.0


ids = st.lists(st.text(max_size=3), max_size=40)
WHERE = parse_condition("n > 3 AND lang = 'en'")


def fate(id_, n, lang, *, below, name):
    if n is not None and n <= 3:
        return "where"
    if lang is not None and lang != "en":
        return "where"
    if n is None or lang is None:
        return "where_null"
    return "selected" if xxhash.xxh3_64_intdigest(id_.encode()) < below else name


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.text(max_size=3), st.none() | st.integers(0, 9), st.sampled_from(["en", "zh", None])), max_size=40
    ),
    share=st.floats(0.01, 1),
    by_limit=st.booleans(),
    at=st.integers(0, 40),
)
def test_every_row_has_one_fate_whatever_the_cut(rows, share, by_limit, at):
    below, name = sample_bound(share), "limit" if by_limit else "sample"
    chosen = Selection(WHERE, below, by_limit=by_limit)
    table = pa.table(
        {
            "id": pa.array([row[0] for row in rows], pa.string()),
            "n": pa.array([row[1] for row in rows], pa.int64()),
            "lang": pa.array([row[2] for row in rows], pa.string()),
        }
    )
    fates = [fate(*row, below=below, name=name) for row in rows]
    whole = select(table, table["id"].combine_chunks(), chosen)
    assert list(whole.positions) == [k for k, what in enumerate(fates) if what == "selected"]
    wanted = Counter(fates)
    assert whole.counts == {
        "corpus": len(rows),
        **{what: wanted[what] for what in ("selected", "where", "where_null", "sample", "limit")},
    }
    pieces = [table[:at], table[at:]]
    found = [select(piece, piece["id"].combine_chunks(), chosen) for piece in pieces]
    assert [*found[0].positions, *(found[1].positions + len(pieces[0]))] == list(whole.positions)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 1.0])
def test_a_sample_is_as_large_as_it_says(share):
    names = pa.array([f"article-{k}" for k in range(20_000)])
    kept = len(select(pa.table({"id": names}), names, Selection(None, sample_bound(share))).positions)
    low, high = binom.interval(1 - 1e-6, len(names), share)
    assert low <= kept <= high


@given(names=ids, small=st.floats(0.01, 1), large=st.floats(0.01, 1))
def test_a_larger_sample_holds_the_smaller_one(names, small, large):
    small, large = sorted((small, large))
    array = pa.array(names, pa.string())
    table = pa.table({"id": array})
    kept = [set(select(table, array, Selection(None, sample_bound(share))).positions) for share in (small, large)]
    assert kept[0] <= kept[1]


CELL_TYPES = {
    "text": (pa.string(), st.text(max_size=2)),
    "coded": (pa.dictionary(pa.int32(), pa.string()), st.text(max_size=2)),
    "flag": (pa.bool_(), st.booleans()),
    "whole": (pa.int64(), st.integers(-3, 3)),
    "day": (pa.date32(), st.dates()),
}


def plain(value):
    return value if value is None or isinstance(value, str | int | bool) else value.isoformat()


@settings(deadline=None)
@given(data=st.data(), length=st.integers(0, 30), kinds=st.lists(st.sampled_from(sorted(CELL_TYPES)), max_size=3))
def test_counts_equal_a_count_in_plain_python(data, length, kinds):
    def column(values):
        return data.draw(st.lists(values, min_size=length, max_size=length))

    systems, codes = column(st.sampled_from(["a", "b", ""])), column(st.integers(0, 5))
    values = [column(st.none() | CELL_TYPES[kind][1]) for kind in kinds]
    arrays = [
        pa.array(v, pa.string()).dictionary_encode() if kind == "coded" else pa.array(v, CELL_TYPES[kind][0])
        for kind, v in zip(kinds, values, strict=True)
    ]
    cells = counting.group(3, pa.array(systems, pa.string()), arrays)
    builder = counting.CountsBuilder()
    counting.count_outcomes(builder, cells, [np.array(codes, dtype=np.uint8)])
    wanted = Counter()
    for k in range(length):
        cell = json.dumps([plain(v[k]) for v in values], ensure_ascii=False, separators=(",", ":"))
        wanted[cell, systems[k], "rows"] += 1
        wanted[cell, systems[k], OUTCOMES[codes[k]].label] += 1
    found = {(r["cell"], r["system"], r["stat"]): r["value"] for r in builder.build().to_pylist()}
    assert found == dict(wanted)
    assert {(r["table"], r["slice"], r["item"]) for r in builder.build().to_pylist()} <= {("outcomes", 3, 0)}


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.floats(), st.booleans(), st.sampled_from("xyz")), max_size=30))
def test_a_summary_is_exact_and_counts_what_it_skips(rows):
    cells = counting.group(1, pa.array([""] * len(rows), pa.string()), [pa.array([r[2] for r in rows], pa.string())])
    builder = counting.CountsBuilder()
    chosen = np.array([r[1] for r in rows], dtype=bool)
    counting.count_summary(builder, cells, pa.array([r[0] for r in rows], pa.float64()), chosen, item=0)
    found = {}
    for row in builder.build().to_pylist():
        found.setdefault(json.loads(row["cell"])[0], {})[row["stat"]] = row["value"]
    for name in "xyz":
        mine = [value for value, picked, cell in rows if picked and cell == name]
        finite = [value for value in mine if np.isfinite(value)]
        stats = found.get(name, {})
        assert (stats.get("rows", 0), stats.get("skipped", 0)) == (len(finite), len(mine) - len(finite))
        assert sum_of_limbs(stats) == sum(map(Fraction, finite))


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(values=st.lists(finite, max_size=40))
def test_sums_of_floats_are_exact(values):
    zeros = np.zeros(len(values), dtype=np.int64)
    limbs = {f"limb_{k}": int(t[0]) for k, t in exact_sums(np.array(values, dtype=np.float64), zeros, num_groups=1)}
    assert sum_of_limbs(limbs) == sum(map(Fraction, values))


@given(many=st.integers(2**20, 2**21), value=st.sampled_from([1.7e308, -5e-324, 0.1]))
@settings(max_examples=5, deadline=None)
def test_sums_of_many_do_not_overflow(many, value):
    values, zeros = np.full(many, value), np.zeros(many, dtype=np.int64)
    limbs = {f"limb_{k}": int(totals[0]) for k, totals in exact_sums(values, zeros, num_groups=1)}
    assert sum_of_limbs(limbs) == many * Fraction(value)


tables = st.lists(
    st.tuples(st.sampled_from(["outcomes", "units"]), st.integers(0, 1), st.sampled_from(["[]", "[1]"]),
              st.sampled_from(["", "a"]), st.integers(0, 1), st.sampled_from(["rows", "failed"]),
              st.integers(-(2**40), 2**40)),
    max_size=12,
).map(lambda rows: _built(rows))  # fmt: skip


def _built(rows):
    builder = counting.CountsBuilder()
    for table, slice_, cell, system, item, stat, value in rows:
        builder.add(table, stat, value, slice_=slice_, cell=cell, system=system, item=item)
    return builder.build()


@settings(deadline=None)
@given(a=tables, b=tables, c=tables)
def test_merging_is_associative_and_commutative_and_zero_is_neutral(a, b, c):
    whole = merge([a, b, c])
    assert whole.equals(merge([merge([a, b]), c]))
    assert whole.equals(merge([a, merge([b, c])]))
    assert whole.equals(merge([c, b, a]))
    assert merge([]).num_rows == 0
    assert merge([whole, merge([])]).equals(whole)
    wanted = Counter()
    for row in [*a.to_pylist(), *b.to_pylist(), *c.to_pylist()]:
        wanted[tuple(row[key] for key in whole.column_names[:-1])] += row["value"]
    found = {tuple(row.values())[:-1]: row["value"] for row in whole.to_pylist()}
    assert found == {key: value for key, value in wanted.items() if value}

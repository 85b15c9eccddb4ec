import json
import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halluc_ray.errors import ConservationError, RunIncomplete, SpecError
from halluc_ray.records.counts import merge
from halluc_ray.reports import find_duplicates, reduce, write_reports
from halluc_ray.reports.cells import OTHER, fold_cells
from halluc_ray.reports.reduce import combine
from halluc_ray.storage import keys, open_store
from halluc_ray.storage.local import LocalStore
from tests.unit.reports.handmade import Handmade, Row, Verdict

OUTCOMES = ("hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed")


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "out"))


def some_rows(number=23, seed=1):
    rng = random.Random(seed)
    return [
        Row(
            id=f"r{at:03d}",
            verdicts=(Verdict(rng.choice(OUTCOMES)),),
            model=rng.choice(["a", "b", None]),
            lang=rng.choice(["en", "中文", None]),
            words=rng.randrange(200),
        )
        for at in range(number)
    ]


def outcomes_of(counts, system, slice_=0, cell="[]"):
    rows = counts.table.filter(
        (pc.field("table") == "outcomes")
        & (pc.field("system") == system)
        & (pc.field("slice") == slice_)
        & (pc.field("cell") == cell)
    )
    return dict(zip(rows["stat"].to_pylist(), rows["value"].to_pylist(), strict=True))


def test_counts_of_a_run_are_those_of_its_rows(store, tmp_path):
    rows = some_rows()
    counts = reduce(store, Handmade(store, tmp_path, rows).publish())
    assert [name for name, _ in counts.systems] == ["(none)", "a", "b"]
    for name, model in (("(none)", None), ("a", "a"), ("b", "b")):
        mine = [row for row in rows if row.model == model]
        expected = {o: n for o in OUTCOMES if (n := sum(row.verdicts[0].outcome == o for row in mine))}
        assert outcomes_of(counts, name) == {**expected, "rows": len(mine)}
    chinese = [row for row in rows if row.model == "a" and row.lang == "中文"]
    assert outcomes_of(counts, "a", 1, '["中文"]')["rows"] == len(chinese)


def test_report_bytes_do_not_depend_on_order_of_work_or_cut(tmp_path):
    found = []
    for name, reverse in (("one", False), ("two", True)):
        store = LocalStore(tmp_path / name)
        run = Handmade(store, tmp_path, some_rows(), reverse=reverse)
        write_reports(store, run.publish(), run_id="r")
        found.append(
            {file: store.read(keys.run_key("r", file)) for file in ("report.json", "counts.parquet", "verdicts.json")}
        )
    assert found[0] == found[1]
    store = LocalStore(tmp_path / "three")
    write_reports(store, Handmade(store, tmp_path, some_rows(), shard_rows=7).publish(), run_id="r")
    assert store.read(keys.run_key("r", "report.json")) == found[0]["report.json"]


def test_missing_shards_are_counted_not_skipped(store, tmp_path):
    run = Handmade(store, tmp_path, some_rows())
    record = run.publish()
    store.delete(keys.commit_key(run.count, f"{2:032x}"))
    with pytest.raises(RunIncomplete, match="1 of 6 shards"):
        reduce(store, record)


@pytest.mark.parametrize(
    ("table", "stat"),
    [
        ("outcomes", "supported"),
        ("units", "rows"),
        ("selection", "selected"),
        ("selection", "corpus"),
        ("outcomes", "rows"),
    ],
)
def test_a_count_that_does_not_add_up_is_an_error(store, tmp_path, table, stat):
    run = Handmade(store, tmp_path, some_rows())
    good = run.counts(run.rows)
    extra = good.filter((pc.field("table") == table) & (pc.field("stat") == stat)).slice(0, 1)
    extra = extra.set_column(6, good.schema.field("value"), pa.array([1], pa.int64()))
    combine(run.record(), [merge([good])])
    with pytest.raises(ConservationError):
        combine(run.record(), [merge([good, extra])])


def test_a_slice_that_loses_a_cell_is_an_error(store, tmp_path):
    run = Handmade(store, tmp_path, some_rows())
    counts = merge([run.counts(run.rows)])
    lost = (pc.field("slice") == 1) & (pc.field("cell") == '["中文"]') & (pc.field("system") == "a")
    with pytest.raises(ConservationError, match="its cells add up to"):
        combine(run.record(), [counts.filter(~lost)])


def test_two_systems_of_one_name_are_refused(store, tmp_path):
    run = Handmade(store, tmp_path, some_rows())
    record = run.record()
    twice = record.model_copy(update={"systems": record.systems * 2})
    with pytest.raises(SpecError, match=r"two are called '\(none\)'"):
        combine(twice, [merge([run.counts(run.rows)])] * 2)


def test_cells_beyond_the_bound_are_counted_as_other_by_rows_then_key(store, tmp_path):
    rows = [
        Row(id=str(at), verdicts=(Verdict("supported"),), lang=lang)
        for at, lang in enumerate(["big"] * 3 + ["mid"] * 2 + ["b", "a", "c"])
    ]
    run = Handmade(store, tmp_path, rows)
    table, folded = fold_cells(combine(run.record(), [merge([run.counts(rows)])]).table, max_cells=3)
    cells = table.filter((pc.field("slice") == 1) & (pc.field("stat") == "rows") & (pc.field("table") == "outcomes"))
    assert dict(zip(cells["cell"].to_pylist(), cells["value"].to_pylist(), strict=True)) == {
        '["big"]': 3,
        '["mid"]': 2,
        '["a"]': 1,
        OTHER: 2,
    }
    assert folded == {1: 2}


def test_duplicates_within_and_across_shards(store, tmp_path):
    ids = ["x", "x", "y", "z", "w", "y", "y", "v"]
    rows = [Row(id=name, verdicts=(Verdict("supported"),)) for name in ids]
    found = find_duplicates(store, Handmade(store, tmp_path, rows, shard_rows=3).publish())
    assert (found.ids, found.rows, found.examples) == (2, 3, ("x", "y"))


def test_one_id_under_two_systems_is_no_duplicate(store, tmp_path):
    rows = [Row(id="x", model=model, verdicts=(Verdict("supported"),)) for model in ("a", "b")]
    assert find_duplicates(store, Handmade(store, tmp_path, rows).publish()).ids == 0


def test_verdicts_file_names_markers_that_lead_to_the_parts(store, tmp_path):
    write_reports(store, Handmade(store, tmp_path, some_rows()).publish(), run_id="r")
    listed = json.loads(store.read(keys.run_key("r", "verdicts.json")))
    assert sum(part["rows"] for part in listed["parts"]) == 23
    marker = json.loads(store.read(listed["parts"][0]["commit"]))
    assert marker["parts"][""] == listed["parts"][0]["sha256"]


def test_the_query_in_the_docs_gives_the_reports_rates(store, tmp_path):
    report = write_reports(store, Handmade(store, tmp_path, some_rows(60)).publish(), run_id="r")
    (tmp_path / "counts.parquet").write_bytes(store.read(keys.run_key("r", "counts.parquet")))
    page = (Path(__file__).parents[3] / "docs" / "reports.md").read_text()
    query = page.split("```sql")[1].split("```")[0].replace("counts.parquet", str(tmp_path / "counts.parquet"))
    assert dict(duckdb.sql(query).fetchall()) == {rate.system: pytest.approx(rate.rate) for rate in report.overall()}


def test_a_draw_that_is_lost_is_an_error(store, tmp_path):
    run = Handmade(store, tmp_path, [Row(f"r{k}", (Verdict("supported"),)) for k in range(4)], kind="causal-lm")
    record, counts = run.record(), merge([run.counts(run.rows)])
    combine(record, [counts])
    twice = record.systems[0].model_copy(update={"settings": {"decoding": {"samples": 2, "temperature": 0.7}}})
    with pytest.raises(ConservationError, match="4 units for 4 selected rows of 2 draws each"):
        combine(record.model_copy(update={"systems": (twice,)}), [counts])

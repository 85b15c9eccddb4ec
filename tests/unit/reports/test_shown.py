"""Which rows the page shows, and how it holds them."""

import base64
import gzip
import json
from collections import Counter

import pytest

from halluc_ray.records import Shard, ShardSource
from halluc_ray.reports.choosing import Cell, id_hash
from halluc_ray.reports.payload import payload_of
from halluc_ray.reports.shown import SLICES, shards_in_turns, shown_rows
from halluc_ray.storage import open_store
from halluc_ray.storage.files import list_files
from tests.unit.reports.handmade import Handmade, Row, Verdict

SUPPORTED, HALLUCINATED = Verdict("supported"), Verdict("hallucinated", "other", (0, 2), "x")


def run_of(tmp_path, rows, **options):
    return Handmade(open_store(str(tmp_path / "out")), tmp_path, rows, **options)


def shown(run, **options):
    record = run.publish()
    sources = {"f" * 64: list_files(str(run.folder / "corpus.parquet"))[0]}
    return shown_rows(run.store, record, sources=sources, **options)


def unpacked(payload):
    return json.loads(gzip.decompress(base64.b64decode(payload.data)))


def test_a_small_run_is_shown_whole_answers_side_by_side(tmp_path):
    rows = [Row(f"q{at}", (SUPPORTED,), model, response=f"{model} {at}") for at in range(5) for model in "abc"]
    found = shown(run_of(tmp_path, rows))
    assert sorted(row.id for row in found) == [f"q{at}" for at in range(5)]
    for row in found:
        assert [unit["system"] for unit in row.units] == ["a", "b", "c"]
        assert [unit["response"] for unit in row.units] == [f"{m} {row.id[1:]}" for m in "abc"]


def test_one_id_with_two_questions_is_two_rows(tmp_path):
    rows = [Row("same", (SUPPORTED,), "a", prompt="One?"), Row("same", (SUPPORTED,), "b", prompt="Other?")]
    assert sorted(row.first["prompt"] for row in shown(run_of(tmp_path, rows))) == ["One?", "Other?"]


def test_every_outcome_has_its_turn_and_the_smallest_hash_comes_first(tmp_path):
    rows = [Row(f"s{at}", (SUPPORTED,)) for at in range(500)]
    rows += [Row(f"h{at}", (HALLUCINATED,)) for at in range(500)]
    rows += [Row(f"a{at}", (Verdict("abstained", "refusal"),)) for at in range(3)]
    found = shown(run_of(tmp_path, rows, shard_rows=100), most_units=60)
    kinds = Counter(row.id[0] for row in found)
    assert len(found) == 60
    assert kinds["a"] == 3
    assert kinds["h"] > kinds["s"] > 15
    smallest = sorted((f"h{at}" for at in range(500)), key=id_hash)[: kinds["h"]]
    assert {row.id for row in found if row.id[0] == "h"} == set(smallest)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_choice_does_not_depend_on_the_order_of_work(tmp_path, reverse):
    rows = [Row(f"q{at}", (HALLUCINATED if at % 3 else SUPPORTED,), "ab"[at % 2]) for at in range(300)]
    (tmp_path / "it").mkdir()
    (tmp_path / "other").mkdir()
    one = shown(run_of(tmp_path / "it", rows, shard_rows=30, reverse=reverse), most_units=40)
    other = shown(run_of(tmp_path / "other", rows, shard_rows=30), most_units=40)
    assert one == other


def test_a_worst_slice_is_represented(tmp_path):
    rows = [Row(f"q{at}", (HALLUCINATED,), lang="zh" if at in (7, 400) else "en") for at in range(1000)]
    run = run_of(tmp_path, rows, shard_rows=200)
    assert not {"q7", "q400"} & {row.id for row in shown(run, most_units=20)}
    cells = [Cell("m", "judged", {"lang": "zh"})]
    assert {"q7", "q400"} <= {row.id for row in shown(run, most_units=20, cells=cells)}


def test_slice_values_do_not_take_the_place_of_what_is_known_of_a_row(tmp_path):
    [row] = shown(run_of(tmp_path, [Row("a", (SUPPORTED,), "m")], slices=(("id", "model"),)))
    assert row.first[SLICES] == {"id": "a", "model": "m"}
    assert row.first["system"] == "m"


def test_no_corpus_at_hand_shows_outcomes_without_texts(tmp_path):
    run = run_of(tmp_path, [Row("a", (HALLUCINATED,))])
    [row] = shown_rows(run.store, run.publish(), sources={})
    assert row.first["response"] is None
    packed = unpacked(payload_of(run.record(), [row], systems=["m"], most_bytes=10_000))
    assert packed["rows"][0][5][0][3] is None


def test_an_id_that_everybody_has_does_not_fill_the_page(tmp_path):
    rows = [Row("same", (SUPPORTED,)) for _ in range(500)] + [Row("other", (SUPPORTED,))]
    found = shown(run_of(tmp_path, rows, shard_rows=100))
    assert Counter(unit["id"] for row in found for unit in row.units) == {"same": 64, "other": 1}


def test_places_of_evidence_are_counted_as_a_browser_counts(tmp_path):
    response = "😀😀 巴黎是对的"
    run = run_of(tmp_path, [Row("a", (Verdict("hallucinated", "other", (3, 5), "罗马"),), response=response)])
    packed = unpacked(payload_of(run.record(), shown(run), systems=["m"], most_bytes=10_000))
    [[_, _, _, [text], [[outcome, reason, start, stop, against]]]] = packed["rows"][0][5]
    assert text.encode("utf-16-le")[2 * start : 2 * stop].decode("utf-16-le") == "巴黎"
    assert (outcome, packed["words"][reason], against) == (0, "other", "罗马")


def test_a_long_answer_is_shown_around_its_evidence_and_says_what_is_left_out(tmp_path):
    response = "a" * 50_000 + "EVIDENCE" + "b" * 50_000
    verdict = Verdict("hallucinated", "other", (50_000, 50_008), None)
    run = run_of(tmp_path, [Row("x", (verdict,), response=response)])
    payload = payload_of(run.record(), shown(run), systems=["m"], most_bytes=20_000)
    [[_, _, _, [text, before, after], [[_, _, start, stop]]]] = unpacked(payload)["rows"][0][5]
    assert text[start:stop] == "EVIDENCE"
    assert before + len(text) + after == len(response)
    assert payload.cut == 1


@pytest.mark.parametrize("most_bytes", [120_000, 30_000, 4_000, 300, -1])
def test_what_does_not_fit_is_shortened_then_left_out_from_the_end(tmp_path, most_bytes):
    noise = [str(id_hash(f"{at}")) * 40 for at in range(100)]
    rows = [Row(f"q{at}", (SUPPORTED,), context=noise[at], response=noise[-at]) for at in range(100)]
    run = run_of(tmp_path, rows, shard_rows=50)
    found = shown(run)
    payload = payload_of(run.record(), found, systems=["m"], most_bytes=most_bytes)
    assert len(payload.data) <= max(0, most_bytes)
    ids = [row[0] for row in unpacked(payload)["rows"]] if payload.data else []
    assert ids == [row.id for row in found[: len(ids)]]
    assert payload.rows == len(ids)


def test_shards_are_taken_from_a_few_row_groups_in_turn():
    shards = [
        Shard(f"{group:016x}{at:016x}", ShardSource("f" * 64, group, group + 1, at, at + 256))
        for group in range(20)
        for at in range(0, 2560, 256)
    ]
    order = shards_in_turns(shards)
    assert sorted(at for at, _ in order) == list(range(200))
    groups = [shard.source.group_start for _, shard in order]
    assert len(set(groups[:8])) == len(set(groups[:80])) == 8
    assert groups[:8] == groups[8:16]
    assert sorted(groups[:8]) != list(range(8))


def test_a_payload_has_the_same_bytes_each_time(tmp_path):
    run = run_of(tmp_path, [Row(f"q{at}", (HALLUCINATED,)) for at in range(20)])
    found = shown(run)
    payloads = {payload_of(run.record(), found, systems=["m"], most_bytes=10_000).data for _ in range(3)}
    assert len(payloads) == 1

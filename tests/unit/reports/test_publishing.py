"""What may pass: shapes without letters, names without texts, and nothing that is not listed."""

from dataclasses import replace

import pytest

from halluc_ray.reports.comparison import Answer, Comparison, Flip
from halluc_ray.reports.publishing import (
    hashed,
    masked,
    published_comparison,
    published_record,
    published_report,
    published_rows,
)
from halluc_ray.reports.shown import SLICES, ShownRow
from halluc_ray.storage import open_store
from tests.e2e.pages import published
from tests.unit.reports.handmade import Handmade, Row, Verdict

SECRET = "Ärger٣𝔘秘密🔑"


@pytest.mark.parametrize("text", ["", "a B\n1", SECRET, "naïve e\u0301 – “x”, (½)!", "\u200b\u202e", "👩\u200d💻 ok"])
def test_a_mask_keeps_lengths_and_no_letter_or_digit(text):
    shown = masked(text)
    assert len(shown) == len(text)
    assert not {sign for sign in text if not sign.isspace() and sign.isalnum()} - set("xX0") & set(shown)
    assert masked(shown) == shown


def test_hashes_tell_rows_apart():
    assert len({hashed(f"q{k}") for k in range(1000)}) == 1000
    assert hashed("q1") == hashed("q1") != "q1"


def a_record(folder):
    run = Handmade(open_store(str(folder / "out")), folder, [Row("a", (Verdict("supported"),))])
    return run.publish()


def a_unit():
    texts = dict.fromkeys(("prompt", "context", "reference", "response", "label"), SECRET)
    evidence = {"judged_reason": SECRET, "judged_span": SECRET, "judged_span_start": 0, "judged_span_stop": 5}
    known = {"id": SECRET, "system": "m", "draw": 0, "failure": SECRET, "judged": "hallucinated", "file": SECRET}
    return known | texts | evidence | {"judged_against": SECRET, "row": 7, SLICES: {"lang": "en"}, "new": SECRET}


def test_a_field_that_is_not_listed_passes_nowhere(tmp_path):
    record = a_record(tmp_path)
    [row] = published_rows([ShownRow(SECRET, (a_unit(),))], record, "redacted")
    assert SECRET not in repr(row)
    assert "new" not in row.first
    assert (row.first["judged"], row.first["judged_reason"], row.first["judged_span_stop"]) == (
        "hallucinated",
        "other",
        5,
    )
    assert row.first["response"] == masked(SECRET)
    assert row.first[SLICES] == {"lang": "en"}
    assert published_rows([ShownRow(SECRET, (a_unit(),))], record, "none") == []
    assert published_rows([ShownRow(SECRET, (a_unit(),))], record, "all")[0].first == a_unit()


def test_settings_of_systems_stay_at_home(tmp_path):
    record = a_record(tmp_path)
    told = record.model_copy(
        update={"systems": (record.systems[0].model_copy(update={"settings": {"shots": SECRET}}),)}
    )
    assert SECRET in repr(published_record(told, "all"))
    assert SECRET not in repr(published_record(told, "redacted"))
    assert SECRET not in repr(published_record(told, "none"))


def test_ids_and_reasons_of_a_report(tmp_path):
    from halluc_ray.reports.build import build_report
    from halluc_ray.reports.duplicates import Duplicates
    from halluc_ray.reports.reduce import reduce

    rows = [Row(f"r{k}", (Verdict("failed", SECRET),), failure=SECRET) for k in range(3)]
    run = Handmade(open_store(str(tmp_path / "out")), tmp_path, [*rows, Row("x", (Verdict("failed", "refusal"),))])
    record = run.publish()
    found = Duplicates(ids=1, rows=1, examples=(SECRET,))
    report = build_report(record, reduce(run.store, record), run_id="ab", duplicates=found)
    assert SECRET in repr(report.to_dict())
    for rule in ("redacted", "none"):
        passed = published_report(report, rule)
        assert SECRET not in repr(passed.to_dict())
        assert passed.systems[0].failures == {"other": 3}
        assert {entry.reason for entry in passed.reasons} == {"other", "refusal"}
    assert published_report(report, "redacted").corpus.duplicate_ids["examples"] == [hashed(SECRET)]
    assert published_report(report, "none").corpus.duplicate_ids["examples"] == []
    assert published_report(report, "all") is report


def test_flips_are_masked_or_withheld():
    answer = Answer(SECRET, "hallucinated", SECRET, 0, 5, SECRET, SECRET)
    flip = Flip(
        "a", "b", "judged", "worse", SECRET, 0, SECRET, SECRET, SECRET, answer, replace(answer, reason="refusal")
    )
    found = Comparison(1, "ra", "rb", "row", 0.95, 0, 10, (), (), (), (flip,))
    passed = published_comparison(found, "redacted")
    assert SECRET not in repr(passed)
    assert passed.flips[0].b.reason == "refusal"
    assert passed.flips[0].a.span_stop == 5
    assert published_comparison(found, "none").flips == ()
    assert published_comparison(found, "all") is found


def test_the_reports_own_page_is_as_before(tmp_path):
    _, html = published(tmp_path, rows=30)
    text = html.read_text()
    assert "halluc-ray-page" not in text
    assert "All suites" not in text.split("<main")[0]

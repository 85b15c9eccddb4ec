import re

import pytest

from halluc_ray.records.counts import merge
from halluc_ray.reports import build_report
from halluc_ray.reports.duplicates import Duplicates
from halluc_ray.reports.glance import worst_cells
from halluc_ray.reports.reduce import combine
from halluc_ray.reports.render import PageContext, render_page
from tests.unit.reports.handmade import Handmade, Row, Verdict


def page_of(tmp_path, rows, *, context=None, **options):
    run = Handmade(store=None, folder=tmp_path, rows=rows, **options)
    counts = combine(run.record(), [merge([run.counts(rows)])])
    report = build_report(run.record(), counts, run_id="r", duplicates=Duplicates(2, 3, ("a&b", "c")))
    return render_page(report, record=run.record(), worst=worst_cells(report), context=context)


@pytest.mark.parametrize(
    ("kind", "indicator", "words"),
    [
        ("sequence-classification", "label_mismatch", "Error rate"),
        ("sequence-classification", "recorded_label", "Hallucination rate"),
        ("causal-lm", "label_mismatch", "Hallucination rate"),
    ],
)
def test_a_plain_classifiers_rate_is_called_error_rate(tmp_path, kind, indicator, words):
    rows = [Row("a", (Verdict("supported"),))]
    page = page_of(tmp_path, rows, kind=kind, names_from_column=False, indicators=(("k", indicator, {}),))
    assert f">{words}</span>" in page[: page.index("</h1>")]
    assert ("wrong labels / (wrong + right labels)" in page[: page.index("<script")]) == (words == "Error rate")


def test_what_is_needed_to_repeat_the_run_is_on_the_page(tmp_path):
    context = PageContext(spec_text="corpus: {uri: x}", versions={"ray": "2.60.0"}, date="2026-11-24")
    page = page_of(tmp_path, [Row("a", (Verdict("supported"),))], context=context)
    for text in ("corpus: {uri: x}", "2.60.0", "2026-11-24", "halluc_ray|schema:1|"):
        assert text in page


def test_duplicates_are_said_with_examples(tmp_path):
    page = page_of(tmp_path, [Row("a", (Verdict("supported"),))])
    assert "Ids that occur more than once: 2 (3 rows beyond the first)" in page
    assert "<code>a&amp;b</code>" in page


def test_a_run_without_rows_has_a_page(tmp_path):
    assert "No row was selected" in page_of(tmp_path, [], names_from_column=False)
    assert "No row was selected" in page_of(tmp_path, [])


def test_systems_of_a_cell_stand_together_the_largest_cell_first(tmp_path):
    cells = [("a", "zh"), *[("a", "en")] * 3, ("b", "en"), *[("b", "zh")] * 2]
    rows = [Row(str(at), (Verdict("supported"),), model, lang) for at, (model, lang) in enumerate(cells)]
    page = page_of(tmp_path, rows, slices=(("lang",),))
    text = re.sub(r"<[^>]*>|\s+", " ", page[page.index("By lang") :])
    assert re.findall(r"\b(en|zh) +([ab]) ", text)[:4] == [("en", "a"), ("en", "b"), ("zh", "a"), ("zh", "b")]

"""Headlines and worst slices, against numbers worked by hand."""

from types import SimpleNamespace

import pytest
from statsmodels.stats.proportion import proportion_confint

from halluc_ray.records.counts import merge
from halluc_ray.reports import build_report
from halluc_ray.reports.duplicates import NO_DUPLICATES
from halluc_ray.reports.glance import plain_share, worst_cells
from halluc_ray.reports.reduce import combine
from tests.unit.reports.handmade import Handmade, Row, Verdict


def report_of(tmp_path, cells, **options):
    """A report over (language, hallucinated, supported) of one system."""
    rows = [
        Row(f"{lang}-{at}", (Verdict("hallucinated" if at < bad else "supported"),), lang=lang)
        for lang, bad, good in cells
        for at in range(bad + good)
    ]
    run = Handmade(store=None, folder=tmp_path, rows=rows, **options)
    return build_report(
        run.record(), combine(run.record(), [merge([run.counts(rows)])]), run_id="r", duplicates=NO_DUPLICATES
    )


def test_what_is_surely_bad_comes_before_what_is_small_and_unlucky(tmp_path):
    report = report_of(tmp_path, [("de", 2, 0), ("en", 40, 60), ("zh", 60, 40), ("fr", 0, 50)])
    found = worst_cells(report)
    assert [cell.rate.slice["lang"] for cell in found.cells["judged"]] == ["zh", "de", "en"]
    assert found.looked_at == 4
    assert {cell.whole.rate for cell in found.cells["judged"]} == {102 / 252}


def test_a_cell_stands_out_where_its_interval_at_a_corrected_level_lies_above_the_whole(tmp_path):
    cells = [("a", 30, 30), ("b", 24, 36), ("c", 6, 54), ("d", 6, 54)]
    report = report_of(tmp_path, cells)
    whole = 66 / 240
    for cell in worst_cells(report).cells["judged"]:
        low, _ = proportion_confint(cell.rate.hallucinated, cell.rate.defined, alpha=0.05 / 4, method="wilson")
        assert cell.stands_out == (low > whole)
    assert [cell.stands_out for cell in worst_cells(report).cells["judged"]] == [True, False, False, False]


def test_a_cell_that_is_everything_is_no_news(tmp_path):
    assert worst_cells(report_of(tmp_path, [("en", 5, 5)])).cells == {"judged": ()}


def test_no_more_than_asked_for(tmp_path):
    report = report_of(tmp_path, [(f"l{at}", 3, 3) for at in range(30)])
    assert len(worst_cells(report, number=5).cells["judged"]) == 5


@pytest.mark.parametrize(
    ("bad", "good", "said"),
    [
        (0, 0, ("none_decided", {})),
        (0, 9, ("none_of_them", {})),
        (9, 0, ("all_of_them", {})),
        (1, 1, ("about_in", {"a": 5, "b": 10})),
        (99, 901, ("about_in", {"a": 1, "b": 10})),
        (94, 906, ("about_in", {"a": 9, "b": 100})),
        (2, 998, ("about_in", {"a": 2, "b": 1000})),
        (1, 4999, ("about_in", {"a": 1, "b": 5000})),
        (960, 40, ("about_in", {"a": 96, "b": 100})),
        (9999, 1, ("nearly_all", {})),
    ],
)
def test_a_share_in_plain_words(bad, good, said):
    assert plain_share(SimpleNamespace(hallucinated=bad, supported=good, defined=bad + good)) == said


def test_looks_are_counted_over_all_indicators(tmp_path):
    verdicts = [tuple(Verdict("hallucinated" if bad else "supported") for bad in (at % 2, at % 3)) for at in range(60)]
    rows = [Row(str(at), found, lang=f"l{at % 4}") for at, found in enumerate(verdicts)]
    kinds = (("one", "recorded_label", {}), ("other", "recorded_label", {}))
    run = Handmade(store=None, folder=tmp_path, rows=rows, indicators=kinds)
    counts = combine(run.record(), [merge([run.counts(rows)])])
    found = worst_cells(build_report(run.record(), counts, run_id="r", duplicates=NO_DUPLICATES))
    assert found.looked_at == 8
    assert {name: len(cells) for name, cells in found.cells.items()} == {"one": 2, "other": 4}

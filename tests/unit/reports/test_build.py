import json
from fractions import Fraction

import pytest

from halluc_ray.records.counts import merge
from halluc_ray.reports import build_report
from halluc_ray.reports.duplicates import NO_DUPLICATES
from halluc_ray.reports.reduce import combine
from halluc_ray.storage import open_store
from tests.unit.reports.handmade import Handmade, Row, Verdict


@pytest.fixture
def made(tmp_path):
    def report(rows, **options):
        run = Handmade(open_store(str(tmp_path / "out")), tmp_path, rows, **options)
        counts = combine(run.record(), [merge([run.counts(rows, with_left_out=True)])])
        return build_report(run.record(), counts, run_id="r", duplicates=NO_DUPLICATES)

    return report


def rows_of(outcomes, **fields):
    return [Row(id=str(at), verdicts=(Verdict(outcome),), **fields) for at, outcome in enumerate(outcomes)]


def only(report, **slice_):
    return [rate for rate in report.rates if dict(rate.slice) == slice_]


def test_rates_by_hand(made):
    outcomes = ["hallucinated"] * 2 + ["supported"] * 6 + ["abstained", "undecided", "not_applicable", "failed"]
    [rate] = only(made(rows_of(outcomes)))
    assert rate.rate == 0.25
    assert rate.answered_share == 10 / 12
    assert (rate.rows, rate.defined, rate.failed) == (12, 8, 1)
    # Wilson by hand: p 1/4, n 8, z 1.959964 -> centre 0.331111, half width 0.259959
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.0715, 0.5907)


def test_nothing_defined_is_null_and_said(made):
    report = made(rows_of(["abstained"] * 3))
    [rate] = only(report)
    assert (rate.rate, rate.low, rate.high, rate.answered_share) == (None, None, None, 0)
    assert any("never answered" in warning for warning in report.warnings)


def test_more_failures_than_allowed_are_said_first(made):
    assert "8.33% of the rows failed" in made(rows_of(["failed"] + ["supported"] * 11)).warnings[0]
    assert not any("of the rows failed" in warning for warning in made(rows_of(["supported"] * 3)).warnings)


def test_no_row_selected(made):
    report = made([], left_out={"where": 9}, names_from_column=False)
    [rate] = only(report)
    assert (rate.system, rate.rows, rate.rate, rate.answered_share) == ("m", 0, None, None)
    assert report.corpus.left_out == {"where": 9, "where_null": 0, "sample": 0, "limit": 0}
    assert any(warning.startswith("No row was selected out of 9") for warning in report.warnings)
    json.loads(report.to_json())


def test_slices_keep_types_and_order(made):
    rows = [row for lang in ("zh", None, "en") for row in rows_of(["supported"], lang=lang)]
    report = made(rows, slices=(("lang",), ("lang", "model")))
    assert [dict(rate.slice) for rate in report.rates][1:4] == [{"lang": "en"}, {"lang": "zh"}, {"lang": None}]
    assert dict(report.rates[4].slice) == {"lang": "en", "model": "m"}


def test_means_are_exact(made):
    words = [1, 2, 2]
    report = made([Row(id=str(w), verdicts=(Verdict("supported"),), words=w) for w in words])
    assert report.summaries[0].mean == float(Fraction(5, 3))
    assert report.summaries[0].rows == 3


def test_rows_that_share_a_source_widen_the_interval(made):
    outcomes = ["hallucinated"] * 20 + ["supported"] * 60
    apart = [Row(id=str(k), verdicts=(Verdict(o),), cluster=k) for k, o in enumerate(outcomes)]
    together = [Row(id=str(k), verdicts=(Verdict(o),), cluster=k // 5) for k, o in enumerate(outcomes)]
    [one], [many] = only(made(apart, clustered=True)), only(made(together, clustered=True))
    assert one.rate == many.rate == 0.25
    assert many.high - many.low > 1.8 * (one.high - one.low)
    # all five of a source agree: the design effect is 5, times 16/15 and the degrees of freedom
    [facts] = made(together, clustered=True).clusters
    assert facts.clusters == 16
    assert facts.design_effect == pytest.approx(5 * 16 / 15 * (2.13145 / 1.99045) ** 2, rel=1e-4)


def test_json_has_the_promised_keys_and_no_surprises(made):
    report = made(rows_of(["supported", "hallucinated"]), left_out={"limit": 1})
    parsed = json.loads(report.to_json())
    promised = (
        "system indicator slice rows hallucinated supported abstained undecided not_applicable failed rate low high"
    )
    assert set(promised.split()) | {"confidence", "answered_share"} <= set(parsed["rates"][0])
    assert parsed["corpus"] == {
        "files": 1,
        "rows": 3,
        "selected": 2,
        "left_out": {"where": 0, "where_null": 0, "sample": 0, "limit": 1},
        "without_id": 0,
        "duplicate_ids": {"ids": 0, "rows": 0, "examples": []},
    }
    assert {"signature", "run_id", "schema_version", "summaries", "reasons", "warnings", "determinism"} <= set(parsed)


def test_signature_changes_with_a_threshold_and_not_with_paths(made):
    rows = rows_of(["supported"])
    found = [
        made(rows, indicators=(("judged", "recorded_score", {"column": "s", "below": below}),)).signature
        for below in (0.5, 0.5, 0.4)
    ]
    assert found[0] == found[1] != found[2]
    assert "\n" not in found[0]


def test_failed_share_counts_units_without_a_verdict(made):
    rows = [*rows_of(["supported"] * 3), Row("x", (Verdict("failed", "boom"),), failure=None)]
    assert made(rows).failed_share == 0.25


def test_notebook_table_escapes(made):
    html = made(rows_of(["supported"], model="<b>x"))._repr_html_()
    assert "&lt;b&gt;x" in html
    assert "<b>x" not in html

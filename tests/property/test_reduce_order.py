"""Counts of a run do not depend on how its rows are cut into shards, nor on the order of merging."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from halluc_ray.records.counts import merge
from halluc_ray.reports import build_report
from halluc_ray.reports.duplicates import NO_DUPLICATES
from halluc_ray.reports.reduce import combine
from tests.unit.reports.handmade import Handmade, Row, Verdict

OUTCOMES = ["hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed"]

rows = st.lists(
    st.builds(
        Row,
        id=st.text(max_size=3),
        verdicts=st.tuples(st.builds(Verdict, st.sampled_from(OUTCOMES), st.sampled_from([None, "why"]))),
        model=st.sampled_from(["a", "b", "(none)x", None]),
        lang=st.one_of(st.none(), st.text(max_size=2)),
        words=st.integers(0, 2**31),
        cluster=st.integers(0, 255),
    ),
    max_size=25,
)


@settings(max_examples=30, deadline=None)
@given(rows=rows, cut=st.integers(1, 26), shuffled=st.randoms(use_true_random=False))
def test_report_bytes_are_the_same_for_every_cut_and_order(rows, cut, shuffled):
    run = Handmade(store=None, folder=Path(), rows=rows, clustered=True, shard_rows=26)
    whole = merge([run.counts(rows)])
    pieces = [run.counts(rows[at : at + cut]) for at in range(0, len(rows), cut)]
    shuffled.shuffle(pieces)
    middle = len(pieces) // 2
    nested = merge([merge(pieces[:middle]), merge(pieces[middle:])])
    reports = [
        build_report(run.record(), combine(run.record(), [counts]), run_id="r", duplicates=NO_DUPLICATES).to_json()
        for counts in (whole, nested)
    ]
    assert reports[0] == reports[1]

"""The gate's rule on counts worked by hand."""

import math

import numpy as np
import pytest

from halluc_ray.statistics.paired import above, holm
from halluc_ray.statistics.paired_counts import ClusterSums, PairedCounts
from halluc_ray.suites.judging import Question, judge, measure_increase, measure_share
from halluc_ray.suites.policy import GatePolicy
from halluc_ray.suites.verdicts import Verdict

POLICY = GatePolicy.model_validate({"rules": [{"max_rate": 0.1}]})


def check(counts, allowed, *, limit="max_increase", others=(), unchanged=False):
    asked = [
        (
            Question("m", "k", {}, limit, allowed),
            measure_increase(each, limit=allowed, policy=POLICY, unchanged=unchanged),
        )
        for each in (counts, *others)
    ]
    return judge(asked, policy=POLICY)[0]


def share(count, rows, allowed, *, limit="max_rate", effect=1.0):
    most = 1 - allowed if limit == "min_answered_share" else allowed
    measured = measure_share(count, rows=rows, limit=most, policy=POLICY, design_effect=effect)
    return judge([(Question("m", "k", {}, limit, allowed), measured)], policy=POLICY)[0]


@pytest.mark.parametrize(
    ("counts", "allowed", "verdict"),
    [
        # 10 points more, the interval 7.6 to 12.4: beyond 5, within 15, and across 10
        (PairedCounts(worse=120, better=20, both=60, neither=800), 0.05, Verdict.FAIL),
        (PairedCounts(worse=120, better=20, both=60, neither=800), 0.15, Verdict.PASS),
        (PairedCounts(worse=120, better=20, both=60, neither=800), 0.10, Verdict.INCONCLUSIVE),
        # the same shares of 50 pairs tell too little
        (PairedCounts(worse=6, better=1, both=3, neither=40), 0.05, Verdict.INCONCLUSIVE),
        # nothing changed in many pairs, and in few
        (PairedCounts(worse=0, better=0, both=100, neither=900), 0.01, Verdict.PASS),
        (PairedCounts(worse=0, better=0, both=5, neither=45), 0.01, Verdict.INCONCLUSIVE),
        (PairedCounts(worse=0, better=40, both=5, neither=45), 0.01, Verdict.PASS),
        (PairedCounts(worse=0, better=0, both=0, neither=0), 0.01, Verdict.INCONCLUSIVE),
    ],
)
def test_increases(counts, allowed, verdict):
    assert check(counts, allowed).verdict is verdict


def test_an_increase_that_could_have_been_seen_and_was_not_passes():
    found = check(PairedCounts(worse=55, better=50, both=500, neither=9395), 0.005)
    assert found.low < 0 < found.high
    assert found.detectable < 0.005
    assert found.verdict is Verdict.PASS
    doubtful = check(PairedCounts(worse=75, better=50, both=500, neither=9375), 0.004)
    assert doubtful.low > 0
    assert doubtful.verdict is Verdict.INCONCLUSIVE


def test_the_same_verdicts_pass_however_few_they_are():
    assert check(PairedCounts(worse=0, better=0, both=1, neither=2), 0.01, unchanged=True).verdict is Verdict.PASS


def test_a_failure_must_stand_among_its_family():
    counts = PairedCounts(worse=22, better=5, both=20, neither=153)
    assert check(counts, 0.03).verdict is Verdict.FAIL
    still = PairedCounts(worse=2, better=2, both=20, neither=176)
    among = check(counts, 0.03, others=[still] * 20)
    assert among.verdict is Verdict.INCONCLUSIVE
    assert among.p_holm == pytest.approx(21 * check(counts, 0.03).p_holm)


def test_silence_is_an_increase_of_silence():
    fell_silent = PairedCounts(worse=80, better=0, both=0, neither=920)
    found = check(fell_silent, 0.02, limit="max_answered_drop")
    assert found.verdict is Verdict.FAIL
    assert "drop of the answered share of k, m, all rows is 8.00 %" in found.reason


@pytest.mark.parametrize(
    ("count", "rows", "allowed", "verdict"),
    [
        (150, 1000, 0.1, Verdict.FAIL),
        (50, 1000, 0.1, Verdict.PASS),
        (95, 1000, 0.1, Verdict.INCONCLUSIVE),
        (0, 0, 0.1, Verdict.INCONCLUSIVE),
        (1, 10, 0.0, Verdict.FAIL),
        (0, 10, 0.0, Verdict.INCONCLUSIVE),
    ],
)
def test_rates(count, rows, allowed, verdict):
    assert share(count, rows, allowed).verdict is verdict


def test_an_answered_share_is_told_the_right_way_round():
    found = share(200, 1000, 0.9, limit="min_answered_share")
    assert found.verdict is Verdict.FAIL
    assert found.value == pytest.approx(0.8)
    assert found.low < 0.8 < found.high < 0.9
    assert found.detectable < 0.9
    assert share(10, 1000, 0.9, limit="min_answered_share").verdict is Verdict.PASS


def test_rows_that_share_sources_tell_less():
    assert share(150, 1000, 0.12).verdict is Verdict.FAIL
    assert share(150, 1000, 0.12, effect=10.0).verdict is Verdict.INCONCLUSIVE
    clusters = ClusterSums.of([10] * 12 + [-10] * 2 + [0] * 86, [10] * 100)
    counts = PairedCounts(worse=120, better=20, both=60, neither=800, sums=clusters)
    assert check(counts, 0.05).verdict is Verdict.INCONCLUSIVE
    assert check(counts, 0.05).detectable > 3 * check(PairedCounts(120, 20, 60, 800), 0.05).detectable


def test_power_is_that_of_the_corpus():
    assert check(PairedCounts(worse=0, better=0, both=2, neither=3), 0.5).detectable is None
    assert math.isclose(check(PairedCounts(0, 0, 0, 1000), 0.5).detectable, 0.0079, abs_tol=3e-4)


@pytest.mark.parametrize(("num_pairs", "shares"), [(400, (0.07, 0.04, 0.1)), (150, (0.10, 0.05, 0.2))])
def test_an_increase_at_the_limit_seldom_fails(num_pairs, shares):
    """The limit is kept, just so: a family of ten checks fails by chance in at most one run of twenty."""
    worse, better, _ = shares
    tables = np.random.default_rng(0).multinomial(num_pairs, [*shares, 1 - sum(shares)], size=(150, 10))
    limit = worse - better
    alarms = 0
    for family in tables:
        levels = [above(PairedCounts(*map(int, table)), limit=limit) for table in family]
        alarms += min(holm(levels)) <= 1 - POLICY.confidence
    assert alarms / len(tables) <= 0.08

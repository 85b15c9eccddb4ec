"""Paired statistics against enumeration, statsmodels and simulation."""

from __future__ import annotations

from math import comb, factorial, isinf, isnan

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests

from halluc_ray.statistics.paired import (
    above,
    clustered_difference,
    difference,
    holm,
    mcnemar,
    no_difference,
    paired_difference,
)
from halluc_ray.statistics.paired_counts import ClusterSums, PairedCounts
from halluc_ray.statistics.power import detectable_increase, detectable_rate, mcnemar_power

LEVEL = 0.05


def enumerated_p(worse: int, better: int) -> float:
    flips = worse + better
    ways = sum(comb(flips, k) for k in range(flips + 1) if abs(2 * k - flips) >= abs(worse - better))
    return ways / 2**flips


def enumerated_power(num_pairs: int, churn: float, increase: float) -> float:
    total = 0.0
    for worse in range(num_pairs + 1):
        for better in range(num_pairs + 1 - worse):
            if worse > better and enumerated_p(worse, better) <= LEVEL:
                same = num_pairs - worse - better
                ways = factorial(num_pairs) // (factorial(worse) * factorial(better) * factorial(same))
                kept = max(0.0, 1 - 2 * churn - increase)
                total += ways * (churn + increase) ** worse * churn**better * kept**same
    return total


def test_mcnemar_equals_enumeration_for_every_table_of_up_to_twelve_flips():
    for worse in range(13):
        for better in range(13 - worse):
            assert mcnemar(worse=worse, better=better) == pytest.approx(enumerated_p(worse, better), abs=1e-14)


def test_mcnemar_equals_statsmodels():
    for worse, better in ((30, 11), (0, 7), (250, 251), (4, 900)):
        theirs = mcnemar_of_statsmodels([[5, worse], [better, 9]], exact=True).pvalue
        assert mcnemar(worse=worse, better=better) == pytest.approx(theirs, rel=1e-12)


def test_power_equals_enumeration_for_up_to_twelve_pairs():
    for num_pairs in range(1, 13):
        for churn in (0.0, 0.05, 0.2):
            for increase in (0.05, 0.3, 0.6):
                found = mcnemar_power(num_pairs, churn=churn, increase=increase, level=LEVEL)
                assert found == pytest.approx(enumerated_power(num_pairs, churn, increase), abs=1e-12)


def test_the_detectable_increase_is_where_the_power_is_reached():
    for num_pairs, churn in ((12, 0.0), (12, 0.05), (500, 0.02)):
        increase = detectable_increase(num_pairs, churn=churn, resolution=1e-7)
        assert mcnemar_power(num_pairs, churn=churn, increase=increase) >= 0.8
        assert mcnemar_power(num_pairs, churn=churn, increase=increase - 1e-6) < 0.8


def test_five_pairs_can_show_nothing():
    assert isinf(detectable_increase(5, churn=0.0))
    assert isinf(detectable_increase(0, churn=0.0))


def test_holm_equals_statsmodels():
    for family in ([0.01, 0.04, 0.03], [0.5, 0.5], [0.001, 0.2, 0.002, 0.9, 0.01], []):
        theirs = multipletests(family, method="holm")[1] if family else []
        assert holm(family) == pytest.approx(list(theirs))


@pytest.mark.parametrize(("num_pairs", "shares"), [(40, (0.2, 0.1, 0.3)), (100, (0.02, 0.05, 0.1)), (60, (0.3, 0, 0))])
def test_the_interval_covers_the_truth_as_often_as_it_says(num_pairs, shares):
    generator = np.random.default_rng(0)
    worse, better, _ = shares
    tables = generator.multinomial(num_pairs, [*shares, 1 - sum(shares)], size=2000)
    hits = 0
    for w, b, same, neither in tables:
        counts = {"worse": int(w), "better": int(b), "both": int(same), "neither": int(neither)}
        _, low, high = difference(**counts, confidence=0.95)
        hits += low <= worse - better <= high
    assert 0.93 <= hits / len(tables) <= 0.99


def test_a_difference_turns_its_sign_with_its_systems():
    there = difference(worse=3, better=11, both=20, neither=30, confidence=0.9)
    back = difference(worse=11, better=3, both=20, neither=30, confidence=0.9)
    assert back == pytest.approx((-there[0], -there[2], -there[1]))
    assert isnan(difference(worse=0, better=0, both=0, neither=0, confidence=0.9)[0])


def test_clusters_of_one_pair_are_independent_pairs():
    changes = [1] * 9 + [-1] * 4 + [0] * 87
    centre, low, high = clustered_difference(ClusterSums.of(changes, [1] * 100), confidence=0.95)
    error = np.std(changes, ddof=1) / 10
    assert centre == pytest.approx(0.05)
    assert (low, high) == pytest.approx((0.05 - 1.984217 * error, 0.05 + 1.984217 * error), rel=1e-6)


def test_the_same_rows_twice_tell_no_more_than_once():
    once = clustered_difference(ClusterSums.of([1, 0, -1, 1, 0, 1], [1] * 6), confidence=0.95)
    twice = clustered_difference(ClusterSums.of([2, 0, -2, 2, 0, 2], [2] * 6), confidence=0.95)
    assert once == pytest.approx(twice)
    assert clustered_difference(ClusterSums.of([3], [8]), confidence=0.95)[1:] == (-1.0, 1.0)


def test_the_error_of_clusters_is_that_of_the_residuals():
    generator = np.random.default_rng(1)
    sizes = generator.integers(1, 9, size=50)
    changes = np.array([generator.integers(-size, size + 1) for size in sizes])
    sums = ClusterSums.of(changes.tolist(), sizes.tolist())
    centre = changes.sum() / sizes.sum()
    expected = np.sqrt(50 / 49 * ((changes - centre * sizes) ** 2).sum()) / sizes.sum()
    assert sums.standard_error == pytest.approx(expected, rel=1e-12)


def test_clusters_without_variance_are_worth_a_pair_each():
    still = PairedCounts(worse=0, better=0, both=50, neither=50, sums=ClusterSums.of([0] * 10, [10] * 10))
    _, low, high = paired_difference(still, confidence=0.95)
    assert (low, high) == difference(worse=0, better=0, both=5, neither=5, confidence=0.95)[1:]
    assert no_difference(still) == 1.0
    moved = PairedCounts(worse=8, better=0, both=0, neither=0, sums=ClusterSums.of([2] * 4, [2] * 4))
    assert no_difference(moved) == pytest.approx(1 / 8)


def test_the_level_of_a_limit_is_where_the_interval_leaves_it():
    counts = PairedCounts(worse=40, better=10, both=50, neither=400)
    level = above(counts, limit=0.02)
    assert paired_difference(counts, confidence=1 - level)[1] == pytest.approx(0.02, abs=1e-9)
    assert above(counts, limit=0.07) == 1.0
    clusters = ClusterSums.of([1] * 40 + [-1] * 10 + [0] * 450, [1] * 500)
    likewise = PairedCounts(worse=40, better=10, both=50, neither=400, sums=clusters)
    assert above(likewise, limit=0.0) == pytest.approx(no_difference(likewise), rel=1e-6)


def test_effective_pairs_of_repeated_rows_are_the_rows():
    changes = [1, -1, 0, 0, 1, 0, 0, 0] * 20
    once = ClusterSums.of(changes, [1] * 160)
    many = ClusterSums.of([4 * change for change in changes], [4] * 160)
    assert PairedCounts(40, 20, 50, 50, once).effective_pairs == pytest.approx(160, rel=0.01)
    assert PairedCounts(160, 80, 200, 200, many).effective_pairs == pytest.approx(160, rel=0.01)
    assert PairedCounts(1, 1, 1, 1).effective_pairs == 4


def test_the_detectable_rate_equals_enumeration_for_up_to_twelve_rows():
    for rows in range(1, 13):
        for limit in (0.05, 0.3):
            found = detectable_rate(rows, limit=limit, resolution=1e-9)
            enumerated = [k for k in range(rows + 1) if score_test_rejects(k, rows, limit)]
            if not enumerated:
                assert isinf(found)
                continue
            power = sum(comb(rows, k) * found**k * (1 - found) ** (rows - k) for k in enumerated)
            assert power == pytest.approx(0.8, abs=1e-6)


def score_test_rejects(hallucinated: int, rows: int, limit: float) -> bool:
    """Wilson's interval is the inverse of the score test."""
    return (hallucinated / rows - limit) / np.sqrt(limit * (1 - limit) / rows) > 1.959963984540054

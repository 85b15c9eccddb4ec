import numpy as np
import pytest

from halluc_ray.statistics import design_effect, wilson

proportion = pytest.importorskip("statsmodels.stats.proportion", reason="statsmodels is the outside reference")


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_wilson_agrees_with_statsmodels(confidence):
    defined = np.array([1, 1, 2, 10, 10, 97, 5000, 123696, 10**9])
    count = np.array([0, 1, 1, 3, 10, 1, 977, 24000, 7])
    low, high = wilson(count, defined=defined, confidence=confidence)
    theirs = proportion.proportion_confint(count, defined, alpha=1 - confidence, method="wilson")
    np.testing.assert_allclose(low, theirs[0], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(high, theirs[1], rtol=1e-9)


def test_wilson_agrees_with_the_published_example():
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
    low, high = wilson([81, 15, 0, 1], defined=[263, 148, 20, 29], confidence=0.95)
    assert [round(float(x), 4) for x in low] == [0.2553, 0.0624, 0.0, 0.0061]
    assert [round(float(x), 4) for x in high] == [0.3662, 0.1605, 0.1611, 0.1718]


def test_nothing_defined_gives_no_interval():
    low, high = wilson([0], defined=[0], confidence=0.95)
    assert np.isnan(low[0])
    assert np.isnan(high[0])


def test_ends_are_exact_at_the_extremes():
    low, high = wilson([0, 7], defined=[7, 7], confidence=0.95)
    assert low[0] == 0
    assert high[1] == 1


def test_a_design_effect_is_fewer_samples():
    ours = wilson([30], defined=[100], confidence=0.95, design_effect=[4])
    theirs = proportion.proportion_confint(7.5, 25, method="wilson")
    np.testing.assert_allclose([ours[0][0], ours[1][0]], theirs, rtol=1e-9)


def test_variance_by_cluster_agrees_with_the_sandwich_estimator():
    linear_model = pytest.importorskip("statsmodels.api", reason="statsmodels is the outside reference")
    student = pytest.importorskip("scipy.stats").t
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 30, 40)
    groups = np.repeat(np.arange(40), sizes)
    samples = (rng.random(len(groups)) < np.repeat(rng.beta(1, 4, 40), sizes)).astype(float)
    fit = linear_model.OLS(samples, np.ones_like(samples)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    total, rate = len(samples), samples.mean()
    expected = fit.bse[0] ** 2 / (rate * (1 - rate) / total)
    freedom = (student.ppf(0.975, 39) / student.ppf(0.975, total - 1)) ** 2
    effect = design_effect(np.bincount(groups, samples), defined=sizes, confidence=0.95)
    assert effect.value == pytest.approx(expected * freedom, rel=1e-9)
    assert effect.clusters == 40


@pytest.mark.parametrize(
    ("hallucinated", "defined", "value"),
    [
        ([], [], 1),
        ([0, 0], [0, 0], 1),
        ([3], [10], 10),
        ([0, 0, 0], [5, 5, 5], 1),
        ([2, 2, 2, 2], [4, 4, 4, 4], 1),
    ],
)
def test_edges_of_the_design_effect(hallucinated, defined, value):
    assert design_effect(hallucinated, defined=defined, confidence=0.95).value == value


def test_intervals_over_clusters_cover_where_plain_ones_do_not():
    rng = np.random.default_rng(11)
    plain = robust = 0
    for _ in range(400):
        rates = rng.beta(0.5, 1.5, 60)
        count = rng.binomial(20, rates)
        effect = design_effect(count, defined=np.full(60, 20), confidence=0.95)
        for design in (1.0, effect.value):
            low, high = wilson([count.sum()], defined=[1200], confidence=0.95, design_effect=[design])
            covered = bool(low[0] <= 0.25 <= high[0])
            plain, robust = plain + (covered and design == 1.0), robust + (covered and design == effect.value)
    assert plain / 400 < 0.75
    assert 0.92 <= robust / 400 <= 0.98

"""Gumbel noise: keyed, and distributed as it should be."""

import numpy as np
import pytest
from scipy import stats

from halluc_ray.models.sampling import gumbel_noise

KEY = {"seed": 0, "sample_id": "a", "draw": 0, "position": 0}


def test_noise_follows_the_gumbel_law():
    noise = gumbel_noise(200_000, **KEY)
    assert np.isfinite(noise).all()
    assert stats.kstest(noise, "gumbel_r").pvalue > 0.01


def test_arg_max_draws_from_the_softmax():
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    draws = [int((np.log(probabilities) + gumbel_noise(4, **{**KEY, "position": p})).argmax()) for p in range(20_000)]
    counts = np.bincount(draws, minlength=4)
    assert stats.chisquare(counts, probabilities * len(draws)).pvalue > 0.01


@pytest.mark.parametrize("change", [{"seed": 1}, {"sample_id": "b"}, {"draw": 1}, {"position": 1}])
def test_every_part_of_the_key_matters(change):
    first, second = gumbel_noise(5_000, **KEY), gumbel_noise(5_000, **{**KEY, **change})
    assert abs(stats.spearmanr(first, second).statistic) < 0.06


def test_noise_of_a_larger_vocabulary_begins_the_same():
    assert (gumbel_noise(100, **KEY) == gumbel_noise(1_000, **KEY)[:100]).all()


def test_bytes_are_fixed_for_good():
    assert gumbel_noise(3, seed=7, sample_id="北京", draw=2, position=5) == pytest.approx(
        [-0.5960806783277982, 1.0153746552597893, 0.7065648428076136], rel=1e-14
    )

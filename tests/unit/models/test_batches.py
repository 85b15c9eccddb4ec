"""The batching plan: a partition within the budget, decided by its input alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halluc_ray.models.batches import plan_batches

COSTS = st.lists(st.integers(1, 3000), max_size=200)
BUDGET = st.integers(1, 5000)


@given(COSTS, BUDGET)
def test_every_row_is_in_exactly_one_batch(costs, budget):
    plan = plan_batches(costs, token_budget=budget)
    assert sorted(i for batch in plan for i in batch) == list(range(len(costs)))


@given(COSTS, BUDGET)
def test_padded_size_is_within_the_budget_unless_a_row_is_alone(costs, budget):
    for batch in plan_batches(costs, token_budget=budget):
        assert len(batch) == 1 or max(costs[i] for i in batch) * len(batch) <= budget


@given(COSTS, BUDGET)
def test_batches_run_from_longest_to_shortest(costs, budget):
    order = [costs[i] for batch in plan_batches(costs, token_budget=budget) for i in batch]
    assert order == sorted(costs, reverse=True)


@given(COSTS, BUDGET)
def test_no_two_neighbours_would_have_fitted_in_one_batch(costs, budget):
    plan = plan_batches(costs, token_budget=budget)
    for batch in plan[:-1]:
        assert costs[batch[0]] * (len(batch) + 1) > budget


def test_padding_of_long_tailed_lengths_is_under_five_percent():
    draw = random.Random(5)
    costs = [min(400, max(3, int(draw.lognormvariate(3.7, 1.0)))) for _ in range(2000)]
    plan = plan_batches(costs, token_budget=1024)
    padded = sum(max(costs[i] for i in batch) * len(batch) for batch in plan)
    assert padded < 1.05 * sum(costs)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="token_budget is 0"):
        plan_batches([1], token_budget=0)

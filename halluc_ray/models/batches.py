"""Which rows run together: a plan that depends on the rows' costs and the budget, on nothing else.

Rows of like length share a batch, longest first, so that little is spent on padding. Knows costs in
tokens; knows no model, no device and no text. Caller: `execution`.
"""

from __future__ import annotations

from collections.abc import Sequence


def plan_batches(costs: Sequence[int], *, token_budget: int) -> list[list[int]]:
    """Cut rows into batches whose padded size fits the budget.

    Args:
        costs: tokens that each row occupies in a batch.
        token_budget: most tokens of a batch, padding included: largest cost x number of rows.

    Returns:
        Positions in `costs`, each exactly once; batches from the longest rows to the shortest, rows
        of equal cost in their given order. A row that alone exceeds the budget is a batch of its own.

    Raises:
        ValueError: the budget is not positive.

    >>> plan_batches([3, 9, 4, 40], token_budget=12)
    [[3], [1], [2, 0]]
    """
    if token_budget < 1:
        raise ValueError(f"token_budget is {token_budget}; it must be at least 1")
    batches: list[list[int]] = []
    room = 0
    for position in sorted(range(len(costs)), key=lambda i: -costs[i]):
        if room == 0:
            batches.append([])
            room = max(1, token_budget // max(1, costs[position]))
        batches[-1].append(position)
        room -= 1
    return batches

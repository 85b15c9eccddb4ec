"""One verdict per row, for indicators whose work per row dwarfs the loop.

Knows how verdicts become Scores; does not know any indicator. Called by the indicators that read
texts; whole-column ones build their Scores in `tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from halluc_ray.indicators.protocol import EVIDENCE_CHARS, Scores, ScoringBatch
from halluc_ray.records.outcomes import Outcome
from halluc_ray.records.schemas import SCORED


class Verdict(NamedTuple):
    """What an indicator says of one unit. See `Scores` for the fields."""

    score: float
    state: int = SCORED
    reason: str | None = None
    span_start: int = -1
    span_stop: int = -1
    span: str | None = None
    against: str | None = None


def without_score(outcome: Outcome, reason: str, *, against: str | None = None) -> Verdict:
    """A verdict that no threshold can change."""
    return Verdict(float("nan"), int(outcome), reason, against=against)


def scores_of(verdicts: Sequence[Verdict]) -> Scores:
    """The verdicts as columns, evidence cut at EVIDENCE_CHARS characters."""
    score, state, reason, start, stop, span, against = zip(*verdicts, strict=True) if verdicts else ((),) * 7
    return Scores(
        score=np.array(score, dtype=np.float64),
        state=np.array(state, dtype=np.uint8),
        reason=list(reason),
        span_start=np.array(start, dtype=np.int32),
        span_stop=np.array(stop, dtype=np.int32),
        span=[_cut(text) for text in span],
        against=[_cut(text) for text in against],
    )


def score_rows(batch: ScoringBatch, columns: Sequence[str], judge: Callable[..., Verdict]) -> Scores:
    """Calls `judge` with the row's value of each column, row by row.

    >>> import pyarrow as pa
    >>> batch = ScoringBatch({"response": pa.array(["a", "bb"])})
    >>> score_rows(batch, ["response"], lambda response: Verdict(float(len(response)))).score.tolist()
    [1.0, 2.0]
    """
    rows: list[list[Any]] = [batch.values(column) for column in columns]
    return scores_of([judge(*row) for row in zip(*rows, strict=True)])


def _cut(text: str | None) -> str | None:
    return text if text is None else text[:EVIDENCE_CHARS]

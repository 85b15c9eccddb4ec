"""`recorded_score`: a detector's score that the corpus already holds, against a threshold.

Knows one score column and, optionally, one that says which answers count; does not know what made
the score. Called through the registry.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from halluc_ray.errors import InputError
from halluc_ray.indicators.protocol import Codes, IndicatorOptions, Scores, ScoringBatch, decide_at
from halluc_ray.indicators.tables import coded, flat, whole_column
from halluc_ray.records.outcomes import Outcome
from halluc_ray.records.schemas import SCORED

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class RecordedScoreOptions(IndicatorOptions):
    """Options of `recorded_score`: exactly one of `below` and `at_or_above`."""

    thresholds: ClassVar[frozenset[str]] = frozenset({"below", "at_or_above"})

    column: str = Field(min_length=1, description="Corpus column that holds the score.")
    below: _Finite | None = Field(None, description="Hallucinated where the score is below this.")
    at_or_above: _Finite | None = Field(None, description="Hallucinated where the score is at or above this.")
    valid: str | None = Field(None, description="Column that is true where the answer counts; others are abstained.")

    @model_validator(mode="after")
    def _one_threshold(self) -> RecordedScoreOptions:
        if (self.below is None) == (self.at_or_above is None):
            raise ValueError("set exactly one of `below` and `at_or_above`")
        return self


class RecordedScore:
    """Hallucinated where the stored score is on the wrong side of the threshold.

    The score stays as stored, whichever way is worse. Answers marked invalid (or whose mark is
    null) are abstained, reason `invalid`; a null or NaN score is undecided, reason `no_score`.

    Reference:
        Hughes, Bae, Li 2023, Vectara Hallucination Leaderboard: hallucinated = HHEM score < 0.5 on
        valid summaries. The comparison is made in float64 on the stored value, so a float32 of 0.1
        is not below 0.1. Departure: other scores and thresholds are allowed.

    >>> batch = ScoringBatch({"column:hhem": pa.array([0.2, 0.9, None])})
    >>> indicator = RecordedScore(RecordedScoreOptions(column="hhem", below=0.5))
    >>> scores = indicator.score(batch)
    >>> [Outcome(code).label for code in indicator.decide(scores.score, scores.state)]
    ['hallucinated', 'supported', 'undecided']
    """

    kind: ClassVar[str] = "recorded_score"
    semantics_version: ClassVar[int] = 1
    recorded_only: ClassVar[bool] = True
    Options: ClassVar[type[IndicatorOptions]] = RecordedScoreOptions

    def __init__(self, options: RecordedScoreOptions) -> None:
        self.options = options

    @property
    def columns(self) -> frozenset[str]:
        """The score column and, where it is set, the column of validity."""
        return frozenset(f"column:{name}" for name in (self.options.column, self.options.valid) if name is not None)

    def score(self, batch: ScoringBatch) -> Scores:
        """The stored scores.

        Raises:
            InputError: a column is not of a type that can be read as a number or as true/false.
        """
        stored = flat(batch.columns[f"column:{self.options.column}"])
        score = _numbers(stored, column=self.options.column)
        state = np.where(np.isnan(score), np.uint8(Outcome.UNDECIDED), np.uint8(SCORED))
        if self.options.valid is not None:
            valid = _truths(flat(batch.columns[f"column:{self.options.valid}"]), column=self.options.valid)
            state = np.where(valid, state, np.uint8(Outcome.ABSTAINED))
        reasons = np.select([state == Outcome.ABSTAINED, state == Outcome.UNDECIDED], [1, 2], 0)
        against = pc.binary_join_element_wise(
            f"{self.options.column} =", pc.fill_null(stored.cast(pa.string()), "null"), " "
        )
        reason = coded(reasons, [None, "invalid", "no_score"])
        return whole_column(score, state.astype(np.uint8), reason=reason, against=against)

    def decide(self, score: npt.NDArray[np.float64], state: Codes) -> Codes:
        """Applies `below` or `at_or_above`."""
        if self.options.below is not None:
            return decide_at(np.less(score, self.options.below).astype(np.float64), state, at=1.0)
        return decide_at(score, state, at=cast("float", self.options.at_or_above))


def _numbers(stored: pa.Array, *, column: str) -> npt.NDArray[np.float64]:
    numeric = pa.types.is_floating(stored.type) or pa.types.is_integer(stored.type) or pa.types.is_decimal(stored.type)
    if not (numeric or pa.types.is_null(stored.type)):
        raise InputError(f"column {column!r} is {stored.type}, not a number; recorded_score needs a numeric column")
    values = stored.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def _truths(stored: pa.Array, *, column: str) -> npt.NDArray[np.bool_]:
    if not (pa.types.is_boolean(stored.type) or pa.types.is_integer(stored.type) or pa.types.is_null(stored.type)):
        raise InputError(f"column {column!r} is {stored.type}; `valid` needs true/false or 0/1")
    return np.asarray(pc.fill_null(stored.cast(pa.bool_()), False).to_numpy(zero_copy_only=False), dtype=np.bool_)

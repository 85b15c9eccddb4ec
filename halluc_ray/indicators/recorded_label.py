"""`recorded_label`: a verdict that the corpus already holds.

Knows the ways in which yes and no are stored; does not know who judged. Called through the
registry.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from halluc_ray.errors import InputError
from halluc_ray.indicators.protocol import Codes, IndicatorOptions, Scores, ScoringBatch, decide_at
from halluc_ray.indicators.tables import coded, flat, whole_column
from halluc_ray.records.outcomes import Outcome
from halluc_ray.records.schemas import SCORED

_MEANING = {"true": 1, "yes": 1, "y": 1, "1": 1, "1.0": 1, "false": 0, "no": 0, "n": 0, "0": 0, "0.0": 0}
_UNREADABLE, _NULL = 2, 3


class RecordedLabelOptions(IndicatorOptions):
    """Options of `recorded_label`."""

    column: str | None = Field(
        None, min_length=1, description="Corpus column of the verdict; default: the one mapped as `label`."
    )


class RecordedLabel:
    """Hallucinated where the stored label says so: true, 1 or yes.

    A null label is not applicable, reason `no_label`; any other value is undecided, reason
    `unreadable_label`, with the value as evidence.

    Reference:
        Li et al. 2023, HaluEval: human yes/no judgements of whether a response holds hallucinated
        content; the rate is the share of yes. Departure: unlabelled rows leave the rate.

    >>> batch = ScoringBatch({"label": pa.array(["yes", "no", "maybe", None])})
    >>> indicator = RecordedLabel(RecordedLabelOptions())
    >>> scores = indicator.score(batch)
    >>> [Outcome(code).label for code in indicator.decide(scores.score, scores.state)]
    ['hallucinated', 'supported', 'undecided', 'not_applicable']
    """

    kind: ClassVar[str] = "recorded_label"
    semantics_version: ClassVar[int] = 1
    recorded_only: ClassVar[bool] = True
    Options: ClassVar[type[IndicatorOptions]] = RecordedLabelOptions

    def __init__(self, options: RecordedLabelOptions) -> None:
        self.options = options

    @property
    def columns(self) -> frozenset[str]:
        """The label column."""
        return frozenset({self._column})

    @property
    def _column(self) -> str:
        return "label" if self.options.column is None else f"column:{self.options.column}"

    def score(self, batch: ScoringBatch) -> Scores:
        """1.0 where the label says hallucinated, 0.0 where it says not.

        Raises:
            InputError: the column holds lists or structs.
        """
        stored = flat(batch.columns[self._column])
        if pa.types.is_nested(stored.type):
            name = self.options.column or "label"
            raise InputError(f"column {name!r} is {stored.type}; recorded_label needs booleans, numbers or text")
        meaning = _meaning(stored)
        state = np.select(
            [meaning == _UNREADABLE, meaning == _NULL],
            [np.uint8(Outcome.UNDECIDED), np.uint8(Outcome.NOT_APPLICABLE)],
            np.uint8(SCORED),
        ).astype(np.uint8)
        name = self.options.column or "label"
        against = pc.binary_join_element_wise(f"{name} =", pc.fill_null(stored.cast(pa.string()), "null"), " ")
        reason = coded(meaning, [None, None, "unreadable_label", "no_label"])
        return whole_column(meaning.astype(np.float64), state, reason=reason, against=against)

    def decide(self, score: npt.NDArray[np.float64], state: Codes) -> Codes:
        """Hallucinated where the label was true."""
        return decide_at(score, state, at=1.0)


def _meaning(stored: pa.Array) -> npt.NDArray[np.int64]:
    encoded = stored.cast(pa.string()).dictionary_encode()
    of_text = [_MEANING.get(str(text).strip().casefold(), _UNREADABLE) for text in encoded.dictionary.to_pylist()]
    index = pc.fill_null(encoded.indices, len(of_text)).to_numpy(zero_copy_only=False)
    return np.take(np.array([*of_text, _NULL], dtype=np.int64), np.asarray(index, dtype=np.int64))

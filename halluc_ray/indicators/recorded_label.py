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
_UNREADABLE, _NULL, _UNDECODABLE = 2, 3, 4


class RecordedLabelOptions(IndicatorOptions):
    """Options of `recorded_label`."""

    column: str | None = Field(
        None, min_length=1, description="Corpus column of the verdict; default: the one mapped as `label`."
    )


class RecordedLabel:
    """Hallucinated where the stored label says so: true, 1 or yes.

    A null label is not applicable, reason `no_label`; any other value is undecided, reason
    `unreadable_label`, with the value as evidence. Bytes are read as UTF-8; those that are none are
    undecided, reason `undecodable_label`.

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
            InputError: the column holds lists, structs or intervals.
        """
        stored = flat(batch.columns[self._column])
        name = self.options.column or "label"
        if pa.types.is_nested(stored.type) or pa.types.is_interval(stored.type):
            raise InputError(f"column {name!r} is {stored.type}; recorded_label needs booleans, numbers or text")
        meaning, texts = _read(stored)
        state = np.select(
            [meaning == _NULL, meaning >= _UNREADABLE],
            [np.uint8(Outcome.NOT_APPLICABLE), np.uint8(Outcome.UNDECIDED)],
            np.uint8(SCORED),
        ).astype(np.uint8)
        against = pc.binary_join_element_wise(f"{name} =", pc.fill_null(texts, "null"), " ")
        reason = coded(meaning, [None, None, "unreadable_label", "no_label", "undecodable_label"])
        return whole_column(meaning.astype(np.float64), state, reason=reason, against=against)

    def decide(self, score: npt.NDArray[np.float64], state: Codes) -> Codes:
        """Hallucinated where the label was true."""
        return decide_at(score, state, at=1.0)


def _read(stored: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Meaning of each label, and the label as text: each distinct value is read once."""
    if not (_is_text(stored.type) or _is_bytes(stored.type)):
        stored = stored.cast(pa.string())
    encoded = stored.cast(pa.large_binary()).dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    meaning_of = np.array([*map(_meaning, distinct), _NULL], dtype=np.int64)
    index = pc.fill_null(encoded.indices, len(distinct)).to_numpy(zero_copy_only=False)
    texts = pa.array([value.decode(errors="backslashreplace") for value in distinct], pa.string())
    return meaning_of[np.asarray(index, dtype=np.int64)], texts.take(encoded.indices)


def _meaning(label: bytes) -> int:
    try:
        return _MEANING.get(label.decode().strip().casefold(), _UNREADABLE)
    except UnicodeDecodeError:
        return _UNDECODABLE


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )

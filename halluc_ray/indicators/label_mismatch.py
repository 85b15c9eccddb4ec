"""`label_mismatch`: a classifier's label against the true one.

Knows label ids and names; does not know the classifier. Called through the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from halluc_ray.indicators.protocol import Codes, IndicatorOptions, Scores, ScoringBatch, decide_at
from halluc_ray.indicators.tables import coded, flat, whole_column
from halluc_ray.records.outcomes import Outcome
from halluc_ray.records.schemas import SCORED

_MATCH, _MISMATCH, _UNKNOWN_LABEL, _UNKNOWN_REFERENCE, _NO_REFERENCE, _NO_RESPONSE = range(6)
_REASONS = [None, "mismatch", "unknown_label", "unknown_reference_label", "no_reference", "no_response"]
_STATES = [SCORED, SCORED, SCORED, Outcome.UNDECIDED, Outcome.NOT_APPLICABLE, Outcome.FAILED]


class LabelMismatchOptions(IndicatorOptions):
    """Options of `label_mismatch`."""

    labels: dict[str, str] = Field(
        default_factory=dict, description="Label id -> name, instead of the system's own; ids as text."
    )


class LabelMismatch:
    """Hallucinated where the response is another label than every reference.

    Both sides may be ids or names: ids become names through the system's labels (or the option),
    then case and outer spaces are dropped. Where labels are known, a reference that is none of them
    is undecided (`unknown_reference_label`), and a response that is none of them is a mismatch
    (`unknown_label`). No reference: not applicable.

    Reference:
        Classification error rate, 1/N sum 1[f(x_i) != y_i] (Hastie, Tibshirani, Friedman 2009,
        equation 7.8). Departure: several references may be right.

    >>> columns = {"response": pa.array(["positive", "negative"]), "reference": pa.array([["1"], ["1"]])}
    >>> indicator = LabelMismatch(LabelMismatchOptions())
    >>> scores = indicator.score(ScoringBatch(columns, labels={"0": "negative", "1": "positive"}))
    >>> [Outcome(code).label for code in indicator.decide(scores.score, scores.state)]
    ['supported', 'hallucinated']
    """

    kind: ClassVar[str] = "label_mismatch"
    semantics_version: ClassVar[int] = 1
    recorded_only: ClassVar[bool] = False
    Options: ClassVar[type[IndicatorOptions]] = LabelMismatchOptions

    def __init__(self, options: LabelMismatchOptions) -> None:
        self.options = options

    @property
    def columns(self) -> frozenset[str]:
        """Response and reference."""
        return frozenset({"response", "reference"})

    def score(self, batch: ScoringBatch) -> Scores:
        """1.0 for another label, 0.0 for the true one."""
        names = _Names(self.options.labels or batch.labels)
        response = flat(batch.columns["response"]).cast(pa.string())
        reference = flat(batch.columns["reference"])
        answer = names.codes(response)
        values, parents = pc.list_flatten(reference), pc.list_parent_indices(reference).to_numpy()
        truth = names.codes(values.cast(pa.string()))
        given, known = truth >= 0, names.known(truth)
        case = np.full(len(response), _NO_REFERENCE)
        case[parents[given]] = _UNKNOWN_REFERENCE
        case[parents[given & known]] = _MISMATCH
        case[(case == _MISMATCH) & ~names.known(answer)] = _UNKNOWN_LABEL
        case[parents[given & (truth == answer[parents])]] = _MATCH
        case[answer < 0] = _NO_RESPONSE
        wrong = (case == _MISMATCH) | (case == _UNKNOWN_LABEL)
        shown = pc.if_else(pa.array(wrong), response, pa.scalar(None, pa.string()))
        held = _joined(reference, names.texts(truth))
        state = np.array(_STATES, dtype=np.uint8)[case]
        against = pc.if_else(pa.array(case == _NO_REFERENCE), pa.scalar(None, pa.string()), held)
        return whole_column(wrong.astype(np.float64), state, reason=coded(case, _REASONS), against=against, span=shown)

    def decide(self, score: npt.NDArray[np.float64], state: Codes) -> Codes:
        """Hallucinated where the labels differ."""
        return decide_at(score, state, at=1.0)


class _Names:
    """Texts as small integers: one per label name, whichever way a label was written."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._shown: list[str] = []
        self._code: dict[str, int] = {}
        for name in labels.values():
            self._add(name)
        self._num_known = len(self._code)

    def codes(self, texts: pa.Array) -> npt.NDArray[np.int64]:
        """Code of each text, -1 for null."""
        encoded = texts.dictionary_encode()
        of_text = [self._of(text) for text in encoded.dictionary.to_pylist()]
        index = pc.fill_null(encoded.indices, len(of_text)).to_numpy(zero_copy_only=False)
        return np.take(np.array([*of_text, -1], dtype=np.int64), np.asarray(index, dtype=np.int64))

    def known(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which codes are labels of the system; all of them where it names none."""
        return (codes < self._num_known) & (codes >= 0) if self._labels else codes >= 0

    def texts(self, codes: npt.NDArray[np.int64]) -> pa.Array:
        """Name of each code as first written, null for -1."""
        return pa.array(self._shown, type=pa.string()).take(pa.array(codes, mask=codes < 0))

    def _of(self, text: str) -> int:
        stripped = text.strip()
        return self._add(self._labels.get(stripped, stripped))

    def _add(self, name: str) -> int:
        code = self._code.setdefault(_plain(name), len(self._code))
        if code == len(self._shown):
            self._shown.append(name)
        return code


def _plain(name: str) -> str:
    return name.strip().casefold()


def _joined(lists: pa.Array, values: pa.Array) -> pa.Array:
    """The flattened `values` of `lists`, joined by row; nulls inside a list are shown as such."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))]).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), pc.fill_null(values, "null")), " | ")

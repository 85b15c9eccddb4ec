"""What an indicator is: `score` looks at texts, `decide` applies thresholds.

Scores are stored; a new threshold costs no new scoring. Callers: the registry, the engine, and
every indicator, which implements the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from halluc_ray.records.outcomes import Outcome
from halluc_ray.records.schemas import SCORED

T = TypeVar("T")
Codes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class ScoringBatch:
    """Columns of the units to score, aligned by position.

    Attributes:
        columns: by role (`response`, `prompt`, `context`: string; `reference`: list of string;
            `label`: bool) and, for the corpus' own columns, by `column:<name>`.
        labels: label id as text -> label name, of the system at hand; empty where it has none.
    """

    columns: Mapping[str, pa.Array]
    labels: Mapping[str, str] = field(default_factory=dict)
    _shared: dict[Hashable, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def values(self, column: str) -> list[Any]:
        """The column as Python values; converted once per batch."""
        return self.shared(("values", column), lambda: cast("list[Any]", self.columns[column].to_pylist()))

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """A derived form (normalised, tokenised, ...), made once per batch whichever indicators ask."""
        if key not in self._shared:
            self._shared[key] = make()
        return cast("T", self._shared[key])


@dataclass(slots=True)
class Scores:
    """One score per unit, or why there is none.

    Attributes:
        score: float64, larger is more hallucinated unless the indicator says otherwise; NaN where
            `state` is not SCORED.
        state: SCORED, or the code of the outcome that no threshold can change (abstained,
            undecided, not_applicable, failed).
        reason: short snake_case code of why (`refusal`, `no_reference`, `alias_matched`), or None.
        span_start, span_stop: characters of the response that offend; -1 where there is no span.
        span: the offending text, at most EVIDENCE_CHARS characters, or None.
        against: what it was held against, likewise, or None.
    """

    score: npt.NDArray[np.float64]
    state: Codes
    reason: pa.Array | list[str | None]
    span_start: npt.NDArray[np.int32]
    span_stop: npt.NDArray[np.int32]
    span: pa.Array | list[str | None]
    against: pa.Array | list[str | None]


EVIDENCE_CHARS = 240


class IndicatorOptions(BaseModel):
    """Base of an indicator's options. `thresholds` names those that only `decide` reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thresholds: ClassVar[frozenset[str]] = frozenset()


class Indicator(Protocol):
    """One published way to say that an output is a hallucination.

    A class takes its validated options: `Indicator(options)`.
    """

    kind: ClassVar[str]
    semantics_version: ClassVar[int]
    Options: ClassVar[type[IndicatorOptions]]
    recorded_only: ClassVar[bool]
    """It judges answers that the corpus already holds; for any other system it is not applicable."""

    def __init__(self, options: Any) -> None:
        """Take options validated by `Options`."""

    @property
    def columns(self) -> frozenset[str]:
        """What `score` reads: role names and `column:<name>`."""

    def score(self, batch: ScoringBatch) -> Scores:
        """Scores of the batch, aligned by position."""

    def decide(self, score: npt.NDArray[np.float64], state: Codes) -> Codes:
        """Outcome codes; thresholds only."""


def decide_at(score: npt.NDArray[np.float64], state: Codes, *, at: float) -> Codes:
    """Hallucinated where a scored unit reaches `at`, supported below it, `state` elsewhere."""
    verdict = np.where(score >= at, np.uint8(Outcome.HALLUCINATED), np.uint8(Outcome.SUPPORTED))
    return np.where(state == SCORED, verdict, state).astype(np.uint8)

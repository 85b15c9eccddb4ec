"""`low_similarity`: a matcher finds that two things do not fit: a caption and its image, an answer and its source.

Knows one similarity per unit; does not know what was embedded. Called through the registry.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from halluc_ray.indicators.protocol import Codes, IndicatorOptions, Scores, ScoringBatch, decide_at
from halluc_ray.indicators.tables import coded, flat, whole_column
from halluc_ray.records.outcomes import Outcome
from halluc_ray.records.schemas import SCORED


class LowSimilarityOptions(IndicatorOptions):
    """Options of `low_similarity`; `at` has no default, for each checkpoint spreads its cosines differently."""

    thresholds: ClassVar[frozenset[str]] = frozenset({"at"})

    at: float = Field(ge=-1, le=1, description="Hallucinated where the cosine is below this.")


class LowSimilarity:
    """Hallucinated where the system's similarity is below `at`; the score is the cosine, larger is better.

    Its mean over the rows of a dual encoder is a CLIPScore without its weight:
    `summaries: [{name: CLIPScore / 2.5, score: low_similarity}]`, where no cosine is negative. A unit
    without a similarity is undecided, reason `no_similarity`.

    Reference:
        Hessel, Holtzman, Forbes, Le Bras, Choi 2021, "CLIPScore: A Reference-free Evaluation Metric for
        Image Captioning", section 3: w * max(cos(text, image), 0) with w = 2.5. Departures: the cosine as
        it is, neither stretched by w nor cut at 0 (which moves the threshold, not a verdict at any
        threshold above 0); the authors put "A photo depicts" before each text, which is the system's
        template; a threshold, where they report means and ranks. For an embedder: cosine of two texts,
        Reimers, Gurevych 2019, "Sentence-BERT".

    >>> batch = ScoringBatch({"similarity": pa.array([0.31, 0.12, None])})
    >>> indicator = LowSimilarity(LowSimilarityOptions(at=0.2))
    >>> scores = indicator.score(batch)
    >>> [Outcome(code).label for code in indicator.decide(scores.score, scores.state)]
    ['supported', 'hallucinated', 'undecided']
    """

    kind: ClassVar[str] = "low_similarity"
    semantics_version: ClassVar[int] = 1
    recorded_only: ClassVar[bool] = False
    Options: ClassVar[type[IndicatorOptions]] = LowSimilarityOptions
    columns = frozenset({"similarity"})

    def __init__(self, options: LowSimilarityOptions) -> None:
        self.options = options

    def score(self, batch: ScoringBatch) -> Scores:
        """The cosines."""
        stored = flat(batch.columns["similarity"]).cast(pa.float64())
        score = np.asarray(stored.to_numpy(zero_copy_only=False), dtype=np.float64)
        known = np.isfinite(score)
        state = np.where(known, np.uint8(SCORED), np.uint8(Outcome.UNDECIDED)).astype(np.uint8)
        return whole_column(score, state, reason=coded((~known).astype(np.int32), [None, "no_similarity"]))

    def decide(self, score: npt.NDArray[np.float64], state: Codes) -> Codes:
        """Hallucinated below the threshold."""
        return decide_at(np.less(score, self.options.at).astype(np.float64), state, at=1.0)

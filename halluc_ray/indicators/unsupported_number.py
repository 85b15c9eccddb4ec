"""`unsupported_number`: numbers that a response states and its context does not.

Knows when two numbers agree; does not know where numbers come from (text) or which facts they
belong to. Called through the registry.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from halluc_ray.indicators.protocol import Codes, IndicatorOptions, Scores, ScoringBatch, decide_at
from halluc_ray.indicators.rows import Verdict, score_rows, without_score
from halluc_ray.records.outcomes import Outcome
from halluc_ray.records.schemas import SCORED
from halluc_ray.text.letters import lowered
from halluc_ray.text.numeral import Numeral
from halluc_ray.text.numerals import find_numerals
from halluc_ray.text.refusals import is_refusal
from halluc_ray.text.traces import blank_traces
from halluc_ray.text.units import PERCENT

_HEDGE = re.compile(
    r"(?:\b(?:about|around|approximately|approx\.?|roughly|nearly|almost|over|under|more than|less than|"
    r"fewer than|at least|at most|up to|some|circa|c\.|just|close to|below|above|exceed(?:s|ed|ing)?)\s+(?:an?\s+)?|"
    r"[~≈><]\s?|约|大约|近|将近|超过|逾|超|至少|不到|接近)\Z",
    re.IGNORECASE,
)
_HEDGE_AFTER = re.compile(r"\s?(?:\+|多|余|左右|上下|or (?:so|more))", re.IGNORECASE)
_HEDGE_REACH = 24
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = re.compile(rf"\b({'|'.join(_MONTHS)}|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?)", re.IGNORECASE)


class UnsupportedNumberOptions(IndicatorOptions):
    """Options of `unsupported_number`."""

    thresholds: ClassVar[frozenset[str]] = frozenset({"at"})

    at: int = Field(1, ge=1, description="Hallucinated where at least so many numbers of the response are unsupported.")


class UnsupportedNumber:
    """Hallucinated where the response states a number that agrees with none of the context's.

    Numbers agree where their values are equal after magnitude words and units ("1.2 million" and
    1,200,000; 50% and 百分之五十; 1.5 km and 1,500 m); a number without a unit agrees with one that
    has one, but a percentage needs a percentage (or a fraction: 0.5). A response may round: with
    fewer significant digits than the context it may be off by half a unit of its last stated digit
    ("3.5" for 3.48, "1.2 million" for 1,234,567), behind a hedge ("about", 约) by a whole one. A
    single digit with zeros ("300") and a year are taken as exact unless hedged.

    Not claims: list markers, digits in names (A320), "one", "first" and "second" alone, and Chinese
    characters that are mostly idiom. Refusals are abstained; no context: not applicable; no number:
    supported, reason `no_number`. The score is how many numbers are unsupported; the evidence is the
    first of them and the nearest number of the context.

    Reference:
        Zhao, Cohen, Webber 2020, "Reducing Quantity Hallucinations in Abstractive Summarization"
        (Herman), section 3: quantities of a summary are verified against those of its source.
        Departures: rules in place of a learned verifier; values are compared, not what they count.

    >>> import pyarrow as pa
    >>> columns = {"response": pa.array(["12 died", "Thirty % fell"]), "context": pa.array(["Ten died.", "百分之三十"])}
    >>> indicator = UnsupportedNumber(UnsupportedNumberOptions())
    >>> scores = indicator.score(ScoringBatch(columns))
    >>> [Outcome(code).label for code in indicator.decide(scores.score, scores.state)], scores.against[0]
    (['hallucinated', 'supported'], 'Ten')
    """

    kind: ClassVar[str] = "unsupported_number"
    semantics_version: ClassVar[int] = 2
    recorded_only: ClassVar[bool] = False
    Options: ClassVar[type[IndicatorOptions]] = UnsupportedNumberOptions

    def __init__(self, options: UnsupportedNumberOptions) -> None:
        self.options = options

    @property
    def columns(self) -> frozenset[str]:
        """Response and context."""
        return frozenset({"response", "context"})

    def score(self, batch: ScoringBatch) -> Scores:
        """How many numbers of each response are unsupported."""
        sources: dict[str, _Source] = batch.shared("numbers_of_contexts", dict)
        return score_rows(batch, ("response", "context"), lambda response, context: _judge(response, context, sources))

    def decide(self, score: npt.NDArray[np.float64], state: Codes) -> Codes:
        """Hallucinated from `at` unsupported numbers on."""
        return decide_at(score, state, at=self.options.at)


class _Source:
    """The numbers that a context holds, in whichever role."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.numerals = find_numerals(text)
        self.values = frozenset(numeral.value for numeral in self.numerals if not _is_percent(numeral))
        self.months = frozenset(Decimal(_MONTHS.index(_month(match.group())) + 1) for match in _MONTH.finditer(text))

    def supports(self, claim: Numeral, *, hedged: bool) -> bool:
        """Whether some number of the context agrees with the claim."""
        if claim.unit is None and (claim.value in self.values or claim.value in self.months):
            return True
        return any(_agree(claim, held, hedged=hedged) for held in self.numerals)

    def nearest(self, claim: Numeral) -> str:
        """The number of the context that comes nearest to the claim, as written there."""
        if not self.numerals:
            return "no number in the context"
        best = min(
            self.numerals, key=lambda held: (_is_percent(held) != _is_percent(claim), abs(held.value - claim.value))
        )
        return self.text[best.start : best.stop]


def _judge(response: str | None, context: str | None, sources: dict[str, _Source]) -> Verdict:
    if context is None:
        return without_score(Outcome.NOT_APPLICABLE, "no_context")
    if response is None:
        return without_score(Outcome.FAILED, "no_response")
    visible = blank_traces(response)
    if not visible.strip():
        return without_score(Outcome.ABSTAINED, "empty")
    if is_refusal(visible):
        return without_score(Outcome.ABSTAINED, "refusal")
    claims = [numeral for numeral in find_numerals(visible) if numeral.role not in ("marker", "vague")]
    if not claims:
        return Verdict(0.0, reason="no_number")
    source = sources.get(context)
    if source is None:
        source = sources[context] = _Source(context)
    wrong = [claim for claim in claims if not source.supports(claim, hedged=_hedged(visible, claim))]
    if not wrong:
        return Verdict(0.0, reason="all_supported")
    first = wrong[0]
    span = visible[first.start : first.stop]
    return Verdict(
        float(len(wrong)), SCORED, "unsupported_number", first.start, first.stop, span, source.nearest(first)
    )


def _agree(claim: Numeral, held: Numeral, *, hedged: bool) -> bool:
    if _is_percent(claim) != _is_percent(held) and not (_is_percent(held) and claim.unit is None):
        return _is_percent(claim) and held.unit is None and 0 < held.value <= 1 and held.value * 100 == claim.value
    measured = claim.unit is not None and held.unit is not None
    if claim.unit is not None and held.unit is not None and claim.unit.measures != held.unit.measures:
        return False
    stated, truth = (claim.amount, held.amount) if measured else (claim.value, held.value)
    if stated == truth:
        return True
    if claim.role == "decade":
        return stated <= truth < stated + claim.place
    return _rounds(claim, held, off=abs(stated - truth), measured=measured, hedged=hedged)


def _rounds(claim: Numeral, held: Numeral, *, off: Decimal, measured: bool, hedged: bool) -> bool:
    if claim.role != "cardinal" or held.significant <= claim.significant:
        return False
    place = claim.place * claim.unit.factor if measured and claim.unit is not None else claim.place
    if hedged:
        return off < place
    whole = claim.place >= 10 and not claim.scaled
    exact = whole and (claim.significant == 1 or 1000 <= abs(claim.value) < 2100)
    return not exact and off * 2 <= place


def _hedged(text: str, claim: Numeral) -> bool:
    before = text[max(0, claim.start - _HEDGE_REACH) : claim.start]
    return _HEDGE.search(before) is not None or _HEDGE_AFTER.match(text, claim.number_stop) is not None


def _is_percent(numeral: Numeral) -> bool:
    return numeral.unit is not None and numeral.unit.measures == PERCENT


def _month(written: str) -> str:
    return next(name for name in _MONTHS if name.startswith(lowered(written)[:3]))

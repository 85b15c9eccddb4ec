"""`answer_mismatch`: a free-text answer against reference answers.

Knows when two spellings are one answer, in English and Chinese; does not know the question. Called
through the registry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from halluc_ray.indicators.protocol import Codes, IndicatorOptions, Scores, ScoringBatch, decide_at
from halluc_ray.indicators.rows import Verdict, score_rows, without_score
from halluc_ray.records.outcomes import Outcome
from halluc_ray.text.language import Language, language_of
from halluc_ray.text.normalization import normalize
from halluc_ray.text.readings import read_yes_no
from halluc_ray.text.refusals import is_refusal
from halluc_ray.text.traces import blank_traces

_POLAR = dict.fromkeys(("yes", "true", "是", "是的", "对", "正确"), True) | dict.fromkeys(
    ("no", "false", "否", "不是", "不", "错", "错误"), False
)


class AnswerMismatchOptions(IndicatorOptions):
    """Options of `answer_mismatch`."""

    mode: Literal["exact", "contains"] = Field(
        "exact", description="exact: the answer is a reference; contains: the answer holds one as whole words."
    )
    language: Literal["auto", "en", "zh"] = Field(
        "auto", description="Whose normal form is compared; auto: Chinese where a Han character occurs, else English."
    )


class AnswerMismatch:
    """Hallucinated where the answer is, or holds, none of the references.

    In this order: an empty answer is abstained (`empty`); one equal to a reference is supported,
    a refusal that is the reference included; a refusal is abstained (`refusal`); where every
    reference is yes or no, the answer is read as yes or no (`undecided` where it says neither); in
    mode `contains` an answer that holds a reference is supported: English as whole words, Chinese
    as a substring that cuts no number. Everything else is hallucinated (`mismatch`). No reference:
    not applicable. Reasoning traces do not count as answer.

    Reference:
        Rajpurkar et al. 2016, SQuAD, section 6.1 (exact match, maximum over references); Kamalloo
        et al. 2023, "Evaluating Open-Domain Question Answering in the Era of Large Language
        Models", lexical matching, for `contains`. Departures: abstentions and polar answers are
        told apart first; Chinese form as in CMRC 2018.

    >>> import pyarrow as pa
    >>> columns = {"response": pa.array(["The Paris!", "I don't know."]), "reference": pa.array([["paris"], ["Rome"]])}
    >>> indicator = AnswerMismatch(AnswerMismatchOptions())
    >>> scores = indicator.score(ScoringBatch(columns))
    >>> [Outcome(code).label for code in indicator.decide(scores.score, scores.state)]
    ['supported', 'abstained']
    """

    kind: ClassVar[str] = "answer_mismatch"
    semantics_version: ClassVar[int] = 1
    recorded_only: ClassVar[bool] = False
    Options: ClassVar[type[IndicatorOptions]] = AnswerMismatchOptions

    def __init__(self, options: AnswerMismatchOptions) -> None:
        self.options = options

    @property
    def columns(self) -> frozenset[str]:
        """Response and reference."""
        return frozenset({"response", "reference"})

    def score(self, batch: ScoringBatch) -> Scores:
        """1.0 for a mismatch, 0.0 for a match."""
        return score_rows(batch, ("response", "reference"), self._judge)

    def decide(self, score: npt.NDArray[np.float64], state: Codes) -> Codes:
        """Hallucinated where nothing matched."""
        return decide_at(score, state, at=1.0)

    def _judge(self, response: str | None, references: Sequence[str | None] | None) -> Verdict:
        known = [text for text in references or () if text is not None and text.strip()]
        if not known:
            return without_score(Outcome.NOT_APPLICABLE, "no_reference")
        if response is None:
            return without_score(Outcome.FAILED, "no_response")
        visible = blank_traces(response)
        answer = visible.strip()
        if not answer:
            return without_score(Outcome.ABSTAINED, "empty")
        language = language_of(answer, *known) if self.options.language == "auto" else self.options.language
        given = _form(answer, language)
        forms = [_form(text, language) for text in known]
        if given in forms:
            return Verdict(0.0, reason="matched", against=known[forms.index(given)])
        if is_refusal(answer):
            return without_score(Outcome.ABSTAINED, "refusal", against=" | ".join(known))
        start = len(visible) - len(visible.lstrip())
        wrong = Verdict(1.0, reason="mismatch", span_start=start, span_stop=start + len(answer), span=answer)
        polar = {_POLAR.get(form) for form in forms}
        if len(polar) == 1 and None not in polar:
            said = read_yes_no(answer)
            if said is None:
                return without_score(Outcome.UNDECIDED, "neither_yes_nor_no", against=" | ".join(known))
            return Verdict(0.0, reason="same_reading") if said in polar else _against(wrong, known, "other_reading")
        if self.options.mode == "contains":
            for text, form in zip(known, forms, strict=True):
                if _holds(given, form, language):
                    return Verdict(0.0, reason="contained", against=text)
        return _against(wrong, known, "mismatch")


def _form(text: str, language: Language) -> str:
    """The normal form; where nothing is left of a text ("The"), the text itself, folded."""
    return normalize(text, language=language) or text.strip().casefold()


def _holds(given: str, form: str, language: Language) -> bool:
    if language == "en":
        return f" {form} " in f" {given} "
    if form not in given:
        return False
    before = r"(?<![0-9.])" if form[0].isdigit() else r"(?<![a-z])" if form[0].isascii() else ""
    after = r"(?![0-9%]|\.[0-9])" if form[-1].isdigit() else r"(?![a-z])" if form[-1].isascii() else ""
    return re.search(before + re.escape(form) + after, given) is not None


def _against(wrong: Verdict, known: Sequence[str], reason: str) -> Verdict:
    return wrong._replace(reason=reason, against=" | ".join(known))

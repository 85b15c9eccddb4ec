"""A closed-book question with its accepted answers, and the rules that keep a question fair.

Knows nothing of the sources. Callers: the builders of countries' and elements' facts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

ORDINARY_WORDS = frozenset(
    # ISO codes and currency units that are also everyday English words: found in any answer by chance.
    {"all", "bam", "bob", "bop", "colon", "cop", "cup", "gel", "gold", "lei", "mad", "mark", "mop", "new", "pen"}
    | {"php", "real", "sol", "som", "sos", "top", "try"}
)


@dataclass(frozen=True, slots=True)
class Question:
    """One row of the corpus.

    Attributes:
        lang: `en` or `zh`.
        relation: `capital`, `country_of_capital`, `currency`, `continent`, `chemical_symbol`.
        key: ISO 3166 code or chemical symbol; with the two above it makes the row's id.
        subject: what is asked about, in the question's language.
        text: the question.
        answers: accepted answers, the usual one first, without repetition.
    """

    lang: str
    relation: str
    key: str
    subject: str
    text: str
    answers: tuple[str, ...]

    @property
    def id(self) -> str:
        """Stable id, such as `en:capital:FR`."""
        return f"{self.lang}:{self.relation}:{self.key}"


@dataclass(frozen=True, slots=True)
class Left:
    """A question that was not asked, and why; counted on the corpus' card."""

    lang: str
    relation: str
    key: str
    reason: str


def fair(question: Question) -> Question | Left:
    """The question, unless it can't be judged by whether an answer is contained in the response.

    A question that has no answer in its language is left out, and so is one that already holds an
    answer ("What is the capital of Singapore?"): repeating it would count as knowing.
    """
    if not question.answers:
        return Left(question.lang, question.relation, question.key, "no_answer_in_this_language")
    text = folded(question.text)
    if any(holds(text, folded(answer), lang=question.lang) for answer in question.answers):
        return Left(question.lang, question.relation, question.key, "answer_in_question")
    return question


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Names in their first order, each also without diacritics, without empty ones or repetition.

    >>> unique(["Bogotá", "Bogota", ""])
    ('Bogotá', 'Bogota')
    """
    kept: dict[str, None] = {}
    for name in names:
        for form in (name, without_diacritics(name)):
            if form.strip():
                kept.setdefault(form, None)
    return tuple(kept)


def folded(text: str) -> str:
    """Case and diacritics folded, for comparison only."""
    return without_diacritics(text).casefold()


def without_diacritics(text: str) -> str:
    """The text without combining marks; letters such as ø that have no decomposition stay."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def holds(text: str, answer: str, *, lang: str) -> bool:
    """Whole words of `answer` occur in `text`; in Chinese, which has no spaces, its characters do.

    >>> holds("the capital of nigeria", "niger", lang="en"), holds("guinea-bissau", "guinea", lang="en")
    (False, True)
    """
    if lang == "zh":
        return answer in text
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) is not None


def is_han(text: str) -> bool:
    """Every character is a CJK ideograph."""
    return bool(text) and all(unicodedata.name(c, "").startswith("CJK UNIFIED") for c in text)


def is_latin_name(text: str) -> bool:
    """A name in Latin letters that starts with a capital: not a code, not a transliteration key."""
    letters = [c for c in text if c.isalpha()]
    return (
        len(letters) >= 4
        and text[0].isupper()
        and not text.isupper()
        and all(unicodedata.name(c, "").startswith("LATIN") for c in letters)
    )

"""Forms of a text under which two spellings of one answer are equal.

Knows SQuAD's English form and a Chinese form in the manner of CMRC and DRCD; does not know what is
compared with what. Called by `answer_mismatch`.
"""

from __future__ import annotations

import re
import string
import unicodedata

from halluc_ray.text.language import Language
from halluc_ray.text.numerals import find_numerals, plain_digits

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_LOOSE_SPACE = re.compile(r"(?<![0-9a-z])\s+|\s+(?![0-9a-z])")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ASCII_DIGIT = frozenset("0123456789")


def normalize_english(text: str) -> str:
    """Lower case, no ASCII punctuation, no articles, single spaces.

    >>> normalize_english("The  U.S.A.'s capital!")
    'usas capital'

    Reference:
        Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text",
        section 6.1, as its evaluation script does it: punctuation is removed, not replaced by a
        space ("well-known" is "wellknown"), and only ASCII punctuation counts.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def normalize_chinese(text: str) -> str:
    """Half width, lower case, numerals in digits, no punctuation, no white space.

    >>> normalize_chinese("《三体》，共 ３ 部。")
    '3体共3部'

    Reference:
        Cui et al. 2019, "A Span-Extraction Dataset for Chinese Machine Reading Comprehension"
        (CMRC 2018): punctuation and spaces do not count. Departures: NFKC first; Chinese numerals
        become digits; a percent sign, a sign before a number and a decimal point stay. Simplified
        and traditional characters stay different.
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    folded = _with_digits(_LOOSE_SPACE.sub("", folded))
    return "".join(char for at, char in enumerate(folded) if _counts(folded, at, char))


def normalize(text: str, *, language: Language) -> str:
    """The normal form of a text in the given language."""
    return normalize_chinese(text) if language == "zh" else normalize_english(text)


def _with_digits(text: str) -> str:
    pieces, done = [], 0
    for numeral in find_numerals(text):
        if numeral.script == "zh" or (numeral.scaled and numeral.script == "digits"):
            pieces += [text[done : numeral.start], plain_digits(numeral)]
            done = numeral.number_stop
    return "".join([*pieces, text[done:]])


def _counts(text: str, at: int, char: str) -> bool:
    if char == "%":
        return True
    after = text[at + 1 : at + 2] in _ASCII_DIGIT
    before = text[at - 1 : at] in _ASCII_DIGIT if at else False
    if char == ".":
        return before and after
    if char in "-−":
        return after and not before and not text[at - 1 : at].isalnum()
    return unicodedata.category(char)[0] not in "PZC" and not char.isspace()

"""Numbers written in English words, ordinals and simple fractions included.

Knows the grammar of number words ("three hundred and forty-two", "half a million", "nineteen
eighty-four"); does not know digits. Called by `numerals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from halluc_ray.text.numeral import Numeral, Role, stated
from halluc_ray.text.units import SUFFIXES, unit_of

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINAL = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
]
_SMALL = {word: value for value, word in enumerate([*_UNITS, *_TEENS])}
_TEN = {word: 10 * (at + 2) for at, word in enumerate(_TENS)}
_TEN_ORDINAL = {word.removesuffix("y") + "ieth": value for word, value in _TEN.items()}
_NTH = {word: value for value, word in enumerate(_ORDINAL)} | _TEN_ORDINAL
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_PARTS = {"halves": 2, "thirds": 3, "quarters": 4, "fifths": 5, "sixths": 6, "sevenths": 7, "eighths": 8, "tenths": 10}

_ANY = sorted(
    [*_SMALL, *_TEN, *_NTH, *_SCALES, *_PARTS, "hundred", "hundredth", "thousandth", "millionth"], key=len, reverse=True
)
_WORD = re.compile(
    rf"(?:{'|'.join(_ANY)})(?![A-Za-z])|half(?=\s+an?\s)|an?(?=\s+(?:hundred|thousand|million|billion|trillion|dozen)\b)|and|point|minus",
    re.IGNORECASE,
)
_RUN = re.compile(
    rf"(?<![A-Za-z])(?:half\s+an?\s+|an?\s+(?=(?:hundred|thousand|million|billion|trillion|dozen)\b)|minus\s+)?(?:{'|'.join(_ANY)})(?![A-Za-z])"
    rf"(?:(?:\s+and\s+|\s+point\s+|\s*-\s*|\s+)(?:{'|'.join(_ANY)})(?![A-Za-z]))*",
    re.IGNORECASE,
)
_UNIT = re.compile(SUFFIXES, re.IGNORECASE)

_Word = tuple[str, int, int]


def find_english(text: str) -> Iterator[Numeral]:
    """Numbers in words, in order.

    >>> [str(n.value) for n in find_english("Twenty-five of three hundred and forty-two, in nineteen eighty-four")]
    ['25', '342', '1984']
    """
    for run in _RUN.finditer(text):
        words = [(m.group().lower(), m.start(), m.end()) for m in _WORD.finditer(text, run.start(), run.end())]
        at = 0
        while at < len(words):
            numeral, at = _read(text, words, at)
            if numeral is not None:
                yield numeral


def _read(text: str, words: list[_Word], at: int) -> tuple[Numeral | None, int]:
    begin = at
    negative = words[at][0] == "minus"
    at += negative
    value, after, role = _number(words, at)
    if value is None:
        return None, max(after, begin + 1)
    if after < len(words) and words[after][0] in _PARTS and value < 20:
        value, after = value / _PARTS[words[after][0]], after + 1
    spoken = words[begin:after]
    start, stop = spoken[0][1], spoken[-1][2]
    unit_match = _UNIT.match(text, stop) if role == "cardinal" else None
    unit = unit_of(unit_match.group()) if unit_match else None
    if role == "cardinal" and spoken[0][0] == "one" and len(spoken) == 1 and unit is None:
        role = "vague"
    if role == "ordinal" and value in (1, 2) and len(spoken) == 1:
        role = "vague"
    scaled = any(word in _SCALES for word, _, _ in spoken)
    place, significant = stated(value)
    return (
        Numeral(
            start=start,
            stop=unit_match.end() if unit_match else stop,
            number_stop=stop,
            value=-value if negative else value,
            place=place,
            significant=significant,
            script="en",
            role=role,
            unit=unit,
            scaled=scaled,
        ),
        after,
    )


def _number(words: list[_Word], at: int) -> tuple[Decimal | None, int, Role]:
    total, limit, begin = Decimal(0), 10**15, at
    if words[at][0] in ("half", "a", "an"):
        share = Decimal("0.5") if words[at][0] == "half" else Decimal(1)
        at += 2 if words[at][0] == "half" and at + 1 < len(words) and words[at + 1][0] in ("a", "an") else 1
        if at < len(words) and words[at][0] in _SCALES:
            return (share * _SCALES[words[at][0]]).to_integral_value(), at + 1, "cardinal"
        if at < len(words) and words[at][0] == "hundred":
            tail, after, role = _below(words, _skip_and(words, at + 1), limit=100)
            return share * 100 + (tail or 0), after if tail is not None else at + 1, role
        return None, at, "cardinal"
    while True:
        group, after, role = _group(words, at)
        if group is None or group >= limit:
            return (total, _before_and(words, at), "cardinal") if at > begin else (None, begin, "cardinal")
        at = after
        if role == "ordinal":
            return total + group, at, role
        if at < len(words) and words[at][0] in _SCALES and _SCALES[words[at][0]] < limit:
            limit = _SCALES[words[at][0]]
            total += group * limit
            at = _skip_and(words, at + 1)
            if at >= len(words):
                return total, _before_and(words, at), "cardinal"
            continue
        total += group
        return (*_decimals(words, at, total), "cardinal")


def _group(words: list[_Word], at: int) -> tuple[Decimal | None, int, Role]:
    value, after, role = _below(words, at, limit=100)
    if value is None or role == "ordinal":
        return value, after, role
    if after < len(words) and words[after][0] in ("hundred", "hundredth"):
        ordinal = words[after][0] == "hundredth"
        tail, rest, tail_role = _below(words, _skip_and(words, after + 1), limit=100)
        if ordinal or tail is None:
            return value * 100, after + 1, "ordinal" if ordinal else "cardinal"
        return value * 100 + tail, rest, tail_role
    year, rest, year_role = _below(words, after, limit=100)
    if (
        10 <= value < 100
        and year is not None
        and year >= 10
        and year_role == "cardinal"
        and words[after - 1][0] != "and"
    ):
        return value * 100 + year, rest, "cardinal"
    return value, after, role


def _below(words: list[_Word], at: int, *, limit: int) -> tuple[Decimal | None, int, Role]:
    if at >= len(words):
        return None, at, "cardinal"
    word = words[at][0]
    if word in _NTH and _NTH[word] < limit:
        return Decimal(_NTH[word]), at + 1, "ordinal"
    if word in _SMALL:
        return Decimal(_SMALL[word]), at + 1, "cardinal"
    if word not in _TEN:
        return None, at, "cardinal"
    following = words[at + 1][0] if at + 1 < len(words) else ""
    if 0 < _SMALL.get(following, 0) < 10:
        return Decimal(_TEN[word] + _SMALL[following]), at + 2, "cardinal"
    if 0 < _NTH.get(following, 0) < 10:
        return Decimal(_TEN[word] + _NTH[following]), at + 2, "ordinal"
    return Decimal(_TEN[word]), at + 1, "cardinal"


def _decimals(words: list[_Word], at: int, whole: Decimal) -> tuple[Decimal, int]:
    if at >= len(words) or words[at][0] != "point":
        return whole, at
    digits, after = "", at + 1
    while after < len(words) and _SMALL.get(words[after][0], 10) < 10:
        digits, after = digits + str(_SMALL[words[after][0]]), after + 1
    return (whole + Decimal(f"0.{digits}"), after) if digits else (whole, at)


def _skip_and(words: list[_Word], at: int) -> int:
    return at + 1 if at < len(words) and words[at][0] == "and" else at


def _before_and(words: list[_Word], at: int) -> int:
    return at - 1 if at > 0 and words[at - 1][0] == "and" else at

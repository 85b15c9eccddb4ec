"""Every number of a text, whichever way it is written, with its place and unit.

Knows how the three readers fit together and how a range shares its unit; does not compare numbers.
Called by normalisation and by `unsupported_number`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace

from halluc_ray.text.arabic_numerals import find_arabic, half_width
from halluc_ray.text.chinese_numerals import find_chinese
from halluc_ray.text.english_numerals import find_english
from halluc_ray.text.language import has_han
from halluc_ray.text.numeral import Numeral
from halluc_ray.text.units import PERCENT

_WEIGHTS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_RANGE = re.compile(r"\s*(?:-|–|—|~|to|and|or|至|到|或)\s*", re.IGNORECASE)


def find_numerals(text: str) -> list[Numeral]:
    """All numbers of the text in order of their start; none overlaps another.

    >>> [str(n.value) for n in find_numerals("twenty-five of 1.2 million, 百分之三十")]
    ['25', '1200000', '30']
    """
    plain = half_width(text)
    found = list(find_arabic(plain))
    starts = [n.start for n in found]
    words = [*find_english(plain), *(find_chinese(plain) if has_han(plain) else ())]
    free = [n for n in words if not _overlaps(n, found, bisect_left(starts, n.stop))]
    ordered = sorted([*found, *free], key=lambda numeral: numeral.start)
    return _share_units(plain, _join_magnitudes(plain, ordered))


def plain_digits(numeral: Numeral) -> str:
    """The number in plain digits; 百分之, which is part of the number, becomes a sign of percent.

    >>> plain_digits(find_numerals("百分之三十")[0])
    '30%'
    """
    share = numeral.unit is not None and numeral.unit.measures == PERCENT and numeral.number_stop == numeral.stop
    return format(numeral.value, "f") + ("%" if share else "")


def _overlaps(numeral: Numeral, others: list[Numeral], before: int) -> bool:
    return before > 0 and others[before - 1].stop > numeral.start


def _join_magnitudes(text: str, numerals: list[Numeral]) -> list[Numeral]:
    """One number where 1万2千 or 3亿5000万 was read as two."""
    joined: list[Numeral] = []
    for numeral in numerals:
        left = joined[-1] if joined else None
        weight = _WEIGHTS.get(text[numeral.start - 1]) if left and left.stop == numeral.start else None
        if left is None or weight is None or left.unit is not None or not 0 < numeral.value < weight:
            joined.append(numeral)
            continue
        total = left.value + numeral.value
        digits = numeral.significant + int(left.value.adjusted() - numeral.value.adjusted())
        joined[-1] = replace(numeral, start=left.start, value=total, significant=digits)
    return joined


def _share_units(text: str, numerals: list[Numeral]) -> list[Numeral]:
    for at in range(len(numerals) - 2, -1, -1):
        left, right = numerals[at], numerals[at + 1]
        if left.unit is None and right.unit is not None and _RANGE.fullmatch(text, left.stop, right.start):
            numerals[at] = replace(left, unit=right.unit)
    return numerals

"""Numbers written in digits: separators, decimals, signs, magnitudes, ordinals, decades, units.

Knows English and Chinese use around digits. A comma groups thousands (or, in Indian grouping,
hundreds above a thousand); a point groups only where it can't be a decimal point (1.234.567 or
1.234,56). Does not know words for numbers. Called by `numerals`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal

from halluc_ray.text.letters import lowered
from halluc_ray.text.numeral import Numeral, Role, stated
from halluc_ray.text.units import PREFIXES, SUFFIXES, unit_of

_NUMBER = (
    r"(?P<european>[0-9]{1,3}(?:\.[0-9]{3}){2,}(?:,[0-9]+)?(?![0-9.])|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{1,2}(?![0-9]))"
    r"|(?P<plain>(?:[0-9]{1,3}(?:,[0-9]{3}){1,12}|[0-9]{1,2}(?:,[0-9]{2}){1,9},[0-9]{3}|[0-9]{1,3}(?:[\u00a0\u2009\u202f][0-9]{3})+|[0-9]+)(?![0-9])"
    r"(?:\.[0-9]+)?)"
)
_PATTERN = re.compile(
    rf"(?P<glued>[A-Za-z]{{1,24}}+(?![A-Za-z])-?)?(?P<sign>(?<![0-9A-Za-z)\].,%])[-−])?(?:(?P<currency>{PREFIXES})\s?)?(?:{_NUMBER})(?P<vulgar>[¼½¾⅓⅔⅛⅜⅝⅞])?"
    r"(?:(?P<ordinal>st|nd|rd|th)\b|['’]?(?P<decade>s)\b|"
    r"(?P<magnitude>[\s-]?(?:hundred|thousand|million|billion|trillion)s?(?![A-Za-z])|\s?(?:mn|bn|tn|k|b)(?![A-Za-z])|m(?![A-Za-z])|\s?[百千万亿萬億兆]+)?"
    rf"(?P<unit>{SUFFIXES})?)",
    re.IGNORECASE,
)
_MAGNITUDES = {
    "hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "k": 3, "m": 6, "mn": 6, "bn": 9, "b": 9,
    "tn": 12,
    "百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12,
}  # fmt: skip
_HALF_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20}
_LIST_MARKER = re.compile(r"(?:^|\n)[ \t>*#_-]*\(?[0-9]{1,2}(?=(?:[.):、．]|\*\*[.):])(?=\s|\*|[^\x00-\x7f0-9]))")
_GLUE = re.compile(r"(?!(?:am|pm|a\.m|p\.m|h)\b)[A-Za-z]")


def half_width(text: str) -> str:
    """Full-width ASCII as plain ASCII, character by character, so that offsets stay true."""
    return text if text.isascii() else text.translate(_HALF_WIDTH)


def find_arabic(text: str) -> Iterator[Numeral]:
    """Numbers in digits, in order. `text` is half-width.

    >>> [str(n.value) for n in find_arabic("1,234.5 km, $1.2bn and 3.5亿")]
    ['1234.5', '1200000000', '350000000']
    """
    markers = {match.end() for match in _LIST_MARKER.finditer(text)}
    for match in _PATTERN.finditer(text):
        yield _numeral(text, match, markers)


def _numeral(text: str, match: re.Match[str], markers: set[int]) -> Numeral:
    mantissa = _mantissa(match)
    magnitude, currency, suffix = match["magnitude"], match["currency"], match["unit"]
    unit = unit_of(currency) if currency else unit_of(suffix) if suffix else None
    scale = Decimal(1)
    if magnitude and magnitude.strip().lower() == "m" and not currency:
        magnitude, unit = None, unit_of("metre")
    if magnitude:
        scale = _scale(magnitude)
    value = mantissa * scale
    place, significant = stated(mantissa, scale=scale)
    role = _role(text, match, markers)
    if unit is not None and unit.measures == "calendar" and suffix and suffix.strip() == "年" and value >= 1000:
        unit = None
    return Numeral(
        start=match.start() + len(match["glued"] or ""),
        stop=match.end(),
        number_stop=match.start("unit") if suffix else match.end(),
        value=_tidy(-value if match["sign"] else value),
        place=place,
        significant=significant,
        script="digits",
        role=role,
        unit=unit if role in ("cardinal", "marker") else None,
        scaled=bool(magnitude),
    )


def _mantissa(match: re.Match[str]) -> Decimal:
    if match["european"]:
        mantissa = Decimal(match["european"].replace(".", "").replace(",", "."))
    else:
        mantissa = Decimal(re.sub(r"[,\u00a0\u2009\u202f]", "", match["plain"]))
    if match["vulgar"]:
        mantissa += Decimal(repr(round(unicodedata.numeric(match["vulgar"]), 3)))
    return mantissa


def _role(text: str, match: re.Match[str], markers: set[int]) -> Role:
    if match["ordinal"]:
        return "ordinal"
    if match["decade"]:
        return "decade"
    number_stop = match.end("plain") if match["plain"] else match.end("european")
    glued_after = match.end() == number_stop and _GLUE.match(text, number_stop) is not None
    listed = number_stop in markers
    glued_before = match["glued"] and not match["currency"]
    return "marker" if glued_before or glued_after or listed else "cardinal"


def _scale(magnitude: str) -> Decimal:
    word = lowered(re.sub(r"[\s-]", "", magnitude))
    word = word.removesuffix("s") if len(word) > 2 else word
    if word in _MAGNITUDES:
        return Decimal(10) ** _MAGNITUDES[word]
    return Decimal(10) ** sum(_MAGNITUDES[char] for char in word)


def _tidy(value: Decimal) -> Decimal:
    whole = value.to_integral_value()
    return whole if whole == value else value

"""Numbers written in Chinese characters.

Knows counting (三百四十二, 一万二), reading digit by digit (二〇二四), shares (百分之三十, 四分之三), points
(三点一四) and which characters are mostly idiom when they stand alone. Does not know digits. Called
by `numerals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from halluc_ray.text.numeral import Numeral, Role, stated
from halluc_ray.text.units import PERCENT, SUFFIXES, UNITS, Unit, unit_of

_DIGITS = {
    char: value
    for value, chars in enumerate(["零〇", "一壹", "二贰两", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"])
    for char in chars
}
_WITHIN = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_ABOVE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_ALL = "".join([*_DIGITS, *_WITHIN, *_ABOVE, "廿卅"])
_PATTERN = re.compile(
    rf"(?P<sign>负)?(?:(?P<of>百|千|万|[{_ALL}]+)分之)?(?P<whole>[{_ALL}]+)(?:点(?P<part>[{''.join(_DIGITS)}]+))?(?P<unit>{SUFFIXES})?"
)
_COUNTED = re.compile(
    r"(?:个|名|位|人|次|年|月|日|号|岁|天|周|届|家|座|条|只|张|件|辆|艘|架|部|本|枚|场|局|分|支|台|所|处|项|倍|成|层|级|间|"
    r"户|口|元|块|万|亿|米|吨|公里|公斤|千克|小时|分钟|秒|度|国|省|市|县|起|例|集|届|枪|球|胜|负|连|冠)"
)
_COUNTED_BY_TWO = frozenset("名人次倍成场局件起例座架艘辆")
_IDIOMS = frozenset({"万一", "千万", "万千", "十"})
_LOOSE_BEFORE = frozenset("数几上成好近多每同第")
_LOOSE_AFTER = frozenset("余多来几")


def find_chinese(text: str) -> Iterator[Numeral]:
    """Numbers in Chinese characters, in order.

    >>> [str(n.value) for n in find_chinese("三百四十二人，百分之三十，二〇二四年")]
    ['342', '30', '2024']
    """
    for match in _PATTERN.finditer(text):
        value = _value(match["whole"])
        if value is None:
            continue
        if match["part"]:
            value += Decimal("0." + "".join(str(_DIGITS[char]) for char in match["part"]))
        unit = unit_of(match["unit"]) if match["unit"] else None
        of = match["of"]
        if of == "百":
            unit = UNITS["%"]
        elif of:
            parts = _value(of)
            if not parts:
                continue
            value = value / parts
        if unit is not None and unit.measures == "calendar" and match["unit"] == "年" and value >= 1000:
            unit = None
        place, significant = stated(value)
        yield Numeral(
            start=match.start(),
            stop=match.end(),
            number_stop=match.start("unit") if match["unit"] else match.end(),
            value=-value if match["sign"] else value,
            place=place,
            significant=significant,
            script="zh",
            role=_role(text, match, unit),
            unit=unit,
            scaled=any(char in _ABOVE for char in match["whole"]),
        )


def _role(text: str, match: re.Match[str], unit: Unit | None) -> Role:
    whole = match["whole"]
    before = text[match.start() - 1 : match.start()] if match.start() else ""
    if (unit is not None and unit.measures == PERCENT) or match["of"] or match["part"]:
        return "cardinal"
    if before == "第":
        return "vague" if whole == "一" else "ordinal"
    loose = before in _LOOSE_BEFORE or text[match.end("whole") : match.end("whole") + 1] in _LOOSE_AFTER
    if loose and all(char in _WITHIN or char in _ABOVE for char in whole):
        return "vague"
    if whole in _IDIOMS and unit is None and (whole != "十" or text[match.end() : match.end() + 1] == "分"):
        return "vague"
    if whole == "两" and unit is None:
        return "cardinal" if text[match.end() : match.end() + 1] in _COUNTED_BY_TWO else "vague"
    if len(whole) == 1:
        counted = _COUNTED.match(text, match.end("whole")) is not None
        return "cardinal" if counted and whole not in "一零〇百千万亿萬億壹" else "vague"
    if len(whole) == 2 and all(char in _DIGITS for char in whole):
        return "vague"
    return "cardinal" if any(char in _DIGITS or char in "十拾廿卅" for char in whole) else "vague"


def _value(characters: str) -> Decimal | None:
    """Value of a run of numeral characters; None where it is no number.

    >>> _value("一万二"), _value("二〇二四"), _value("一亿三千万")
    (Decimal('12000'), Decimal('2024'), Decimal('130000000'))
    """
    characters = characters.replace("廿", "二十").replace("卅", "三十")
    if all(char in _DIGITS for char in characters):
        return Decimal("".join(str(_DIGITS[char]) for char in characters))
    total = section = digit = 0
    last_unit, seen = 1, False
    for char in characters:
        if char in _DIGITS:
            if digit and seen:
                return None
            digit, seen = _DIGITS[char], _DIGITS[char] != 0
            last_unit = 1 if digit == 0 else last_unit
        elif char in _WITHIN:
            section += (digit or (0 if section and not seen and _WITHIN[char] > 10 else 1)) * _WITHIN[char]
            digit, seen, last_unit = 0, False, _WITHIN[char]
        else:
            section = (section + digit) or (0 if total else 1)
            total = (total + section) * _ABOVE[char] if total < _ABOVE[char] else total + section * _ABOVE[char]
            section, digit, seen, last_unit = 0, 0, False, _ABOVE[char]
    trailing = digit * (last_unit // 10 if last_unit > 10 else 1)
    return Decimal(total + section + trailing)

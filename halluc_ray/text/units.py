"""Units of measure beside a number: what they measure and how they convert.

Knows spellings in English and Chinese and exact factors; does not know numbers. Called by the
readers of numerals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts.

    Attributes:
        measures: name of the quantity; units of one quantity convert into each other.
        factor: size in the quantity's base unit.
    """

    measures: str
    factor: Decimal


_TABLE: dict[str, dict[str, str]] = {
    PERCENT: {"1": "% ％ percent per-cent pct percentage-point percentage-points 个百分点"},
    "length": {
        "0.001": "mm millimetre millimetres millimeter millimeters 毫米",
        "0.01": "cm centimetre centimetres centimeter centimeters 厘米",
        "1": "metre metres meter meters 米",
        "1000": "km kilometre kilometres kilometer kilometers 公里 千米",
        "0.0254": "inch inches 英寸",
        "0.3048": "ft foot feet 英尺",
        "0.9144": "yard yards 码",
        "1609.344": "mile miles 英里",
    },
    "mass": {
        "0.001": "mg milligram milligrams 毫克",
        "1": "gram grams 克",
        "1000": "kg kilo kilos kilogram kilograms 公斤 千克",
        "500": "斤",
        "1000000": "tonne tonnes 吨",
        "453.59237": "lb lbs pound-weight",
    },
    "clock": {
        "1": "second seconds sec secs 秒 秒钟",
        "60": "minute minutes min mins 分钟",
        "3600": "hour hours hr hrs 小时 个小时",
        "86400": "day days 天",
        "604800": "week weeks 周 个星期 星期",
    },
    "calendar": {
        "1": "month months 个月",
        "12": "year years 年 岁 周年",
        "120": "decade decades",
        "1200": "century centuries 个世纪",
    },
    "dollars": {"1": "$ us$ usd dollar dollars 美元"},
    "pounds": {"1": "£ gbp 英镑"},
    "euros": {"1": "€ eur euro euros 欧元"},
    "yuan": {"1": "rmb cny yuan 元人民币 人民币 元"},
    "yen": {"1": "jpy yen 日元"},
    "volume": {"1": "litre litres liter liters 升", "0.001": "ml millilitre millilitres milliliter milliliters 毫升"},
    "temperature": {"1": "°c ℃ celsius degrees-celsius 摄氏度"},
    "area": {"10000": "hectare hectares 公顷", "1": "平方米", "1000000": "平方公里"},
}

UNITS: dict[str, Unit] = {
    spelling.replace("-", " "): Unit(measures, Decimal(factor))
    for measures, by_factor in _TABLE.items()
    for factor, spellings in by_factor.items()
    for spelling in spellings.split()
}

PREFIXES = r"(?:us|au|c|hk|a|nz)?\$|£|€|(?:usd|gbp|eur|rmb|cny|jpy)(?=\s?[0-9])"
"""Pattern of a currency before its number."""

_WORDS = sorted(
    (re.escape(u).replace(r"\ ", r"[\s-]") for u in UNITS if (u.isascii() and u.isalpha()) or " " in u),
    key=len,
    reverse=True,
)
_SIGNS = sorted((re.escape(u) for u in UNITS if not (u.isascii() and u[-1].isalpha())), key=len, reverse=True)
SUFFIXES = rf"(?:[\s-]?(?:{'|'.join(_WORDS)})(?![A-Za-z])|\s?(?:{'|'.join(_SIGNS)}))"
"""Pattern of a unit after its number, with what joins them."""


def unit_of(spelling: str) -> Unit | None:
    r"""The unit that a spelling names, behind any space or hyphen, or None.

    >>> unit_of("\u00a0km")
    Unit(measures='length', factor=Decimal('1000'))
    """
    plain = re.sub(r"[\s-]+", " ", spelling.lower()).strip()
    if plain.endswith("$"):
        plain = "$" if plain in ("us$", "$") else ""
    return UNITS.get(plain)

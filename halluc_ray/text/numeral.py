"""One number found in a text: its value, how exactly it was stated, what it counts, where it stands.

Knows no text; the readers of Arabic, English and Chinese numerals make these.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from halluc_ray.text.units import Unit

Script = Literal["digits", "en", "zh"]
Role = Literal["cardinal", "ordinal", "decade", "marker", "vague"]


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number in a text.

    Attributes:
        start, stop: characters of the text, unit included, currency sign included.
        number_stop: end of the number itself, where its unit begins.
        value: the number, magnitude words applied ("1.2 million" is 1200000), units not.
        place: weight of the last digit that was stated: 100000 for "1.2 million", 1 for "308", 100
            for "300" (trailing zeros of a plain integer are taken as not stated).
        significant: digits stated, leading zeros aside.
        script: which reader found it.
        role: `cardinal`; `ordinal` ("third", "11th"); `decade` ("1990s"); `marker`: no quantity in
            itself (a list marker, a digit in a name such as "A320"); `vague`: a word that is
            mostly idiom ("one of them", "first", Chinese 一 in 一起).
        unit: what it counts, where the text says so in a unit we know.
        scaled: stated with a magnitude word, so that its integer zeros are exact.
    """

    start: int
    stop: int
    number_stop: int
    value: Decimal
    place: Decimal
    significant: int
    script: Script
    role: Role = "cardinal"
    unit: Unit | None = None
    scaled: bool = False

    @property
    def amount(self) -> Decimal:
        """The value in the base unit of what it measures."""
        return self.value if self.unit is None else self.value * self.unit.factor


def stated(mantissa: Decimal, *, scale: Decimal = Decimal(1)) -> tuple[Decimal, int]:
    """Place and significant digits of a mantissa as written, under a magnitude.

    >>> stated(Decimal("1.2"), scale=Decimal(10) ** 6), stated(Decimal(300))
    ((Decimal('100000.0'), 2), (Decimal('1E+2'), 1))
    """
    exponent = int(mantissa.as_tuple().exponent)
    digits = "".join(map(str, mantissa.as_tuple().digits)).lstrip("0")
    if exponent == 0 and scale == 1:
        kept = digits.rstrip("0")
        exponent, digits = len(digits) - len(kept), kept
    return Decimal((0, (1,), exponent)) * scale, max(1, len(digits))

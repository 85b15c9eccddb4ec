"""Which of the two supported writing systems a text is in, told by its characters alone.

Knows Unicode blocks; does not know languages (Japanese kanji count as Han). Called by
normalisation and by the indicators that compare texts.
"""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "zh"]

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")


def has_han(text: str) -> bool:
    """Whether the text holds a Han character.

    >>> has_han("巴黎 is Paris"), has_han("Paris")
    (True, False)
    """
    return not text.isascii() and _HAN.search(text) is not None


def language_of(*texts: str) -> Language:
    """`zh` where any of the texts holds a Han character, else `en`."""
    return "zh" if any(has_han(text) for text in texts) else "en"

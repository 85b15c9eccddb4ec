"""Lower case as patterns see it that ignore case: four letters beyond ASCII match `i`, `k` and `s` there.

Called by readers that look up what such a pattern found.
"""

from __future__ import annotations

_PLAIN = str.maketrans({"ı": "i", "İ": "i", "\N{KELVIN SIGN}": "k", "ſ": "s"})


def lowered(text: str) -> str:
    """Lower case, of as many characters.

    >>> lowered("5 MİLLİON"), lowered("thouſand")
    ('5 million', 'thousand')
    """
    return text.translate(_PLAIN).lower()

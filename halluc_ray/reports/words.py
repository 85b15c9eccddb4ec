"""The page's own words, English and Chinese: one list for the template and for the page's script.

Knows which words there are; does not know where they stand. Texts of samples, names and warnings keep
their own language. Callers: `render`, `templating`.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files

from markupsafe import Markup

Words = dict[str, tuple[str, str]]


@cache
def page_words() -> Words:
    """Key -> (English, Chinese); `{name}` is filled in."""
    text = files("halluc_ray.reports").joinpath("templates", "words.json").read_text(encoding="utf-8")
    return {key: (english, chinese) for key, (english, chinese) in json.loads(text).items()}


def phrase(key: str, **values: object) -> dict[str, object]:
    """Words as a value of other words: `word("sentence", share=phrase("nearly_all"))`."""
    return {"t": key, "a": values}


def word(key: str, **values: object) -> str:
    """The English words, filled in."""
    filled = {
        name: word(value["t"], **value["a"]) if isinstance(value, dict) else value for name, value in values.items()
    }
    return page_words()[key][0].format_map(filled)


def translated(key: str, **values: object) -> Markup:
    """The English words in an element that the page's script can put into another language.

    >>> str(translated("rate"))
    '<span data-t="rate">Rate</span>'
    """
    return Markup('<span data-t="{}"{}>{}</span>').format(key, _arguments(values), word(key, **values))


def translated_label(key: str, **values: object) -> Markup:
    """The attributes that name an element to a screen reader, likewise."""
    return Markup('aria-label="{}" data-t-label="{}"{}').format(word(key, **values), key, _arguments(values))


def _arguments(values: dict[str, object]) -> Markup:
    if not values:
        return Markup()
    return Markup(' data-args="{}"').format(json.dumps(values, ensure_ascii=False, separators=(",", ":")))


def recognised(sentence: str) -> Markup:
    """A caveat of the report in an element that can be put into another language; any other text as it is."""
    for key, pattern in _caveats():
        found = pattern.fullmatch(sentence)
        if found:
            return translated(key, **{name: _as_phrase(text) for name, text in found.groupdict().items()})
    return Markup("{}").format(sentence)


def _as_phrase(text: str) -> object:
    for key in ("caveat_one_system", "caveat_some_systems"):
        found = _pattern(key).fullmatch(text)
        if found:
            return phrase(key, **found.groupdict())
    return text


@cache
def _caveats() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((key, _pattern(key)) for key in page_words() if key.startswith("caveat_"))


@cache
def _pattern(key: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", page_words()[key][0])
    parts = (f"(?P<{piece}>.+)" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces))
    return re.compile("".join(parts), re.DOTALL)


def json_text(value: object) -> Markup:
    """JSON that can stand in a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704

"""The packaged templates, with escaping always on.

Knows Jinja2 and how numbers are written; does not know what a page says. Callers: `report`, `render`.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from halluc_ray.reports.words import phrase, recognised, translated, translated_label, word


def render_template(name: str, **values: object) -> str:
    """A template with the values filled in; every value is escaped."""
    return _environment().get_template(name).render(**values)


def percent(share: float | None, digits: int = 1) -> str:
    """A share as percent; an en dash where there is none.

    >>> percent(0.1954).split(), percent(None)
    (['19.5', '%'], '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def grouped(number: int) -> str:
    """Thousands set apart.

    >>> grouped(1234567) == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"
    True
    """
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores and slashes, escaped.

    >>> str(breakable("unsupported_number<"))
    'unsupported_<wbr>number&lt;'
    """
    return escape(name).replace("_", Markup("_<wbr>")).replace("/", Markup("/<wbr>"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("halluc_ray.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "grouped": grouped, "breakable": breakable}
    environment.globals |= {
        "t": translated,
        "label": translated_label,
        "word": word,
        "phrase": phrase,
        "recognised": recognised,
    }
    return environment

"""Scripts and styles of the pages, and the Content-Security-Policy that lets these run and nothing else.

Knows the packaged files and how a browser hashes what stands inline; does not know what they do.
Callers: `render`, `comparison_page`, the site.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markupsafe import Markup

_LIBRARIES = ("d3.min.js", "plot.umd.min.js")
_SHARED = ("language.js", "theme.js", "controls.js")
_REPORT = (*_SHARED, "payload.js", "choice.js", "answers.js", "samples.js", "lettering.js", "charts.js", "page.js")
_COMPARISON = (*_SHARED, "comparison.js")
_SUITE = (*_SHARED, "lettering.js", "past.js", "trend.js", "heat.js", "nights.js", "suite.js")
# The one style element that Observable Plot 0.6.17 puts into each of its charts.
_PLOT_STYLE = """:where(.plot-d6a7b5) {
  --plot-background: white;
  display: block;
  height: auto;
  height: intrinsic;
  max-width: 100%;
}
:where(.plot-d6a7b5 text),
:where(.plot-d6a7b5 tspan) {
  white-space: pre;
}"""


@dataclass(frozen=True, slots=True)
class Assets:
    """What is inlined: texts that are part of the package, never data.

    Attributes:
        style: the style sheet.
        scripts: in the order in which they run.
        policy: the page's Content-Security-Policy.
    """

    style: Markup
    scripts: tuple[Markup, ...]
    policy: str


@cache
def page_assets() -> Assets:
    """What a report's page needs, with the hashes that its policy names."""
    return _assets(_LIBRARIES, _REPORT, styles=(_PLOT_STYLE,))


@cache
def comparison_assets() -> Assets:
    """What a comparison's page needs, likewise; it draws no charts."""
    return _assets((), _COMPARISON, styles=(), sheets=("report.css", "suite.css"))


@cache
def suite_assets() -> Assets:
    """What the page of a suite needs."""
    return _assets(_LIBRARIES, _SUITE, styles=(_PLOT_STYLE,), sheets=("report.css", "suite.css"))


@cache
def suites_assets() -> Assets:
    """What the list of suites needs."""
    return _assets((), _COMPARISON, styles=(), sheets=("report.css", "suite.css"))


def _assets(
    libraries: tuple[str, ...],
    names: tuple[str, ...],
    *,
    styles: tuple[str, ...],
    sheets: tuple[str, ...] = ("report.css",),
) -> Assets:
    style = "".join(_text("templates", name) for name in sheets)
    scripts = [*(_text("vendor", name) for name in libraries), *(_text("templates", name) for name in names)]
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, (style, *styles)))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return Assets(Markup(style), tuple(map(Markup, scripts)), policy)  # noqa: S704


def _text(folder: str, name: str) -> str:
    return files("halluc_ray.reports").joinpath(folder, name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

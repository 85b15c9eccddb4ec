"""The page of a comparison: one HTML file that needs no network, and no script to show its numbers.

Knows what goes where and how much a page can hold; the numbers are the comparison's, the words the
template's. Callers: the command line, the site.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from halluc_ray.reports.assets import comparison_assets
from halluc_ray.reports.comparison import Answer, Comparison, Crossing, Difference, Flip
from halluc_ray.reports.site_place import NightNotes
from halluc_ray.reports.templating import render_template
from halluc_ray.reports.views import cell_text
from halluc_ray.reports.words import json_text, page_words

_MOST_ROWS = 200
_MOST_CELLS = 100
_MOST_CROSSED = 40
_MOST_FLIPS = 120
_TEXT_CHARS = 1200
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class SignedAxis:
    """A linear axis from -reach to reach, shares."""

    reach: float

    @property
    def ticks(self) -> tuple[float, ...]:
        """Both ends, the middle, and half way."""
        return (-self.reach, -self.reach / 2, 0.0, self.reach / 2, self.reach)

    def at(self, share: float) -> str:
        """Position of a share, in percent of the axis, as an SVG length."""
        return f"{50 + 50 * max(-1.0, min(1.0, share / self.reach)):.3f}%"


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer as the page shows it: `before` + `marked` + `after`."""

    system: str
    answer: Answer
    before: str
    marked: str
    after: str


@dataclass(frozen=True, slots=True)
class ShownFlip:
    """A flip with its texts cut to what a page can hold."""

    flip: Flip
    prompt: str | None
    context: str | None
    reference: str | None
    answers: tuple[ShownAnswer, ShownAnswer]


@dataclass(frozen=True, slots=True)
class FlipGroup:
    """Flips of two systems under one indicator; `worse` and `better` count all of them."""

    whole: Difference
    flips: tuple[ShownFlip, ...]


def render_comparison(found: Comparison, *, night: NightNotes | None = None) -> str:
    """The page; what it has no room for is in comparison.json.

    Args:
        found: the comparison.
        night: the night that it is about, where it is a page of a site.
    """
    overall, cells = list(found.overall()), list(found.cells())
    flips = list(_fair(found.flips))
    return render_template(
        "comparison.html.jinja",
        assets=comparison_assets(),
        found=found,
        night=night,
        heading=_heading(found),
        overall=overall[:_MOST_ROWS],
        cells=cells[:_MOST_CELLS],
        hidden=len(overall[_MOST_ROWS:]) + len(cells[_MOST_CELLS:]),
        several=len(found.pairings) > 1,
        axis=_axis(overall[:_MOST_ROWS]),
        cells_axis=_axis(cells[:_MOST_CELLS]),
        groups=[group for whole in overall if (group := _group(whole, flips)).flips],
        crossed=[(pairing, crossing) for pairing in found.pairings for crossing in _largest(pairing.crossed)],
        confidence=f"{100 * found.confidence:g}\N{NO-BREAK SPACE}%",
        cell=cell_text,
        points=_points,
        tick_text=_tick,
        p=_p,
        page_data=json_text(
            {"run": f"{found.run_a} {found.run_b}", "words": page_words() | {"title": page_words()["compare_title"]}}
        ),
    )


def _heading(found: Comparison) -> tuple[str, str]:
    if len(found.pairings) == 1:
        names = found.pairings[0].system_a, found.pairings[0].system_b
        if names[0] != names[1]:
            return names
    return found.run_a, found.run_b


def _axis(rows: Sequence[Difference]) -> SignedAxis:
    most = max((max(-row.low, row.high) for row in rows if row.low is not None and row.high is not None), default=1.0)
    return SignedAxis(next((step for step in _STEPS if most <= step), 1.0))


def _fair(flips: Sequence[Flip]) -> Iterator[Flip]:
    """Flips in turns over systems, indicators and directions, until there are enough."""
    groups: dict[tuple[str, ...], list[Flip]] = {}
    for flip in flips:
        groups.setdefault((flip.system_a, flip.system_b, flip.indicator, flip.direction), []).append(flip)
    turns = zip_longest(*groups.values())
    return islice((flip for turn in turns for flip in turn if flip is not None), _MOST_FLIPS)


def _group(whole: Difference, flips: Sequence[Flip]) -> FlipGroup:
    mine = [
        flip
        for flip in flips
        if (flip.system_a, flip.system_b, flip.indicator) == (whole.system_a, whole.system_b, whole.indicator)
    ]
    mine.sort(key=lambda flip: flip.direction != "worse")
    return FlipGroup(whole, tuple(map(_shown, mine)))


def _shown(flip: Flip) -> ShownFlip:
    answers = (_answer(flip.system_a, flip.a), _answer(flip.system_b, flip.b))
    return ShownFlip(flip, _cut(flip.prompt), _cut(flip.context), _cut(flip.reference), answers)


def _answer(system: str, answer: Answer) -> ShownAnswer:
    text = _cut(answer.response) or ""
    start, stop = answer.span_start, answer.span_stop
    if start is None or stop is None or not 0 <= start < stop <= len(text):
        return ShownAnswer(system, answer, text, "", "")
    return ShownAnswer(system, answer, text[:start], text[start:stop], text[stop:])


def _largest(crossed: Sequence[Crossing]) -> list[Crossing]:
    return sorted(crossed, key=lambda entry: -entry.units)[:_MOST_CROSSED]


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT_CHARS else text[:_TEXT_CHARS] + "…"


def _points(share: float | None) -> str:
    """A difference of shares with its sign; a true minus."""
    return "–" if share is None else f"{100 * share:+.2f}".replace("-", "\N{MINUS SIGN}")


def _tick(share: float) -> str:
    """Where an axis is marked, in percentage points."""
    return f"{100 * share:+g}".replace("-", "\N{MINUS SIGN}") if share else "0"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"

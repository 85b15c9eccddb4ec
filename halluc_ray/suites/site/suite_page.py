"""The page of a suite: tonight at a glance, the trend, heat maps, the worst slices, every night.

Knows what goes where and how much there is room for; the numbers are those of nights and reports, the words
and the drawing the template's. Called by `rendering`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from halluc_ray.reports.assets import suite_assets
from halluc_ray.reports.publishing import Rule
from halluc_ray.reports.site_place import SitePlace
from halluc_ray.reports.templating import render_template
from halluc_ray.reports.views import cell_text
from halluc_ray.reports.words import json_text, page_words
from halluc_ray.storage import ObjectStore
from halluc_ray.suites.nights import Night, NightRate
from halluc_ray.suites.order import verdict_of, worst_verdict
from halluc_ray.suites.site.heat import (
    LEVELS,
    SHIFTS,
    WorstSlice,
    heat_maps,
    scale_of,
    worst_by_increase,
    worst_by_rate,
)
from halluc_ray.suites.site.latest import LatestNight, latest_nights
from halluc_ray.suites.site.marks import mark_of
from halluc_ray.suites.site.trend import missed_of, recent, trend_of

_SHOWN_RATES = 6
_SHOWN_MISSED = 10
_REASON_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class NightLine:
    """A night as the page lists it.

    Attributes:
        systems: positions of its systems among the page's, with spaces between.
        run, changes: addresses of its pages; empty where none stands.
    """

    night: Night
    verdict: str
    reason: str
    highest: NightRate | None
    systems: str
    run: str
    changes: str


@dataclass(frozen=True, slots=True)
class SpecCard:
    """The state of one spec.

    Attributes:
        is_tonight: its last night is the suite's.
        worst: the slice that rose most surely since the baseline; else the one whose rate is surely the highest.
        rates: the highest, each with its change since the baseline; `hidden` more are in the table.
    """

    line: NightLine
    is_tonight: bool
    rates: tuple[tuple[NightRate, float | None], ...]
    hidden: int
    missed: tuple[str, ...]
    worst: WorstSlice | None


def suite_page(
    store: ObjectStore,
    suite: str,
    *,
    nights: Sequence[Night],
    releases: Mapping[str, str],
    standing: frozenset[str],
    rule: Rule,
    specs: Sequence[str],
) -> bytes:
    """The page.

    Args:
        store: where the reports of the last nights lie.
        suite: its name.
        nights: all that are recorded.
        releases: name -> date.
        standing: names of the pages of this suite's site that stand.
        rule: of publishing, for the mark.
        specs: those that the suite has now; of others, which had nights once, the state is no news.

    Raises:
        StoreError: a report can't be read.
    """
    latest = latest_nights(store, nights)
    shown = recent(nights)
    tonight = max((night.date for night in nights), default="")
    told = [one for one in latest if one.night.spec in specs] or latest
    cards = [_card(one, nights, standing, tonight) for one in told]
    words = page_words()
    trend = trend_of(shown, latest=latest, releases=releases)
    page = render_template(
        "suite.html.jinja",
        assets=suite_assets(),
        place=SitePlace("", "../index.html", mark_of(rule, "suite", suite), rule),
        suite=suite,
        tonight=tonight,
        verdict=worst_verdict([card.line.verdict for card in cards if card.is_tonight]),
        cards=cards,
        page_data=json_text({"run": suite, "words": words | {"title": words["suite_title"]}, "trend": trend}),
        **_maps(latest),
        **_lines(nights, shown, standing),
    )
    return page.encode()


def _maps(latest: Sequence[LatestNight]) -> dict[str, object]:
    """What the page tells of the slices of the last nights."""
    scale = scale_of(latest)
    return {
        "several_specs": len(latest) > 1,
        "specs": [one.night.spec for one in latest],
        "maps": heat_maps(latest, scale),
        "scale": scale,
        "levels": LEVELS,
        "shifts": SHIFTS,
        "by_rate": worst_by_rate(latest),
        "by_increase": worst_by_increase(latest),
        "held": any(one.before for one in latest),
        "cell": cell_text,
        "points": _points,
    }


def _lines(nights: Sequence[Night], shown: Sequence[Night], standing: frozenset[str]) -> dict[str, object]:
    """What the page tells of every night, the last first."""
    systems = {name: at for at, name in enumerate(sorted({rate.system for night in shown for rate in night.rates}))}
    return {
        "systems": list(systems),
        "lines": [_line(night, standing, systems) for night in reversed(shown)],
        "earlier": len(nights) - len(shown),
    }


def _card(one: LatestNight, nights: Sequence[Night], standing: frozenset[str], tonight: str) -> SpecCard:
    ranked = sorted(one.night.rates, key=lambda rate: -(rate.rate if rate.rate is not None else -1.0))
    missed = missed_of([night for night in nights if night.spec == one.night.spec])
    return SpecCard(
        line=_line(one.night, standing, {}),
        is_tonight=one.night.date == tonight,
        rates=tuple((rate, one.change_over_all(rate)) for rate in ranked[:_SHOWN_RATES]),
        hidden=len(ranked[_SHOWN_RATES:]),
        missed=tuple(missed[-_SHOWN_MISSED:]),
        worst=next(iter([*worst_by_increase([one]), *worst_by_rate([one])]), None),
    )


def _line(night: Night, standing: frozenset[str], systems: Mapping[str, int]) -> NightLine:
    names = dict.fromkeys(rate.system for rate in night.rates if rate.system in systems)
    rated = [rate for rate in night.rates if rate.rate is not None]
    reason = night.gate.reason if night.gate else ""
    return NightLine(
        night=night,
        verdict=verdict_of(night),
        reason=reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS]}…",
        highest=max(rated, key=lambda rate: rate.rate or 0.0, default=None),
        systems=" ".join(str(systems[name]) for name in names),
        run=_address(f"runs/{night.run_id}.html", standing),
        changes=_address(f"nights/{night.name}.html", standing),
    )


def _address(name: str, standing: frozenset[str]) -> str:
    return quote(name) if name in standing else ""


def _points(change: float | None, digits: int = 1) -> str:
    """A difference in percentage points, with a true sign; none where it rounds to nothing."""
    if change is None:
        return "–"
    text = f"{100 * change:+.{digits}f}"
    return "0" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")

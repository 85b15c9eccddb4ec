"""What a page of a site tells beside its own matter: where it stands, and the night that it belongs to.

Plain values; made by the site, read by the templates of pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halluc_ray.reports.publishing import Rule


@dataclass(frozen=True, slots=True)
class SitePlace:
    """The way back from a page.

    Attributes:
        suite: its name; empty on the suite's own page.
        home: relative address of the suite's page, or from there of the list of suites.
        mark: tells which inputs and which rule of publishing the page was made with.
        rule: what of the texts is on the page.
    """

    suite: str
    home: str
    mark: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check of a gate; shares as in gate.json."""

    verdict: str
    limit: str
    indicator: str
    system: str
    slice: Mapping[str, Any]
    rows: int
    value: float | None
    low: float | None
    high: float | None
    allowed: float
    detectable: float | None


@dataclass(frozen=True, slots=True)
class NightNotes:
    """The night that a comparison with its baseline is about.

    Attributes:
        verdict, reason: of the gate; empty without one.
        found_by: what led to the baseline.
        run, baseline: relative addresses of the runs' pages.
        checks: those that decide first; `hidden` more are in gate.json.
    """

    place: SitePlace
    spec: str
    date: str
    verdict: str
    reason: str
    found_by: str
    run: str
    baseline: str
    checks: tuple[CheckLine, ...]
    hidden: int

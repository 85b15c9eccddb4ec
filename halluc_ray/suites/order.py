"""Which of several nights comes last, and which verdict is worst. Pure; called by the history and the site's pages."""

from __future__ import annotations

from collections.abc import Iterable

from halluc_ray.suites.nights import Night
from halluc_ray.suites.verdicts import WORST_FIRST

VERDICTS = ("", *reversed(WORST_FIRST))
"""The worst last; empty: there is no gate."""


def verdict_of(night: Night) -> str:
    """The gate's word on a night; empty without one."""
    return str(night.gate.verdict) if night.gate else ""


def by_date_and_verdict(night: Night) -> tuple[str, int, str]:
    """Orders nights so that, of those of one date, none that failed hides behind another."""
    return night.date, VERDICTS.index(verdict_of(night)), night.run_id


def last_of_specs(nights: Iterable[Night]) -> dict[str, Night]:
    """The last night of each spec of one suite, and of several on one date the one with the worst verdict."""
    return {night.spec: night for night in sorted(nights, key=by_date_and_verdict)}


def worst_verdict(verdicts: list[str]) -> str:
    """The worst of some verdicts; empty where there is none."""
    return max(verdicts, key=VERDICTS.index, default="")

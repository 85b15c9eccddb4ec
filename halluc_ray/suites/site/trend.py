"""The history of a suite in columns, as its page draws it: rates with intervals, verdicts, missed nights.

Knows records of nights; shares are numbers of hundred-thousandths, -1 where there is none. Called by `suite_page`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halluc_ray.suites.nights import Night, NightRate
from halluc_ray.suites.order import VERDICTS, by_date_and_verdict, verdict_of
from halluc_ray.suites.site.latest import LatestNight

_UNIT = 100_000
_MOST_RATES = 40_000
_MOST_NIGHTS = 1_500
_NO_RATE = (-1, -1, 0, 0, 0)


def recent(nights: Sequence[Night]) -> list[Night]:
    """The nights of the latest dates that a page has room for, by date; all of a date or none."""
    kept: list[Night] = []
    rates = 0
    for night in sorted(nights, key=by_date_and_verdict, reverse=True):
        rates += len(night.rates)
        is_full = len(kept) >= _MOST_NIGHTS or rates > _MOST_RATES
        if kept and is_full and night.date != kept[-1].date:
            break
        kept.append(night)
    return kept[::-1]


def trend_of(nights: Sequence[Night], *, latest: Sequence[LatestNight], releases: Mapping[str, str]) -> dict[str, Any]:
    """What the page's script draws.

    Args:
        nights: by date and verdict.
        latest: the last night of each spec.
        releases: name -> date.
    """
    return {
        "unit": _UNIT,
        "verdicts": [str(verdict) for verdict in VERDICTS],
        "specs": [_spec(one, [night for night in nights if night.spec == one.night.spec], nights) for one in latest],
        "releases": [[date, name] for name, date in sorted(releases.items(), key=lambda entry: entry[1])],
    }


def missed_of(nights: Sequence[Night]) -> list[str]:
    """Dates that the records of one spec tell as missed, and that have no night up to now."""
    there = {night.date for night in nights}
    return sorted({date for night in nights for date in night.missed} - there)


def _spec(one: LatestNight, nights: Sequence[Night], everything: Sequence[Night]) -> dict[str, Any]:
    """Columns over the nights of one spec."""
    tables = [{(rate.system, rate.indicator): rate for rate in night.rates} for night in nights]
    names = dict.fromkeys(name for table in reversed(tables) for name in table)
    return {
        "name": one.night.spec,
        "dates": [night.date for night in nights],
        "verdicts": [VERDICTS.index(verdict_of(night)) for night in nights],
        "missed": missed_of(nights),
        "baseline": _baseline(one, everything),
        "series": [_series(name, tables, one) for name in sorted(names)],
    }


def _baseline(one: LatestNight, everything: Sequence[Night]) -> dict[str, Any] | None:
    """What the last night was held against: in words, and its date where it is a night."""
    if one.night.baseline is None:
        return None
    run_id = one.night.baseline.run_id
    dates = [night.date for night in everything if night.run_id == run_id and night.date < one.night.date]
    return {"by": one.night.baseline.found_by, "date": max(dates, default=None)}


def _series(name: tuple[str, str], tables: Sequence[Mapping[tuple[str, str], NightRate]], one: LatestNight) -> Any:
    system, indicator = name
    rows = [_numbers(table.get(name)) for table in tables]
    low, high, hallucinated, defined, total = (list(column) for column in zip(*rows, strict=True))
    before = one.before_over_all(system, indicator)
    return {
        "system": system,
        "indicator": indicator,
        "low": low,
        "high": high,
        "hallucinated": hallucinated,
        "defined": defined,
        "rows": total,
        "baseline": -1 if before is None or before.rate is None else round(before.rate * _UNIT),
    }


def _numbers(rate: NightRate | None) -> tuple[int, int, int, int, int]:
    """Ends of the interval, hallucinated, defined, rows."""
    if rate is None:
        return _NO_RATE
    ends = (-1, -1) if rate.low is None or rate.high is None else (round(rate.low * _UNIT), round(rate.high * _UNIT))
    return (*ends, rate.hallucinated, rate.hallucinated + rate.supported, rate.rows)

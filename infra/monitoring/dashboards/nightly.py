"""The dashboard of a suite's nights: verdicts, trend with intervals, what it costs, whether nights come.

Reads what `halluc-ray exporter` shows. Called by the script of the dashboards.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models import units

from infra.monitoring.dashboards.frame import begin, choice
from infra.monitoring.dashboards.panels import VERDICT, Look, Query, band, lines, listing, number, states

_NIGHT = 'suite="$suite", spec=~"$spec"'
_SYSTEMS = f'{_NIGHT}, system=~"$system"'
_RATE = f'{_SYSTEMS}, indicator="$indicator"'
_INTERVAL = (("hallucination_rate", "Rate"), ("hallucination_rate_low", "Low"), ("hallucination_rate_high", "High"))
_PAIR = "{{spec}} · {{system}}"
_SMALL = 4
_DAY = 86_400


def nightly_dashboard(*, runbook: str) -> Dashboard:
    """The dashboard.

    Args:
        runbook: address of the published docs/operations.md.
    """
    about = (
        "The nights of a suite, from the store: verdicts, rates with intervals, cost. The site has samples and slices."
    )
    board = begin("halluc-ray-nightly", "halluc_ray / nightly", about, since="now-30d", refresh="5m", runbook=runbook)
    suites = "label_values(halluc_ray_night_info, suite)"
    board = board.with_variable(choice("suite", "The suite", values=suites, many=False))
    specs = 'label_values(halluc_ray_night_info{suite="$suite"}, spec)'
    board = board.with_variable(choice("spec", "Specs of the suite", values=specs, many=True))
    systems = f"label_values(halluc_ray_night_units{{{_NIGHT}}}, system)"
    board = board.with_variable(choice("system", "Systems of these specs", values=systems, many=True))
    indicators = f"label_values(halluc_ray_night_units{{{_NIGHT}}}, indicator)"
    board = board.with_variable(choice("indicator", "One indicator", values=indicators, many=False))
    _tonight(board.with_row(Row("The latest night")))
    _trend(board.with_row(Row("Trend")))
    _bands(board.with_row(Row("Intervals of $spec").repeat("spec")))
    _cost(board.with_row(Row("Cost")))
    _exporter(board.with_row(Row("Finished runs and the exporter")))
    return board


def _of(name: str, where: str = _NIGHT) -> str:
    return f"halluc_ray_night_{name}{{{where}}}"


def _tonight(board: Dashboard) -> None:
    verdict = VERDICT.format(by="spec", metric="halluc_ray_night_gate", where=_NIGHT)
    wide = Look(width=2 * _SMALL, height=5, alert="NightGateFailed")
    text = "Verdict of the latest night's gate; gate.md beside its record names check and slice"
    board.with_panel(number("Gate", text, Query(verdict, "{{spec}}"), look=wide, verdicts=True))
    age = Query(f"time() - max by (spec) ({_of('scheduled_timestamp_seconds')})", "{{spec}}")
    small = Look(units.DurationSeconds, _SMALL, 5, red_from=2 * _DAY, orange_from=1.5 * _DAY, alert="NightMissing")
    text = "Since midnight UTC of the latest date that has a record"
    board.with_panel(number("Last success", text, age, look=small))
    passed = Query(f"time() - max by (spec) ({_of('last_pass_timestamp_seconds')})", "{{spec}}")
    small = Look(units.DurationSeconds, _SMALL, 5, red_from=7 * _DAY, orange_from=2 * _DAY, alert="NightGateFailed")
    board.with_panel(number("Last PASS", "Since the date of the last night that passed", passed, look=small))
    missed = Query(f"max by (spec) ({_of('missed')})", "{{spec}}")
    small = Look(units.Short, _SMALL, 5, red_from=1, alert="NightMissing")
    text = "Nights expected since the latest, by the suite's schedule, that have no record"
    board.with_panel(number("Missed", text, missed, look=small))
    failed = Query(f"max by (spec) ({_of('failed_share')})", "{{spec}}")
    small = Look(units.PercentUnit, _SMALL, 5, red_from=0.01, decimals=2, alert="NightFailedRows")
    board.with_panel(number("Failed", "Failed over all units of the latest night", failed, look=small))
    by = "spec, system, indicator"
    columns = (*_INTERVAL, ("answered_share", "Answered"))
    queries = [Query(f"max by ({by}) ({_of(name, _SYSTEMS)})", title) for name, title in columns]
    rows = Query(f"sum by ({by}) (max by ({by}, outcome) ({_of('units', _SYSTEMS)}))", "Units")
    shares = [title for _, title in columns]
    text = "Rates of the latest night with their intervals, for all indicators: the numbers of its report"
    board.with_panel(listing("Rates", text, *queries, rows, look=Look(width=14), shares=shares))
    by = "spec, system, indicator, limit, slice, verdict"
    failing = f'{_NIGHT}, verdict!="PASS"'
    checks = Query(f"max by ({by}) ({_of('check', failing)} == 1)")
    text = "Checks of the latest gate that did not pass, the worst 50 at most"
    board.with_panel(listing("Checks that did not pass", text, checks, look=Look(width=10, alert="NightGateFailed")))


def _trend(board: Dashboard) -> None:
    rate = Query(f"max by (spec, system) ({_of('hallucination_rate', _RATE)})", _PAIR)
    text = "Hallucination rate of the indicator, night by night"
    board.with_panel(lines("Rate", text, rate, look=Look(units.PercentUnit, 12, 9), steps=True))
    answered = Query(f"max by (spec, system) ({_of('answered_share', _RATE)})", _PAIR)
    text = "Units neither abstained nor failed. A falling rate with a falling share may be silence"
    look = Look(units.PercentUnit, 12, 9)
    board.with_panel(lines("Answered share", text, answered, look=look, steps=True, share=True))
    verdict = VERDICT.format(by="spec", metric="halluc_ray_night_gate", where=_NIGHT)
    text = "Verdicts of the gate, night by night"
    board.with_panel(
        states("Gate by night", text, Query(verdict, "{{spec}}"), look=Look(width=12, alert="NightGateFailed"))
    )
    by = "spec, system, indicator, limit, slice"
    check = VERDICT.format(by=by, metric="halluc_ray_night_check", where=_SYSTEMS)
    name = "{{spec}} · {{system}} · {{indicator}} · {{limit}} {{slice}}"
    text = "Checks while they did not pass; a gap is a night on which the check passed"
    board.with_panel(states("Failing checks by night", text, Query(f"{check} > 0", name), look=Look(width=12)))
    counts = Query(f"sum by (verdict) (max by (spec, verdict) ({_of('checks')}))", "{{verdict}}")
    text = "Checks of the gate by verdict"
    board.with_panel(lines("Checks", text, counts, look=Look(), stacked=True, steps=True))
    failed = Query(f"max by (spec) ({_of('failed_share')})", "{{spec}}")
    look = Look(units.PercentUnit, red_from=0.01, alert="NightFailedRows")
    board.with_panel(lines("Failed share", "Failed over all units", failed, look=look, steps=True))
    outcomes = Query(f"sum by (outcome) (max by (spec, system, outcome) ({_of('units', _RATE)}))", "{{outcome}}")
    text = "Units of the indicator by outcome; the six add up to the rows"
    look = Look(units.PercentUnit)
    board.with_panel(lines("Outcomes", text, outcomes, look=look, stacked=True, share=True, steps=True))


def _bands(board: Dashboard) -> None:
    rate, low, high = (f"max({_of(f'hallucination_rate{end}', _RATE)})" for end in ("", "_low", "_high"))
    text = "The rate and its interval: nights whose bands overlap widely say little about each other"
    panel = band("$system", text, rate=rate, low=low, high=high, look=Look(units.PercentUnit, 8))
    board.with_panel(panel.repeat("system").repeat_direction("h").max_per_row(3))


def _cost(board: Dashboard) -> None:
    held = Query(f"max by (spec, device) ({_of('device_seconds')})", "{{spec}} · {{device}}")
    text = "Seconds that devices were held for the night's run, over all its commands"
    board.with_panel(lines("Device-seconds", text, held, look=Look(units.Seconds, 12), steps=True))
    money = Query(f"max by (spec) ({_of('cost')})", "{{spec}}")
    text = "Money by the suite's prices and endpoints' own, in their currency; absent where no price is known"
    board.with_panel(lines("Money", text, money, look=Look(width=12, decimals=2), steps=True))


def _exporter(board: Dashboard) -> None:
    by = "run_id, system, indicator"
    where = 'system=~"$system", indicator="$indicator"'
    queries = [Query(f"max by ({by}) (halluc_ray_run_{name}{{{where}}})", title) for name, title in _INTERVAL]
    text = "The last finished runs of the store, nights among them"
    shares = [title for _, title in _INTERVAL]
    board.with_panel(listing("Finished runs", text, *queries, look=Look(width=12), shares=shares))
    read = Query("time() - max(halluc_ray_exporter_read_timestamp_seconds)")
    look = Look(units.DurationSeconds, _SMALL, 8, red_from=26 * 3600, orange_from=3600, alert="HistoryUnreadable")
    board.with_panel(number("Store was read", "Since the exporter last listed its store in full", read, look=look))
    unreadable = Query("sum by (part) (max by (instance, part) (halluc_ray_exporter_unreadable))", "{{part}}")
    look = Look(units.Short, _SMALL, 8, red_from=1, alert="HistoryUnreadable")
    board.with_panel(number("Unreadable", "Objects that the last reading could not read", unreadable, look=look))
    left_out = Query("sum by (what) (max by (instance, what) (halluc_ray_exporter_left_out))", "{{what}}")
    text = "Things without a series because there are too many"
    look = Look(units.Short, _SMALL, 8, orange_from=1)
    board.with_panel(number("Left out", text, left_out, look=look))

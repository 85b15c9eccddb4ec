"""Nights and runs of a store as Prometheus series.

Knows what is shown of a history, and how much of it at most; reads through `history`, writes nothing to
the store. A scrape answers at once with the last reading. Called by the command line.
"""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from halluc_ray.errors import StoreError
from halluc_ray.records.metrics import OF_A_STORE
from halluc_ray.reports.report import Rate
from halluc_ray.storage import ObjectStore
from halluc_ray.suites.costs import cost_of
from halluc_ray.suites.history import History, HistoryReader, KeptReport, Noted
from halluc_ray.suites.nights import Night, NightRate, missed_dates
from halluc_ray.suites.series import Series
from halluc_ray.suites.suite import DevicePolicy, Suite
from halluc_ray.suites.verdicts import GateResult, Verdict, cell_name

MAX_SPECS, MAX_RATES, MAX_CHECKS, MAX_DEVICES = 100, 100, 50, 10
"""Suites' specs; then, of each night or run: systems times indicators, checks, kinds of device."""

_PARTS = ("listing", "nights", "telemetry", "reports", "gates")
_OUTCOMES = ("hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed")
_DECIDES = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


class Exporter(Collector):
    """Series of one store.

    Args:
        store: read only.
        suites: whose schedules and prices are known.
        runs: how many of the last finished runs are shown, beside the latest nights.
    """

    def __init__(self, store: ObjectStore, *, suites: Sequence[Suite] = (), runs: int) -> None:
        self._reader = HistoryReader(store, runs=runs)
        self._suites = {suite.name: suite for suite in suites}
        self._runs = runs
        self._history = History()
        self._read_at: float | None = None
        self._families: list[Family] = []
        self._show(up=False)

    @property
    def is_empty(self) -> bool:
        """The last reading met no night and no finished run."""
        return not (self._history.nights or self._history.noted)

    def refresh(self) -> StoreError | None:
        """Read the store again.

        Returns:
            Why it could not be listed; what was known before is then still shown.
        """
        try:
            self._history = self._reader.read()
        except StoreError as error:
            self._show(up=False)
            return error
        self._read_at = time.time()
        self._show(up=True)
        return None

    def collect(self) -> Iterator[Family]:
        """The last reading, for the client library."""
        yield from self._families

    def _show(self, *, up: bool) -> None:
        history, series = self._history, Series(OF_A_STORE)
        today = str(datetime.datetime.now(datetime.UTC).date())
        for night in series.first("specs", history.latest(), most=MAX_SPECS):
            _show_night(series, history, night, suite=self._suites.get(night.suite), today=today)
        for run_id in history.last_runs(self._runs):
            _show_run(series, history.noted[run_id], history.reports.get(run_id), run_id=run_id)
        series.set("halluc_ray_exporter_up", up)
        series.set("halluc_ray_exporter_read_timestamp_seconds", self._read_at)
        noted = sum(noted.finished is not None for noted in history.noted.values())
        sizes = (None, len(history.nights), noted, len(history.reports), len(history.gates))
        for part, size in zip(_PARTS, sizes, strict=True):
            series.set("halluc_ray_exporter_store_errors", self._reader.errors[part], part=part)
            series.set("halluc_ray_exporter_unreadable", self._reader.unreadable.get(part), part=part)
            series.set("halluc_ray_exporter_objects", size, part=part)
        for what in ("specs", "rates", "checks", "devices"):
            series.set("halluc_ray_exporter_left_out", series.left_out[what], what=what)
        self._families = series.families()


def _show_night(series: Series, history: History, night: Night, *, suite: Suite | None, today: str) -> None:
    name, labels = "halluc_ray_night", {"suite": night.suite, "spec": night.spec}
    mine = [n for n in history.nights if (n.suite, n.spec) == (night.suite, night.spec)]
    passed = [n.date for n in mine if n.gate is not None and n.gate.verdict is Verdict.PASS]
    series.set(f"{name}_info", 1, **labels, run_id=night.run_id, date=night.date)
    series.set(f"{name}_scheduled_timestamp_seconds", _midnight(night.date), **labels)
    series.set(f"{name}_last_pass_timestamp_seconds", _midnight(max(passed)) if passed else None, **labels)
    if suite is not None and night.spec in {entry.name for entry in suite.specs}:
        missed = missed_dates([night.date], until=today, schedule=suite.schedule)
        series.set(f"{name}_missed", len(missed) if suite.schedule else None, **labels)
    if night.gate is not None:
        for verdict in Verdict:
            series.set(f"{name}_gate", night.gate.verdict is verdict, **labels, verdict=verdict)
    gate = history.gates.get((night.suite, night.name))
    if gate is not None:
        _show_checks(series, gate, labels=labels)
    report = history.reports.get(night.run_id)
    rates: Sequence[Rate | NightRate] = report.rates if report else night.rates
    series.set(f"{name}_failed_share", night.failed_share, **labels)
    _show_rates(series, name, rates, labels=labels)
    _show_work(series, name, history.noted.get(night.run_id), labels=labels, suite=suite)


def _show_run(series: Series, noted: Noted, report: KeptReport | None, *, run_id: str) -> None:
    name, labels = "halluc_ray_run", {"run_id": run_id}
    if report is not None:
        series.set(f"{name}_failed_share", report.failed_share, **labels)
        _show_rates(series, name, report.rates, labels=labels)
    _show_work(series, name, noted, labels=labels, suite=None)


def _show_rates(series: Series, name: str, rates: Sequence[Rate | NightRate], *, labels: dict[str, str]) -> None:
    """Rates with their intervals, and outcomes: all six from a report, two where only a night is left."""
    for rate in series.first("rates", rates, most=MAX_RATES):
        by_rate = {**labels, "system": rate.system, "indicator": rate.indicator}
        series.set(f"{name}_hallucination_rate", rate.rate, **by_rate)
        series.set(f"{name}_hallucination_rate_low", rate.low, **by_rate)
        series.set(f"{name}_hallucination_rate_high", rate.high, **by_rate)
        series.set(f"{name}_answered_share", rate.answered_share, **by_rate)
        for outcome in _OUTCOMES:
            series.set(f"{name}_units", getattr(rate, outcome, None), **by_rate, outcome=outcome)


def _show_checks(series: Series, gate: GateResult, *, labels: dict[str, str]) -> None:
    """How many checks there are of each verdict, and the worst one by one."""
    counts = Counter(check.verdict for check in gate.checks)
    for verdict in Verdict:
        series.set("halluc_ray_night_checks", counts[verdict], **labels, verdict=verdict)
    ranked = sorted(gate.checks, key=lambda check: (_DECIDES.index(check.verdict), -check.excess))
    for check in series.first("checks", ranked, most=MAX_CHECKS):
        facts = {"system": check.system, "indicator": check.indicator, "limit": check.limit}
        for verdict in Verdict:
            is_it, cell = check.verdict is verdict, cell_name(check.slice)
            series.set("halluc_ray_night_check", is_it, **labels, **facts, slice=cell, verdict=verdict)


def _show_work(series: Series, name: str, noted: Noted | None, *, labels: dict[str, str], suite: Suite | None) -> None:
    """When the run ended, what devices it held, and what it cost by the suite's prices and endpoints' own."""
    if noted is None:
        return
    prices: dict[str, DevicePolicy] = suite.devices if suite is not None else {}
    cost = cost_of(noted.model_dump(), prices)
    series.set(f"{name}_finished_timestamp_seconds", noted.finished, **labels)
    series.set(f"{name}_cost", cost.money, **labels)
    held: Iterable[tuple[str, float]] = sorted(cost.seconds.items(), key=lambda kind: -kind[1])
    for device, seconds in series.first("devices", list(held), most=MAX_DEVICES):
        series.set(f"{name}_device_seconds", seconds, **labels, device=device)


def _midnight(date: str) -> float:
    return datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.UTC).timestamp()

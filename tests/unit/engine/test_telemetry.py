"""Metrics are bounded, counters only rise, and trouble with them stays with them."""

from collections import Counter

import pytest
from ray.util import metrics as ray_metrics

from halluc_ray.engine.context import Measured
from halluc_ray.engine.progress import Progress
from halluc_ray.engine.telemetry import MAX_RATES, MAX_SYSTEMS, Metrics
from halluc_ray.engine.vitals import Vitals
from halluc_ray.records.metrics import MAX_LABEL_CHARACTERS

NOW = Progress("r", "", 4, 1)


class Shown:
    """What reaches Ray, in place of its export."""

    def __init__(self) -> None:
        self.gauges: dict[tuple[str, ...], float] = {}
        self.counters: Counter[tuple[str, ...]] = Counter()

    def record(self, metric, value, tags=None):
        at = (metric.info["name"], *(tags or {}).values())
        if isinstance(metric, ray_metrics.Gauge):
            self.gauges[at] = value
        else:
            self.counters[at] += value


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    shown = Shown()
    monkeypatch.setattr(ray_metrics.Metric, "_record", lambda *args, **more: shown.record(*args, **more))
    return shown


def test_series_are_bounded_and_what_is_left_out_is_counted(shown: Shown):
    vitals, metrics = Vitals(), Metrics("r")
    for k in range(MAX_RATES + 7):
        vitals.count(f"system {k}", "i", [1] * 6)
        vitals.tokens[f"system {k}", "input"] += 1
    vitals.count("x" * 5_000, "i", [1] * 6)
    metrics.show(NOW, vitals)
    units = [at for at in shown.gauges if at[0] == "halluc_ray_units"]
    assert len(units) == 6 * MAX_RATES
    assert max(len(value) for at in shown.gauges for value in at) <= MAX_LABEL_CHARACTERS
    assert shown.gauges["halluc_ray_left_out", "r", "rates"] == 8
    assert shown.gauges["halluc_ray_left_out", "r", "systems"] == MAX_RATES + 7 - MAX_SYSTEMS
    vitals.outcomes = dict(reversed(vitals.outcomes.items()))
    metrics.show(NOW, vitals)
    assert {at for at in shown.gauges if at[0] == "halluc_ray_units"} == set(units), "the first ones stay"


def test_counters_take_what_was_added(shown: Shown):
    vitals, metrics = Vitals(), Metrics("r")
    vitals.retries = {"task": 0, "infra": 2}
    vitals.tokens["m", "output"] = 5
    metrics.show(NOW, vitals)
    metrics.show(NOW, vitals)
    vitals.retries = {"task": 1, "infra": 2}
    vitals.tokens["m", "output"] = 8
    metrics.show(NOW, vitals)
    assert shown.counters == {
        ("halluc_ray_retries", "r", "infra"): 2,
        ("halluc_ray_retries", "r", "task"): 1,
        ("halluc_ray_tokens", "r", "m", "output"): 8,
    }


def test_metrics_that_fail_end_no_run(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    calls = []

    def fail(*args, **more):
        calls.append(args)
        raise RuntimeError("no agent")

    metrics, vitals = Metrics("r"), Vitals()
    monkeypatch.setattr(ray_metrics.Metric, "_record", fail)
    metrics.show(NOW, vitals)
    vitals.measure("m", "a", Measured(commit_s=(0.1,)))
    metrics.show(NOW, vitals)
    assert len(calls) == 1
    assert vitals.take_commits() == [], "nothing piles up"
    assert "shown no more: RuntimeError: no agent" in caplog.text

"""Device-seconds and money, worked by hand."""

import pytest

from halluc_ray.engine.progress import Progress
from halluc_ray.errors import RunIncomplete
from halluc_ray.suites.costs import Meter, cost_of
from halluc_ray.suites.suite import DevicePolicy

PRICES = {"H100": DevicePolicy(price_per_hour=3.6), "cpu": DevicePolicy(max_seconds=10)}


def work(kind, held_s, busy_s, **more):
    return {"devices": {"kind": kind, "held_s": held_s, "busy_s": busy_s}, **more}


def test_parts_of_systems_add_up_to_the_run():
    noted = {"work": [work("H100", 1000.0, {"a": 30.0, "b": 10.0}), work("H100", 200.0, {"b": 5.0})]}
    cost = cost_of(noted, PRICES)
    assert cost.seconds == {"H100": 1200.0}
    assert cost.by_system["a"] == (750.0, pytest.approx(0.75))
    assert cost.by_system["b"] == (450.0, pytest.approx(0.45))
    assert cost.money == pytest.approx(1.2)


def test_what_has_no_price_has_no_money():
    assert cost_of({"work": [work("cpu", 8.0, {"a": 1.0})]}, PRICES).money is None
    assert cost_of({}, PRICES).money is None


def test_endpoints_answers_are_money_too():
    cost = cost_of({"work": [work("cpu", 8.0, {"served": 1.0}, cost={"served": 0.25})]}, PRICES)
    assert (cost.money, cost.by_system["served"]) == (0.25, (8.0, 0.25))


def test_runs_from_before_devices_were_noted_can_be_read():
    assert cost_of({"work": [{"actors": [], "seconds": {}}, work("", 0.0, {})]}, PRICES).seconds == {}


def test_a_held_device_that_did_nothing_is_paid_for():
    assert cost_of({"work": [work("H100", 1000.0, {})]}, PRICES).money == pytest.approx(1.0)


def progress(kind, seconds):
    return Progress("r", "", 1, 0, device=kind, device_seconds=seconds)


def test_a_cap_covers_all_runs_of_a_command():
    told = []
    meter = Meter(PRICES, told.append)
    meter.next_run()
    meter(progress("", 0.0))
    meter(progress("cpu", 6.0))
    meter(progress("H100", 1e9))
    meter(progress("cpu", 6.0))
    meter.next_run()
    meter(progress("cpu", 3.9))
    with pytest.raises(RunIncomplete, match=r"held cpu for 10 device-seconds, devices.cpu.max_seconds allows 10; "):
        meter(progress("cpu", 4.0))
    assert len(told) == 6

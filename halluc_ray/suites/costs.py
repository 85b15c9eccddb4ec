"""What a night took: device-seconds and money, per run and per system, and a cap on the seconds.

A device-second is one device (a GPU, or a CPU where the actors take no GPU) held for one second, from
when an actor sat down until it ended, idle or not. A system's part is in proportion to the time that
actors worked on its shards, so that the parts add up to the run's (save those of a command that
finished no shard). Read from what each command noted in
the run's folder; a driver that was killed outright noted nothing. Called by `nightly`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from halluc_ray.engine.progress import Progress
from halluc_ray.errors import RunIncomplete
from halluc_ray.suites.suite import DevicePolicy

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Device-seconds by kind of device, and money, of all commands that worked on a run.

    Attributes:
        seconds: kind of device -> device-seconds.
        money: by the suite's prices, and endpoints' own; None where neither has a price.
        by_system: system -> its device-seconds of all kinds, and its money.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    money: float | None = None
    by_system: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def cost_of(telemetry: Mapping[str, Any], devices: Mapping[str, DevicePolicy]) -> Cost:
    """What a run took so far.

    Args:
        telemetry: what was noted of it.
        devices: prices by kind of device.
    """
    seconds: dict[str, float] = {}
    by_system: dict[str, tuple[float, float]] = {}
    priced, total = False, 0.0

    def add(system: str, held: float, money: float) -> None:
        before = by_system.get(system, (0.0, 0.0))
        by_system[system] = (before[0] + held, before[1] + money)

    for work in telemetry.get("work", ()):
        held = work.get("devices") or {"kind": "", "held_s": 0.0, "busy_s": {}}
        if held["kind"]:
            seconds[held["kind"]] = seconds.get(held["kind"], 0.0) + held["held_s"]
        policy = devices.get(held["kind"], DevicePolicy())
        priced |= policy.price_per_hour > 0 or bool(work.get("cost"))
        total += held["held_s"] * policy.price_per_hour / _HOUR_S + sum(work.get("cost", {}).values())
        busy = sum(held["busy_s"].values())
        for system, worked in held["busy_s"].items():
            share = held["held_s"] * (worked / busy) if busy else 0.0  # one alone has all, to the last bit
            add(system, share, share * policy.price_per_hour / _HOUR_S)
        for system, money in work.get("cost", {}).items():
            add(system, 0.0, money)
    return Cost(seconds, total if priced else None, by_system)


class Meter:
    """Stops a night whose devices were held for longer than its suite allows.

    Args:
        devices: caps by kind of device.
        tell: told of every progress that may go on.
    """

    def __init__(self, devices: Mapping[str, DevicePolicy], tell: Callable[[Progress], None]) -> None:
        self._devices = devices
        self._tell = tell
        self._before: dict[str, float] = {}
        self._now: tuple[str, float] = ("", 0.0)

    def next_run(self) -> None:
        """Another run begins: its seconds count on top."""
        kind, held = self._now
        self._before[kind] = self._before.get(kind, 0.0) + held
        self._now = ("", 0.0)

    def __call__(self, progress: Progress) -> None:
        """Hear how far a run is.

        Raises:
            RunIncomplete: the cap is reached.
        """
        self._tell(progress)
        kind = progress.device
        if not kind:
            return
        self._now = (kind, progress.device_seconds)
        cap = self._devices.get(kind, DevicePolicy()).max_seconds
        held = self._before.get(kind, 0.0) + progress.device_seconds
        if cap is not None and held >= cap:
            raise RunIncomplete(
                f"stopped: this command held {kind} for {held:,.0f} device-seconds, devices.{kind}.max_seconds allows "
                f"{cap:,g}; what was committed stays, and the same command goes on"
            )

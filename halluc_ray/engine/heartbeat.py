"""Who works on a stage: a small object, rewritten every period, that another driver looks at.

A second driver waits while the beat changes; unchanged for three periods, it takes over. On one
machine a dead process is known at once. Losing a race costs double work and never a wrong byte:
commits are create-only. Knows stores; called by the driver and by `status`.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halluc_ray.config import canonical_json
from halluc_ray.errors import ObjectMissing, StoreError
from halluc_ray.logs import reason_of
from halluc_ray.storage import ObjectStore, keys

PERIOD_S = 2.0
PATIENCE = 3
_MAX_SILENCE_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Owner:
    """A driver: enough to know, on its own machine, whether it still lives."""

    token: str
    machine: str
    host: str
    pid: int
    started: str

    @classmethod
    def me(cls) -> Owner:
        """The calling process, under a fresh token."""
        return cls(secrets.token_hex(8), _machine(), platform.node(), os.getpid(), _started(os.getpid()) or "")

    @property
    def is_here(self) -> bool:
        """On this machine, where whether it lives can be known at once."""
        return self.started != "" and self.machine == _machine()

    @property
    def surely_dead(self) -> bool:
        """On this machine, and the process is gone."""
        return self.is_here and _started(self.pid) != self.started


def read_beat(store: ObjectStore, stage: str) -> dict[str, Any] | None:
    """The last beat of whoever works on a stage, or None."""
    try:
        return dict(json.loads(store.read(keys.heartbeat_key(stage))))
    except (ObjectMissing, ValueError):
        return None


def wait_for_turn(store: ObjectStore, stages: Iterable[str], *, say: Callable[[str], None]) -> None:
    """Return when no other living driver works on any of the stages.

    Waits as long as some other one's beat changes: it is alive and commits work that this run needs.
    """
    stages = tuple(stages)
    silent, last, told = 0, _beats(store, stages), ""
    while (living := _living(last)) and silent < PATIENCE:
        stage, beat = next(iter(living.items()))
        say(f"waiting: process {beat['owner']['pid']} on {beat['owner']['host']} works on {stage}")
        if beat["owner"]["token"] != told:
            told = beat["owner"]["token"]
            log.info("waiting for another driver", extra=_who(stage, beat))
        time.sleep(PERIOD_S)
        now = _beats(store, stages)
        silent = silent + 1 if _living(now) == living else 0
        last = now
    for stage, beat in last.items():
        log.warning("heartbeat taken over", extra=_who(stage, beat))


def _who(stage: str, beat: dict[str, Any]) -> dict[str, Any]:
    return {"stage": stage, "other_pid": beat["owner"]["pid"], "other_host": beat["owner"]["host"]}


def _beats(store: ObjectStore, stages: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {stage: beat for stage in stages if (beat := read_beat(store, stage))}


def _living(beats: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those of drivers that are not surely dead."""
    return {stage: beat for stage, beat in beats.items() if not Owner(**beat["owner"]).surely_dead}


class Heartbeat:
    """Beats for a set of stages from a thread of its own, until it is stopped."""

    def __init__(self, store: ObjectStore, stages: Iterable[str], *, describe: Callable[[], dict[str, Any]]) -> None:
        self._store = store
        self._stages = tuple(stages)
        self._describe = describe
        self._owner = Owner.me()
        self._beats = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(timeout=_MAX_SILENCE_S)
        try:
            self._withdraw()
        except StoreError as error:  # why the work ended is what must be heard; others soon see the beat stand still
            log.warning("heartbeat left behind", extra={"reason": reason_of(error)})

    def _withdraw(self) -> None:
        for stage in self._stages:
            beat = read_beat(self._store, stage)
            if beat is not None and beat["owner"]["token"] == self._owner.token:
                self._store.delete(keys.heartbeat_key(stage))

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            try:
                self._beat()
            except StoreError:
                continue  # a beat missed is a beat missed; commits fail on their own where the store is gone

    def _beat(self) -> None:
        self._beats += 1
        owner = {name: getattr(self._owner, name) for name in Owner.__slots__}
        data = canonical_json({"owner": owner, "beat": self._beats, "progress": self._describe()}).encode()
        for stage in self._stages:
            self._store.put(keys.heartbeat_key(stage), data)


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        return platform.node()
    return f"{boot.read_text().strip()}/{Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; None where it is gone, a zombie, or can't be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]

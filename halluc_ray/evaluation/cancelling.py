"""Stop a run from another shell or machine: a request in its folder, which the driver looks for.

What was committed stays, and the same command goes on. Knows stores and heartbeats, no Ray. Called by
`running` (the driver's side) and by `halluc-ray cancel`.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Self

from halluc_ray.config import RunSpec
from halluc_ray.engine.heartbeat import PERIOD_S
from halluc_ray.errors import RunIncomplete, StoreError
from halluc_ray.evaluation.looking import find_run, living_beat
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.storage import keys

_MAX_SILENCE_S = 60.0

log = logging.getLogger(__name__)


def cancel(target: str | RunSpec, *, wait_s: float = _MAX_SILENCE_S) -> str:
    """Ask the driver of a run to stop, and wait until it has.

    Args:
        target: `<output>/runs/<run id>`, or a spec.
        wait_s: how long to wait for its end.

    Returns:
        `stopped`; `asked` where it still beats after `wait_s`; `idle` where nobody works on the run.

    Raises:
        SpecError, InputError: there is no such run.
    """
    run = find_run(target)
    record = run.record()
    if living_beat(run.store, record, run.run_id) is None:
        return "idle"
    key = keys.cancel_key(run.run_id)
    run.store.put(key, b"{}")
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        time.sleep(PERIOD_S / 2)
        if living_beat(run.store, record, run.run_id) is None:
            run.store.delete(key)
            return "stopped"
    return "asked"


class CancelWatch:
    """Looks for a request from a thread of its own, so that a slow store holds nobody up.

    A request from before the watch began was meant for an earlier driver, and is removed.
    """

    def __init__(self, run: RunFolder) -> None:
        self._store = run.store
        self._key = keys.cancel_key(run.run_id)
        self._heard = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cancel-watch", daemon=True)

    def __enter__(self) -> Self:
        self._store.delete(self._key)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(timeout=_MAX_SILENCE_S)
        if self._heard.is_set():
            with suppress(StoreError):  # the next driver removes it
                self._store.delete(self._key)

    def look(self) -> None:
        """Raises RunIncomplete where the run was cancelled."""
        if self._heard.is_set():
            log.warning("cancel heard")
            raise RunIncomplete("cancelled; what was committed stays, and the same command goes on")

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            try:
                if self._store.info(self._key) is not None:
                    self._heard.set()
                    return
            except StoreError:
                continue  # the next look is soon

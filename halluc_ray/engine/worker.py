"""The Ray actor: one slot (a GPU, or a share of CPUs) that runs shard tasks one after another.

Holds one loaded model at a time, and from one to the next the network under it. Never raises from a
task: what went wrong travels in the report. Called by the driver.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import ray

from halluc_ray.engine.context import RunContext, ShardReport, ShardTask, SystemPlan
from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.engine.versions import check_same, versions_here
from halluc_ray.errors import HallucRayError, InputError, StoreError, WorkerLost
from halluc_ray.logs import LineKeeper, lines_to
from halluc_ray.models.endpoint.generator import EndpointGenerator
from halluc_ray.models.networks import Networks
from halluc_ray.storage import open_store
from halluc_ray.storage.files import verify_unchanged
from halluc_ray.storage.probe import see_nonce
from halluc_ray.wiring.generators import Generator, load_generator, see_checkpoint
from halluc_ray.wiring.indicators import wire_indicators

_FETCH_S = 120.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seat:
    """Where an actor runs.

    Attributes:
        node: Ray's node id.
        address: the node's IP address.
        pid: process id.
        cuda_visible_devices: what the actor sees of the GPUs; empty for none.
    """

    node: str
    address: str
    pid: int
    cuda_visible_devices: str


class HallucRayWorker:
    """Runs tasks of one run on one slot; its name and its text are what Ray's dashboard shows of it."""

    _label = "not made yet"  # Ray asks for the text of an actor that could not be made, too, and ends where it fails

    def __init__(
        self,
        versions: Mapping[str, str],
        place: str,
        context: Sequence[Any],
        nonce: str,
        *,
        label: str,
        log_level: int,
    ) -> None:
        """Nothing of the run is read yet: where the package differs it might not be readable.

        Args:
            versions: of the driver.
            place: where the driver has the package from.
            context: Ray's reference to the run's context, alone in a list so that Ray does not resolve it.
            nonce: object that must be seen in the store.
            label: names run and actor for people.
            log_level: of the lines that go to the actor's file and to the driver.
        """
        self._label = label
        self._versions = versions
        self._place = place
        self._sealed = context
        self._nonce = nonce
        self._lines = LineKeeper()
        self._lines.begin(log_level)
        self._file = ExitStack()
        self._file.enter_context(lines_to(sys.stderr, form="json", level=log_level))
        self._loaded: tuple[str, Generator | EndpointGenerator] | None = None
        self._networks = Networks()
        self._runner: ShardRunner | None = None

    def __repr__(self) -> str:
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return f"HallucRayWorker({self._label}, {f'GPU {gpus}' if gpus else 'CPU'})"

    def sit(self) -> tuple[Seat, Exception | None]:
        """Where this actor is, and why it can't work there: another store, a corpus out of sight."""
        runtime = ray.get_runtime_context()
        address = ray.util.get_node_ip_address()
        seat = Seat(runtime.get_node_id(), address, os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        try:
            check_same(self._versions, place=self._place, here=versions_here())
            self._context: RunContext = ray.get(self._sealed[0], timeout=_FETCH_S)
            spec = self._context.spec
            store = open_store(spec.output, endpoint=spec.store.endpoint, region=spec.store.region)
            see_nonce(store, self._nonce)
            self._runner = ShardRunner(
                self._context,
                store=store,
                indicators=[wired.indicator for wired in wire_indicators(spec.indicators)],
                generator_for=self._generator_for,
            )
            for file in list(self._context.files.values())[:1]:
                verify_unchanged(file)
            for system in self._context.systems:
                see_checkpoint(system.resolved, self._context.spec.store)
        except HallucRayError as error:
            return seat, type(error)(f"node {address}: {error}")
        except OSError as error:
            return seat, InputError(f"node {address}: {error}; give the nodes what the driver sees")
        return seat, None

    def run(self, task: ShardTask) -> ShardReport:
        """Commit what is missing of the task."""
        try:
            if self._runner is None:
                raise WorkerLost("the actor was given a task before it sat")
            return replace(self._runner.run(task), lines=self._lines.take())
        except HallucRayError as error:
            return self._failed(task, error)
        except OSError as error:
            return self._failed(task, StoreError(f"{type(error).__name__}: {error}"))
        except Exception as error:  # noqa: BLE001 - the actor outlives a bad shard; the driver decides
            traceback.print_exc()
            return self._failed(task, HallucRayError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))

    def _failed(self, task: ShardTask, error: Exception) -> ShardReport:
        """The report of a task that failed, with what it had committed by then."""
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes: shows that the error survives the trip
        except Exception:  # noqa: BLE001 - any failure to pickle has one answer
            error = HallucRayError(f"{type(error).__name__}: {error}")
        committed, found = (self._runner.committed, self._runner.found) if self._runner else ({}, frozenset[str]())
        return ShardReport(task.key, committed, {}, {}, {}, error, found=found, lines=self._lines.take())

    def _generator_for(self, system: SystemPlan) -> Generator | EndpointGenerator:
        if self._loaded is None or self._loaded[0] != system.generate.name:
            if self._loaded is not None:
                self._loaded[1].close()
                self._loaded = None
            spec = self._context.spec
            began = time.monotonic()
            loaded = load_generator(system.resolved, spec.store, bitwise=spec.engine.bitwise, networks=self._networks)
            took = round(time.monotonic() - began, 3)
            log.info("model loaded", extra={"system": system.spec.name, "seconds": took})
            self._loaded = (system.generate.name, loaded)
        return self._loaded[1]

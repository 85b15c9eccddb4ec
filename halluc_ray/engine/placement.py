"""Where actors go: which device, how many slots, what each asks Ray for.

Connects to the cluster that RAY_ADDRESS names, or starts one in this process. Called by the driver
and, for the device alone, by planning.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from halluc_ray.config import Engine, RunSpec
from halluc_ray.engine.versions import mismatch_of_cluster
from halluc_ray.errors import SpecError, WorkerLost
from halluc_ray.models.devices import Device

GROWING_SLOTS = 8
"""`engine.actors: auto` asks for so many at least on a cluster that grows: waiting actors are what it grows for."""
REACH_S = 20.0
"""A cluster's address that nobody listens at for so long is refused."""
_CPU_SLACK = 1e-6
_ACCELERATOR = "accelerator_type:"
_ACCELERATOR_SHARE = 0.001
"""What Ray takes of a node's accelerator resource for an actor that names its type."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Slots of a run.

    Attributes:
        device: what models run on.
        accelerator: Ray's name of the GPU type.
        slots: most actors that the cluster can hold, or may grow to hold; at least 1.
        options: what each actor asks Ray for.
    """

    device: Device
    accelerator: str | None
    slots: int
    options: dict[str, Any]

    @property
    def billed(self) -> tuple[str, float]:
        """What an actor holds while it lives: the kind of device, and how many of it (CPUs where it takes no GPU)."""
        if gpus := self.options.get("num_gpus"):
            return self.accelerator or "gpu", float(gpus)
        return "cpu", float(self.options["num_cpus"])


@contextmanager
def cluster() -> Iterator[None]:
    """A Ray cluster for the time of a run: the one at hand, the one RAY_ADDRESS names, or our own."""
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if os.environ.get("RAY_ADDRESS"):
        _connect(os.environ["RAY_ADDRESS"], quiet)
    else:
        ray.init(address="local", include_dashboard=False, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str, options: Mapping[str, Any]) -> None:
    _reach(address)
    try:
        ray.init(address=address, **options)
    except RuntimeError as error:
        mismatch = mismatch_of_cluster(str(error))
        if mismatch is None:
            raise
        raise mismatch from error


def _reach(address: str) -> None:
    """Have something that listens at the address; Ray alone would try for three minutes, and end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    deadline = time.monotonic() + REACH_S
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise WorkerLost(
                    f"RAY_ADDRESS: {address}: {error.strerror or error}, for {REACH_S:.0f} s; look at the address, and "
                    "whether the head runs"
                ) from error
            time.sleep(0.5)
        else:
            return


def surely_cpu() -> bool:
    """No cluster is named or at hand, and this machine has no GPU: what Ray would find needs no asking."""
    at_hand = bool(os.environ.get("RAY_ADDRESS")) or ray.is_initialized()
    return not at_hand and not any(Path("/proc/driver/nvidia/gpus").glob("*"))


def place(spec: RunSpec, *, models: bool) -> Placement:
    """Look at the cluster's nodes and settle what `auto` leaves open.

    Args:
        spec: the run.
        models: some system's model runs on the actors.

    Raises:
        SpecError: the device can't be known, or no node can hold an actor.
    """
    engine = spec.engine
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = any(node.get("GPU", 0) > 0 for node in nodes)
    device: Device = "cpu"
    if models:
        device = _device(engine, nodes, gpus=gpus)
    asked = {"CPU": float(engine.cpus_per_actor)}
    options: dict[str, Any] = {"num_cpus": engine.cpus_per_actor}
    pinned = "gpus_per_actor" in engine.model_fields_set and gpus
    if models and (device == "cuda" or pinned) and engine.gpus_per_actor > 0:
        options["num_gpus"] = asked["GPU"] = engine.gpus_per_actor
        if engine.accelerator:
            options["accelerator_type"] = engine.accelerator
    slots = sum(_slots(node, asked) for node in nodes)
    if _grows(nodes):
        slots = max(slots, GROWING_SLOTS)
    if not slots:
        offers = [{name: node.get(name, 0.0) for name in asked} for node in nodes]
        raise SpecError(
            f"engine: an actor asks for {asked}, the nodes offer {offers}; lower cpus_per_actor or gpus_per_actor"
        )
    return Placement(device, _accelerator(engine, nodes) if device == "cuda" else None, slots, options)


@dataclass(frozen=True, slots=True)
class Room:
    """What one actor asks Ray for.

    Attributes:
        options: of the actor.
        group: placement group that holds its GPUs together, where it takes several.
    """

    options: Mapping[str, Any]
    group: Any = None

    def give_back(self) -> None:
        """Free the reserved GPUs; an actor that is still there ends."""
        if self.group is not None:
            remove_placement_group(self.group)


def reserve(placement: Placement) -> Room:
    """Room for one more actor; several GPUs are reserved together, on one node.

    Does not wait: an actor in a group that has no room yet starts when it has.
    """
    options = placement.options
    if options.get("num_gpus", 0) <= 1:
        return Room(options)
    bundle = {"CPU": options["num_cpus"], "GPU": options["num_gpus"]}
    if accelerator := options.get("accelerator_type"):
        bundle[_ACCELERATOR + accelerator] = _ACCELERATOR_SHARE
    group = placement_group([bundle], strategy="STRICT_PACK")
    return Room({**options, "scheduling_strategy": PlacementGroupSchedulingStrategy(group, 0)}, group)


def _device(engine: Engine, nodes: list[dict[str, float]], *, gpus: bool) -> Device:
    if engine.device != "auto":
        return engine.device
    if gpus:
        return "cuda"
    room = any(node.get("CPU", 0) >= engine.cpus_per_actor for node in nodes)
    if _grows(nodes) or (not _is_embedded(nodes) and not room):
        raise SpecError(
            "engine.device: auto; the cluster shows no GPU now and may add nodes of other kinds, so the "
            "device can't be known; set engine.device, and engine.accelerator for GPUs"
        )
    return "cpu"


def _grows(nodes: list[dict[str, float]]) -> bool:
    """The cluster was started by an autoscaler (KubeRay or `ray up`), which may add nodes of other kinds."""
    return not _is_embedded(nodes) and _has_autoscaler()


def _has_autoscaler() -> bool:
    return bool(os.environ.get("RAY_CLUSTER_NAME") or os.environ.get("KUBERAY_GEN_RAY_START_CMD")) or (
        Path("~/ray_bootstrap_config.yaml").expanduser().exists()
    )


def _is_embedded(nodes: list[dict[str, float]]) -> bool:
    """The cluster is this process' own: nobody named another, and it is one machine."""
    return not os.environ.get("RAY_ADDRESS") and len(nodes) == 1


def _accelerator(engine: Engine, nodes: list[dict[str, float]]) -> str | None:
    seen = sorted({name.removeprefix(_ACCELERATOR) for node in nodes for name in node if name.startswith(_ACCELERATOR)})
    if engine.accelerator or not seen:
        return engine.accelerator
    if len(seen) > 1:
        raise SpecError(f"engine.accelerator: null, and the cluster has {', '.join(seen)}; name the one to run on")
    return seen[0]


def _slots(node: dict[str, float], asked: dict[str, float]) -> int:
    return min(math.floor(node.get(name, 0.0) / amount + _CPU_SLACK) for name, amount in asked.items() if amount)

"""What a backend other than transformers adds to a plan, and where it can't run.

Knows vLLM's package by name and never imports it. Caller: `numerics`, at plan time.
"""

from __future__ import annotations

from halluc_ray.config import CausalSystem, CheckpointSystem, Engine
from halluc_ray.errors import SpecError
from halluc_ray.models.devices import Device
from halluc_ray.models.quantisation import package_versions

VLLM = "vllm"
_ABSENT = "absent"


def freeze(system: CheckpointSystem, *, engine: Engine, device: Device) -> dict[str, str | int]:
    """Numerics of a system's backend; empty for transformers.

    Args:
        system: the system's section of the spec.
        engine: the engine's section.
        device: what actors run on.

    Raises:
        SpecError: vLLM is not installed, or has nothing to run on.
    """
    if not isinstance(system, CausalSystem) or system.backend != VLLM:
        return {}
    where = f"systems[{system.name}].backend: vllm"
    if device == "cpu":
        raise SpecError(
            f"{where}: the device is cpu, and vLLM's published wheel runs on CUDA alone; set engine.device: cuda where "
            "there are GPUs, or backend: transformers"
        )
    if engine.gpus_per_actor != int(engine.gpus_per_actor):
        raise SpecError(
            f"{where}: it takes whole GPUs, and engine.gpus_per_actor is {engine.gpus_per_actor}; set 1 or more"
        )
    version = package_versions([VLLM])[VLLM]
    if version == _ABSENT:
        raise SpecError(
            f"{where}: the package vllm is not installed here; pip install 'halluc-ray[vllm]' here and on every node, "
            "or set backend: transformers"
        )
    return {f"package:{VLLM}": version}

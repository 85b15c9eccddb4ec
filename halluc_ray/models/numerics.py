"""What the floating point of a system's outputs depends on, frozen by the plan.

`resolve` is a pure function of spec, device kind, checkpoint and this machine's description, never
a measurement; it imports no torch, so that the driver may call it. `check` runs inside an actor and
refuses a machine that can't produce the planned bytes. Knows no data. Called by wiring.

Threads belong to the numerics of a CPU alone: they cut its sums; a GPU's are cut by its kernels.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from halluc_ray.config import CheckpointSystem, Engine
from halluc_ray.errors import NumericsMismatch, SpecError
from halluc_ray.models import backends, quantisation
from halluc_ray.models.attention import attention_of
from halluc_ray.models.devices import Device, card_name, cpu_isa, cpu_vendor
from halluc_ray.models.kinds import KINDS
from halluc_ray.models.token_budgets import auto_token_budget

_LIBRARIES = ("torch", "transformers", "tokenizers")
_PICTURES = "pillow"
_PACKAGE = "package:"


def resolve(
    system: CheckpointSystem,
    *,
    engine: Engine,
    device: Device,
    config: Mapping[str, Any],
    num_parameters: int,
    accelerator: str | None = None,
) -> dict[str, str | int]:
    """Freeze the numerics of a system.

    Args:
        system: the system's section of the spec.
        engine: the engine's section.
        device: what the cluster offers, `auto` already settled.
        config: the checkpoint's config.json.
        num_parameters: weights of the checkpoint.
        accelerator: Ray's name of the GPU type; default: the engine's.

    Returns:
        JSON-ready values; everything in them belongs to the stage's digest.

    Raises:
        SpecError: a GPU run whose accelerator is not known, or quantised weights or a backend that can't run here.
    """
    dtype = auto_dtype(device, config=config) if system.dtype == "auto" else system.dtype
    budget = engine.tokens_per_batch
    if budget == "auto":
        budget = auto_token_budget(system.kind, device_kind=device, num_parameters=num_parameters)
    numerics: dict[str, str | int] = {
        "device": device,
        "dtype": dtype,
        **_library_versions(),
        **(_picture_version() if KINDS[system.kind].looks else {}),
        "attention": attention_of(config),
        "token_budget": budget,
        **quantisation.freeze(config, device=device, where=f"systems[{system.name}]"),
        **backends.freeze(system, engine=engine, device=device),
    }
    if device == "cuda" and engine.gpus_per_actor > 1:
        numerics["gpus"] = int(engine.gpus_per_actor)  # where the weights are parted decides what is added first
    if device == "cpu":
        return numerics | {"threads": engine.cpus_per_actor, "isa": cpu_isa(), "cpu_vendor": cpu_vendor()}
    name = accelerator or engine.accelerator
    if name is None:
        raise SpecError("engine.accelerator: null; the plan freezes the GPU type: name it, such as H100")
    return numerics | {"accelerator": name}


def auto_dtype(device_kind: Device, *, config: Mapping[str, Any]) -> str:
    """float32 on a CPU; on a GPU what the checkpoint was saved in. Never lower than that unasked.

    >>> auto_dtype("cuda", config={"torch_dtype": "bfloat16"}), auto_dtype("cpu", config={"torch_dtype": "bfloat16"})
    ('bfloat16', 'float32')
    """
    saved = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
    return saved if device_kind == "cuda" and saved in ("bfloat16", "float16") else "float32"


def check(numerics: Mapping[str, str | int]) -> None:
    """Refuse a machine that can't honour the plan. Runs in the actor; imports torch.

    Raises:
        NumericsMismatch: names each field, planned and found.
    """
    import torch

    packages = {field: field.removeprefix(_PACKAGE) for field in numerics if field.startswith(_PACKAGE)}
    versions = quantisation.package_versions(packages.values())
    found: dict[str, str | int] = {**_library_versions(), **{field: versions[name] for field, name in packages.items()}}
    found |= _picture_version() if _PICTURES in numerics else {}
    if numerics["device"] == "cpu":
        isa = cpu_isa()
        capability = torch.backends.cpu.get_cpu_capability()
        found |= {"device": "cpu", "isa": capability if isa.isupper() else isa, "cpu_vendor": cpu_vendor()}
    elif torch.cuda.is_available():
        card = card_name(torch.cuda.get_device_name(), planned=str(numerics["accelerator"]))
        found |= {"device": "cuda", "accelerator": card, "gpus": torch.cuda.device_count()}
    else:
        found |= {"device": "cpu"}
    differ = [
        f"{field}: planned {numerics[field]}, found {found.get(field)}"
        for field in numerics
        if field in found and found[field] != numerics[field]
    ]
    if differ:
        raise NumericsMismatch(
            f"{platform.node()} can't produce the planned bytes ({'; '.join(differ)}); plan on a machine like those "
            "that run, or set engine.bitwise: false"
        )


def _library_versions() -> dict[str, str | int]:
    """Public versions: the suffix that names a build (`+cpu`) differs between a head and its GPU nodes."""
    return {name: metadata.version(name).split("+")[0] for name in _LIBRARIES}


def _picture_version() -> dict[str, str | int]:
    """What decodes and resizes images."""
    return {_PICTURES: metadata.version(_PICTURES)}

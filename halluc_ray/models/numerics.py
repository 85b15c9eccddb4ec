"""What the floating point of a system's outputs depends on, frozen by the plan.

`resolve` is a pure function of spec, device kind, checkpoint and this machine's description, never
a measurement; it imports no torch, so that the driver may call it. `check` runs inside an actor and
refuses a machine that can't produce the planned bytes. Knows no data. Callers: wiring, `loading`.

Token budgets (tokens of a padded batch) by what a kind does with them, by device and weights:

    kind                                                      cpu    cuda
    sequence-classification, embedder, dual-encoder           1,024  131,072 below 0.2 G weights, 65,536 below 1 G,
                                                                     else 16,384
    causal-lm, seq2seq-lm, image-text-to-text, choices        4,096  65,536 below 1 G weights, 32,768 below 4 G,
                                                                     16,384 below 16 G, else 8,192

An encoder reads once, and small batches stay in a core's caches; a decoding step is memory-bound, so that rows share
the weights.

The CPU column is measured; the CUDA column is sized so that activations and key-value caches stay well
inside 40 GiB and are to be tuned per card.

Threads belong to the numerics of a CPU alone: they cut its sums; a GPU's are cut by its kernels.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from halluc_ray.config import CheckpointSystem, Engine
from halluc_ray.errors import NumericsMismatch, SpecError
from halluc_ray.models import backends, quantisation
from halluc_ray.models.kinds import KINDS

Device = Literal["cpu", "cuda"]

_CPU_BUDGETS = {"reads": 1_024, "decodes": 4_096}
_CUDA_BUDGETS = {
    "reads": ((200_000_000, 131_072), (1_000_000_000, 65_536)),
    "decodes": ((1_000_000_000, 65_536), (4_000_000_000, 32_768), (16_000_000_000, 16_384)),
}
_CUDA_FLOORS = {"reads": 16_384, "decodes": 8_192}
_LIBRARIES = ("torch", "transformers", "tokenizers")
_PICTURES = "pillow"
_PACKAGE = "package:"
_AVX512 = frozenset({"avx512vl", "avx512bw", "avx512dq", "fma"})
_AVX2 = frozenset({"avx2", "fma"})
_SDPA_LESS = frozenset(
    [
        "align",
        "big_bird",
        "bigbird_pegasus",
        "blip",
        "bloom",
        "canine",
        "convbert",
        "cpmant",
        "deberta",
        "deberta-v2",
        "flaubert",
        "flava",
        "fnet",
        "funnel",
        "gemma2",
        "git",
        "got_ocr2",
        "gpt_neo",
        "gpt_neox_japanese",
        "gpt_oss",
        "groupvit",
        "hy_v4_vl",
        "ibert",
        "inkling2",
        "inkling2_loop",
        "longformer",
        "luke",
        "mamba",
        "mamba2",
        "megatron-bert",
        "mpnet",
        "mpt",
        "mvp",
        "nystromformer",
        "openai-gpt",
        "pp_chart2table",
        "prophetnet",
        "reformer",
        "rembert",
        "roformer",
        "rwkv",
        "squeezebert",
        "t5gemma",
        "vaultgemma",
        "xglm",
        "xlm",
        "xlnet",
        "yoso",
    ]
)


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
        "attention": "eager" if config.get("model_type") in _SDPA_LESS else "sdpa",
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


def auto_token_budget(kind: str, *, device_kind: Device, num_parameters: int) -> int:
    """Tokens per padded batch, from the module's table.

    >>> auto_token_budget("causal-lm", device_kind="cuda", num_parameters=8_000_000_000)
    16384
    """
    use = KINDS[kind].batches
    if device_kind == "cpu":
        return _CPU_BUDGETS[use]
    return next((budget for below, budget in _CUDA_BUDGETS[use] if num_parameters < below), _CUDA_FLOORS[use])


def cpu_isa() -> str:
    """The instruction set that torch's kernels pick here: AVX512, AVX2 or DEFAULT; elsewhere the machine's name.

    Follows torch's own rule, the ATEN_CPU_CAPABILITY override included, without importing torch.
    """
    flags = set(_cpuinfo("flags").split())
    if not flags or platform.machine() not in ("x86_64", "AMD64"):
        return platform.machine()
    wished = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    if wished in ("avx512", "avx2", "default"):
        return wished.upper()
    return "AVX512" if flags >= _AVX512 else "AVX2" if flags >= _AVX2 else "DEFAULT"


def cpu_vendor() -> str:
    """The CPU's maker, such as GenuineIntel: matrix libraries pick kernels by it too."""
    return _cpuinfo("vendor_id") or platform.machine()


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
        found |= {"device": "cuda", "accelerator": _accelerator(torch.cuda.get_device_name(), numerics)}
        found |= {"gpus": torch.cuda.device_count()}
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


def _accelerator(device_name: str, numerics: Mapping[str, str | int]) -> str:
    """The planned name where the device's own name holds it (`A100-80G` in `NVIDIA A100-SXM4-80GB`)."""
    planned = str(numerics["accelerator"])
    words = device_name.upper().replace("-", " ").split()
    return planned if planned.upper().split("-")[0] in words else device_name


def _library_versions() -> dict[str, str | int]:
    """Public versions: the suffix that names a build (`+cpu`) differs between a head and its GPU nodes."""
    return {name: metadata.version(name).split("+")[0] for name in _LIBRARIES}


def _picture_version() -> dict[str, str | int]:
    """What decodes and resizes images."""
    return {_PICTURES: metadata.version(_PICTURES)}


def _cpuinfo(field: str) -> str:
    """First value of a field of /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""

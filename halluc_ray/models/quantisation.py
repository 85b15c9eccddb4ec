"""Quantised checkpoints: which method, how many bits, and what must be there to run it.

`quantization_config` of a checkpoint's config.json says the method; the table says what transformers
(5.24, its `quantizers` package) asks for before it loads one. The plan refuses what can't run, so that
no actor starts; and transformers passes over a method that it does not know, which would run packed
integers as if they were weights: that is refused too. Pure; imports no torch. Callers: `numerics`,
`checkpoints`, `pretrained`.
"""

from __future__ import annotations

import importlib.metadata
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from halluc_ray.errors import SpecError
from halluc_ray.models.safetensors_headers import StoredTensor

ABSENT = "absent"
_AUXILIARY = re.compile(r"zero|scale|g_idx|shape|absmax|quant_|SCB|weight_format|perm|codebook|statistics")
_INTEGERS = frozenset(["U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"])
_BITS_KEYS = ("bits", "nbits", "w_bit", "weights", "weights_dtype", "nbits_per_codebook")


@dataclass(frozen=True, slots=True)
class _Needs:
    """What running a method takes.

    Attributes:
        packages: distributions, as pip names them.
        cuda: it has no kernels for a CPU.
        optional: distributions that change its kernels, and so the bytes, where they are installed.
        bits: of a weight, where the config does not say.
    """

    packages: tuple[str, ...] = ()
    cuda: bool = False
    optional: tuple[str, ...] = ()
    bits: int | None = None


_METHODS = {
    "aqlm": _Needs(("aqlm", "accelerate")),
    "auto-round": _Needs(("auto-round",)),
    "awq": _Needs(("gptqmodel", "accelerate")),
    "bitnet": _Needs(("accelerate",), bits=2),
    "bitsandbytes_4bit": _Needs(("bitsandbytes", "accelerate"), bits=4),
    "bitsandbytes_8bit": _Needs(("bitsandbytes", "accelerate"), bits=8),
    "compressed-tensors": _Needs(("compressed-tensors",)),
    "eetq": _Needs(("kernels", "accelerate"), cuda=True, bits=8),
    "fbgemm_fp8": _Needs(("fbgemm-gpu",), cuda=True, bits=8),
    "fouroversix": _Needs(("fouroversix",), cuda=True, bits=4),
    "fp8": _Needs(("accelerate",), optional=("kernels",), bits=8),
    "fp_quant": _Needs(("fp-quant",), cuda=True, optional=("qutlass",), bits=4),
    "gemma": _Needs(),
    "gptq": _Needs(("optimum", "gptqmodel")),
    "higgs": _Needs(("flute-kernel", "fast-hadamard-transform", "accelerate"), cuda=True),
    "hqq": _Needs(("hqq",)),
    "metal": _Needs(optional=("kernels",)),
    "mxfp4": _Needs(("accelerate",), optional=("kernels", "triton"), bits=4),
    "mxfp8": _Needs(("accelerate",), optional=("kernels",), bits=8),
    "quanto": _Needs(("optimum-quanto", "accelerate")),
    "quark": _Needs(("amd-quark",)),
    "sinq": _Needs(("sinq",)),
    "spqr": _Needs(("spqr-quant", "accelerate"), cuda=True),
    "torchao": _Needs(("torchao",)),
    "vptq": _Needs(("vptq", "accelerate"), cuda=True),
}
_NEVER = {
    "gguf": "GGUF weights are not read: name the checkpoint that they were made of",
    "nvfp4": "transformers can't load weights that are stored in it: name the checkpoint that they were made of",
}


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How a checkpoint's weights are stored.

    Attributes:
        method: as transformers names it, such as `gptq` or `bitsandbytes_4bit`.
        bits: of one weight; None where the config does not say, or layers differ.
    """

    method: str
    bits: int | None

    @property
    def label(self) -> str:
        """The method with its bits, such as `gptq-4bit`."""
        name = self.method.removesuffix("_4bit").removesuffix("_8bit")
        return f"{name}-{self.bits}bit" if self.bits else name


def quantisation_of(config: Mapping[str, Any]) -> Quantisation | None:
    """What a parsed config.json says of quantisation; None for plain weights.

    >>> quantisation_of({"quantization_config": {"quant_method": "gptq", "bits": 4}}).label
    'gptq-4bit'
    """
    found = section(config)
    if found is None:
        return None
    method = str(found.get("quant_method", "")).replace("auto_round", "auto-round")
    if found.get("load_in_4bit"):
        method = "bitsandbytes_4bit"
    elif found.get("load_in_8bit"):
        method = "bitsandbytes_8bit"
    known = _METHODS.get(method, _Needs())
    return Quantisation(method, known.bits if known.bits is not None else _bits(found))


def section(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The config's section on quantisation, its language model's where it is made of several; None for none."""
    parts = (config, *(config.get(name) for name in ("text_config", "llm_config")))
    sections = (part.get("quantization_config") for part in parts if isinstance(part, Mapping))
    return next((found for found in sections if isinstance(found, Mapping) and found), None)


def freeze(config: Mapping[str, Any], *, device: str, where: str) -> dict[str, str | int]:
    """What of quantisation fixes the bytes: the method and the versions of what runs it. Empty for plain weights.

    Args:
        config: the parsed config.json.
        device: `cpu` or `cuda`.
        where: the section that names the checkpoint, for messages.

    Raises:
        SpecError: the method is not known, or its kernels can't run here.
    """
    found = quantisation_of(config)
    if found is None:
        return {}
    needs = _METHODS.get(found.method)
    if needs is None:
        why = _NEVER.get(found.method, f"this version runs {', '.join(sorted(_METHODS))}")
        raise SpecError(f"{where}.checkpoint: its weights are quantised by {found.method!r}; {why}")
    packages = {*needs.packages, *(("accelerate",) if device == "cuda" else ())}
    versions = package_versions(sorted({*packages, *needs.optional}))
    missing = [name for name in sorted(packages) if versions[name] == ABSENT]
    if needs.cuda and device != "cuda":
        raise SpecError(
            f"{where}.checkpoint: its weights are quantised by {found.method!r}, which runs on a GPU alone, and the "
            f"device is {device}; set engine.device: cuda on machines that have one, or name an unquantised checkpoint"
        )
    if missing:
        raise SpecError(
            f"{where}.checkpoint: its weights are quantised by {found.method!r}, which needs {', '.join(missing)} "
            f"here and on every node; run `pip install {' '.join(missing)}`, or name an unquantised checkpoint"
        )
    return {"quantization": found.label, **{f"package:{name}": version for name, version in versions.items()}}


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed public version of each distribution, or `absent`."""
    return {name: _version(name) for name in names}


def count_weights(tensors: Mapping[str, StoredTensor], quantisation: Quantisation | None) -> int:
    """Weights that tensors hold: packed integers count for each weight in them, scales and the like not at all."""
    if quantisation is None:
        return sum(math.prod(tensor.shape) for tensor in tensors.values())
    return sum(
        math.prod(tensor.shape) * _weights_per_item(tensor, quantisation.bits)
        for name, tensor in tensors.items()
        if not _AUXILIARY.search(_last_parts(name))
    )


def _weights_per_item(tensor: StoredTensor, bits: int | None) -> int:
    if bits is None or tensor.dtype not in _INTEGERS:
        return 1
    return max(1, tensor.item_bytes * 8 // bits)


def _last_parts(name: str) -> str:
    """What follows the module's name: from the last part that says `weight`, else the last part."""
    parts = name.split(".")
    at = next((k for k in range(len(parts) - 1, -1, -1) if parts[k] == "weight"), len(parts) - 2)
    return ".".join(parts[at + 1 :])


def _bits(found: Mapping[str, Any]) -> int | None:
    """Bits of a weight: a number under one of the usual keys, or the one that all groups share."""
    groups = found.get("config_groups")
    if isinstance(groups, Mapping):
        weights = [group.get("weights") or {} for group in groups.values() if isinstance(group, Mapping)]
        bits = {_number(entry.get("num_bits")) for entry in weights if isinstance(entry, Mapping)}
        return bits.pop() if len(bits) == 1 else None
    nested = found.get("quant_config")
    places = [found, nested, nested.get("weight_quant_params") if isinstance(nested, Mapping) else None]
    numbers = (_number(place.get(key)) for place in places if isinstance(place, Mapping) for key in _BITS_KEYS)
    return next((number for number in numbers if number is not None), None)


def _number(value: Any) -> int | None:
    """4 of 4, `int4` and `4bit`."""
    digits = re.search(r"\d+", value) if isinstance(value, str) else None
    number = int(digits[0]) if digits else value
    return number if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 16 else None


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ABSENT

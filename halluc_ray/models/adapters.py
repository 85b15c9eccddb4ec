"""What a LoRA adapter is: its files, their digest, and whether it fits the base and does anything.

Decided from headers and bytes before anything starts. Refused are weights that the base has no place
for, and an adapter that changes nothing. Knows tensors and names; what its config may say, `adapter_config`
knows. Imports no torch. Caller: wiring.

Reference: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1: the adapted
layer is W + (alpha / r) B A, and B starts at zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halluc_ray.errors import InputError, SpecError
from halluc_ray.models.adapter_config import AdapterConfig, read_adapter_config
from halluc_ray.models.checkpoint_cache import file_digests
from halluc_ray.models.checkpoint_sources import Source, SourceFile
from halluc_ray.models.checkpoints import ADAPTER_CONFIG, checkpoint_digest
from halluc_ray.models.quantisation import Quantisation
from halluc_ray.models.safetensors_headers import StoredTensor, read_header

WEIGHTS = "adapter_model.safetensors"
PICKLED = "adapter_model.bin"
PREFIX = "base_model.model."

QUANTISED_BASES = frozenset(["aqlm", "awq", "bitsandbytes_4bit", "bitsandbytes_8bit", "eetq", "gptq", "hqq", "torchao"])
"""Methods whose layers peft (0.21, its `tuners/lora`) can adapt."""

_PARTS = {
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora_B.bias": "bias",
    ".lora_embedding_A": "A",
    ".lora_embedding_B": "B",
}


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that may be run on its base.

    Attributes:
        uri: where it was found.
        digest: 64 hex digits over names and bytes of `files`.
        files: relative name -> sha256.
        new_weights: tensors of modules_to_save that the base lacks, such as those of a classifier's head.
    """

    uri: str
    digest: str
    files: Mapping[str, str]
    new_weights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Contents:
    """Tensors of an adapter: (module, `A`, `B` or `bias`) of its matrices, and the modules that it brings whole."""

    matrices: Mapping[tuple[str, str], StoredTensor]
    heads: Mapping[str, StoredTensor]

    @property
    def modules(self) -> list[str]:
        return sorted({module for module, _ in self.matrices})


def inspect_adapter(
    source: Source,
    *,
    base: Mapping[str, StoredTensor],
    quantisation: Quantisation | None,
    where: str,
    cache: Path | None = None,
) -> Adapter:
    """Read an adapter's config and header, hold them against the base, and digest its files.

    Args:
        source: from `open_source`.
        base: tensors of the base checkpoint.
        quantisation: of the base, where its tensors are packed, so that their shapes say nothing.
        where: the key that names the adapter, for messages.
        cache: root of the cache of digests; default: `config.cache.cache_folder()`.

    Raises:
        InputError: there is no adapter, its weights are pickled or cut.
        SpecError: it can't be run, does not fit the base, or has no effect.
    """
    files = {file.name: file for file in source.files()}
    where = f"{where}: {source.uri}"
    if ADAPTER_CONFIG not in files:
        held = ", ".join(sorted(files)[:8]) or "nothing"
        raise InputError(f"{where} has no {ADAPTER_CONFIG} (it holds {held}); name the folder that holds it")
    if WEIGHTS not in files:
        pickled = f", only {PICKLED}: `halluc-ray convert {source.uri} OUT` makes it" if PICKLED in files else ""
        raise InputError(f"{where} has no {WEIGHTS}{pickled or '; copy the adapter again'}")
    if quantisation is not None and quantisation.method not in QUANTISED_BASES:
        raise SpecError(
            f"{where} can't be put on weights that are quantised by {quantisation.method!r}, only on "
            f"{', '.join(sorted(QUANTISED_BASES))}; name an unquantised base, or merge it before quantising"
        )
    config = read_adapter_config(b"".join(source.chunks(files[ADAPTER_CONFIG])), where=where)
    contents = _contents(read_header(source, files[WEIGHTS]), config, where=where)
    _refuse_misfits(contents, base, quantised=quantisation is not None, where=where)
    if not contents.heads and not _has_effect(source, files[WEIGHTS], contents, config):
        raise SpecError(
            f"{where} changes nothing: in each of its {len(contents.modules)} modules A, B or lora_alpha is zero; "
            "name a trained adapter, or leave it out"
        )
    digests = file_digests(source, [files[ADAPTER_CONFIG], files[WEIGHTS]], cache=cache)
    known = _Suffixes(base)
    new = tuple(sorted(name for name in contents.heads if known.find(name) is None))
    return Adapter(source.uri, checkpoint_digest(digests), digests, new)


def _contents(tensors: Mapping[str, StoredTensor], config: AdapterConfig, *, where: str) -> _Contents:
    saved = set(config.modules_to_save or ())
    matrices: dict[tuple[str, str], StoredTensor] = {}
    heads: dict[str, StoredTensor] = {}
    for key, tensor in tensors.items():
        name = key.removeprefix(PREFIX)
        ending = next((ending for ending in _PARTS if name.endswith(ending)), None)
        if ending is not None:
            matrices[name.removesuffix(ending), _PARTS[ending]] = tensor
        elif saved & set(name.split(".")):
            heads[name] = tensor
        else:
            raise SpecError(
                f"{where} holds {key}, which is neither a LoRA matrix nor one of its modules_to_save (a resized "
                "vocabulary?); merge it into a checkpoint"
            )
    if not matrices:
        raise SpecError(f"{where} holds no LoRA matrix; name the folder of a trained adapter")
    return _Contents(matrices, heads)


def _refuse_misfits(contents: _Contents, base: Mapping[str, StoredTensor], *, quantised: bool, where: str) -> None:
    modules: dict[str, StoredTensor] = {}
    for name, tensor in base.items():
        module, _, last = name.rpartition(".")
        if last == "weight" or module not in modules:
            modules[module] = tensor
    known = _Suffixes(modules)
    places = {module: known.find(module) for module in contents.modules}
    absent = [module for module, place in places.items() if place is None]
    if absent:
        raise SpecError(
            f"{where} adapts {', '.join(absent[:3])}{' ...' if len(absent) > 3 else ''} ({len(absent)} of "
            f"{len(places)} modules), which the checkpoint does not have; name the base that it was trained on"
        )
    for module, place in places.items():
        down, up = contents.matrices.get((module, "A")), contents.matrices.get((module, "B"))
        if down is None or up is None:
            raise SpecError(f"{where} holds only one of the two matrices of {module}; copy the adapter again")
        weight = modules[place or ""].shape
        if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1]:
            raise SpecError(f"{where}: A {down.shape} and B {up.shape} of {module} make no matrix; copy it again")
        if not quantised and {(up.shape[0], down.shape[1]), (down.shape[1], up.shape[0])}.isdisjoint({weight}):
            raise SpecError(
                f"{where}: {module} is adapted as {up.shape[0]} x {down.shape[1]}, and the checkpoint's is "
                f"{' x '.join(map(str, weight))}; name the base that it was trained on"
            )
    for name, tensor in contents.heads.items():
        place = _Suffixes(base).find(name)
        if place is not None and not quantised and base[place].shape != tensor.shape:
            raise SpecError(
                f"{where}: it brings {name} of shape {tensor.shape}, and the checkpoint's is {base[place].shape}; "
                "name the base that it was trained on, saved with as many classes"
            )


class _Suffixes:
    """Finds a name among others that may lack leading parts, or have more: `h.0.attn` is `transformer.h.0.attn`."""

    def __init__(self, names: Mapping[str, StoredTensor]) -> None:
        self._names = names
        self._short: dict[str, str] = {}
        for name in names:
            for short in _endings(name):
                self._short.setdefault(short, name)

    def find(self, name: str) -> str | None:
        """The other's name; None where there is none."""
        if name in self._names:
            return name
        longer = self._short.get(name)
        return longer or next((short for short in _endings(name) if short in self._names), None)


def _endings(name: str) -> Iterator[str]:
    """`b.c` of `a.b.c`; never the last part alone, which many share."""
    parts = name.split(".")
    for start in range(1, len(parts) - 1):
        yield ".".join(parts[start:])


def _has_effect(source: Source, file: SourceFile, contents: _Contents, config: AdapterConfig) -> bool:
    """Whether some module's A and B are both more than zeros, and its scale is not zero."""
    full: set[tuple[str, str]] = set()
    if not any((config.lora_alpha, *config.alpha_pattern.values())):
        return False
    wanted = sorted(contents.matrices.items(), key=lambda item: item[1].start)
    for (module, part), data in zip((key for key, _ in wanted), _pieces(source, file, wanted), strict=True):
        if data.any():
            full.add((module, part))
        if {(module, "A"), (module, "B")} <= full or (module, "bias") in full:
            return True
    return False


def _pieces(
    source: Source, file: SourceFile, wanted: list[tuple[tuple[str, str], StoredTensor]]
) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Each tensor's bytes without signs, in the file's order, read once and no further than asked."""
    chunks, held, at = source.chunks(file), bytearray(), 0
    for _, tensor in wanted:
        while at + len(held) < tensor.stop:
            chunk = next(chunks, None)
            if chunk is None:
                raise InputError(f"{source.uri}: {file.name} became shorter while it was read; copy it again")
            held += chunk
            behind = min(max(tensor.start - at, 0), len(held))
            del held[:behind]
            at += behind
        data = np.frombuffer(bytes(held[tensor.start - at : tensor.stop - at]), dtype=np.uint8).copy()
        data[tensor.item_bytes - 1 :: tensor.item_bytes] &= 0x7F
        yield data

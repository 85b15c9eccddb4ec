"""The child process that unpickles weights and writes them as safetensors.

Run as `python -m halluc_ray.models.pickled_weights FOLDER OUT NAME MAX_SHARD_BYTES ANSWER`, with an
environment that holds no credentials. Every pickle is read with `weights_only=True`, so that one which
asks for code is refused. What was written is read back and compared with what was read. The answer, a
JSON object, goes to the file ANSWER. Caller: `conversion`, which imports no torch.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open

CONFIG = "config.json"
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_UNREADABLE = (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError, IndexError)


class Refused(Exception):
    """The weights can't be converted; the message says why."""


def main(arguments: Sequence[str]) -> None:
    """Convert and answer; a refusal is an answer too."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, out, name, max_shard_bytes, answer = arguments
    found: dict[str, Any]
    try:
        found = convert(Path(folder), out=Path(out), name=name, max_shard_bytes=int(max_shard_bytes))
    except Refused as refusal:
        found = {"refused": str(refusal)}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def _end_with_parent() -> None:
    """The parent holds the other end of standard input, and says nothing: it ends when the parent does."""
    sys.stdin.read()
    os._exit(1)


def convert(folder: Path, *, out: Path, name: str, max_shard_bytes: int) -> dict[str, Any]:
    """Read the `.bin` files of a folder and write them as safetensors.

    Args:
        folder: holds the `.bin` files, and the config.json by which tied weights are known.
        out: an empty folder.
        name: stem of what is written, such as `model`.
        max_shard_bytes: size that no shard exceeds, but for a tensor that is larger alone.

    Returns:
        `tensors`: names written; `tied`: names left out -> the name that holds the same weights.

    Raises:
        Refused: a pickle that needs code, a cut file, or something that is no tensor.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.bin")):
        for key, value in read(path).items():
            if key in tensors:
                raise Refused(f"{path.name} holds {key!r}, which another file holds too; copy the checkpoint again")
            tensors[key] = value
    if not tensors:
        raise Refused("the .bin files hold no tensor")
    tied = tied_names(folder / CONFIG, tensors)
    kept = independent({key: value for key, value in tensors.items() if key not in tied})
    try:
        save_torch_state_dict(
            kept, out, filename_pattern=f"{name}{{suffix}}.safetensors", max_shard_size=max_shard_bytes
        )
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"its tensors can't be written as safetensors ({error})") from error
    compare(out, {key: tensors[key] for key in kept})
    return {"tensors": len(kept), "tied": tied}


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of one pickle, mapped from the file where its format allows that."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UnpicklingError as error:
        asked = _GLOBAL.search(str(error))
        if asked is None:
            raise Refused(_damaged(path, error)) from error
        raise Refused(
            f"{path.name} asks for {asked[1]}, and nothing but tensors is ever read from a pickle; where you trust it, "
            "load it and save_pretrained() it yourself"
        ) from error
    except _UNREADABLE as error:
        raise Refused(_damaged(path, error)) from error
    if not isinstance(found, Mapping):
        raise Refused(f"{path.name} holds a {type(found).__name__}, not tensors by name")
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise Refused(f"{path.name} holds a {type(value).__name__} under {key!r}, not tensors by name")
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise Refused(f"{path.name}: {key} is a {value.layout} {value.dtype} tensor, which safetensors can't hold")
    return {key: value.detach() for key, value in found.items()}


def tied_names(config: Path, tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Names that the architecture ties to another whose weights are equal: loading makes them anew."""
    return {
        target: source
        for target, source in _ties(config).items()
        if target in tensors and source in tensors and same(tensors[target], tensors[source])
    }


def _ties(config: Path) -> dict[str, str]:
    """Tied name -> the name that holds the weights, of the config's architecture; empty where it is not known."""
    if not config.exists():
        return {}
    import transformers

    try:
        parsed = transformers.AutoConfig.from_pretrained(config.parent, local_files_only=True, trust_remote_code=False)
        network_class = getattr(transformers, (parsed.architectures or [""])[0], None)
        if network_class is None:
            return {}
        with torch.device("meta"):
            return dict(network_class(parsed).all_tied_weights_keys)
    except (*_UNREADABLE, ImportError, NotImplementedError):
        return {}


def independent(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors that share no memory; a copy is made only where they do."""
    seen: set[int] = set()
    alone: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        storage = value.untyped_storage().data_ptr()
        alone[key] = value.clone(memory_format=torch.contiguous_format) if storage in seen else value.contiguous()
        seen.add(storage)
    return alone


def compare(out: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse to have written anything but these tensors, bit by bit."""
    left = dict(tensors)
    for path in sorted(out.glob("*.safetensors")):
        with safe_open(path, framework="pt") as written:
            for key in written.keys():  # noqa: SIM118 - no mapping
                if key not in left or not same(written.get_tensor(key), left.pop(key)):
                    raise Refused(f"{key} was not written to {path.name} as it was read; check disk and memory")
    if left:
        raise Refused(f"{sorted(left)[:4]} were read and not written; check disk and memory")


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal in dtype, shape and every bit; not-a-number equals itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.numel() == 0:
        return True
    return torch.equal(*(tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other)))


def _damaged(path: Path, error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    return f"{path.name} is no whole pickle of weights ({said}); copy it again"


if __name__ == "__main__":
    main(sys.argv[1:])

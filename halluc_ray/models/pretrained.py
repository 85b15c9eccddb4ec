"""Reading a network and a tokenizer from a local folder through transformers, without the hub or code.

Knows how transformers loads; knows no template and no batch. Callers: the models. Imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging as transformers_logging

from halluc_ray.errors import ModelError
from halluc_ray.models.kinds import KINDS, NetworkClass
from halluc_ray.models.quantisation import section as quantisation_section

_AUTO_CLASSES: dict[NetworkClass, Any] = {
    "causal": transformers.AutoModelForCausalLM,
    "classifier": transformers.AutoModelForSequenceClassification,
    "encoder-decoder": transformers.AutoModelForSeq2SeqLM,
    "image-text": transformers.AutoModelForImageTextToText,
    "text-encoder": transformers.AutoModel,
    "two-towers": transformers.AutoModel,
}
_NOT_USED: dict[NetworkClass, tuple[str, ...]] = {"text-encoder": ("pooler.",)}
"""Weights that a class does without, by the start of their name: texts are pooled from the token's states."""
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json")
_LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError)


def load_tokenizer(folder: Path, *, fast: bool = True) -> Any:
    """The folder's tokenizer.

    Args:
        folder: holds the tokenizer's files.
        fast: refuse one that is written in Python, as those of Marian and M2M100 are.

    Raises:
        ModelError: there is none; transformers would make up one that knows no word.
    """
    if not any((folder / name).exists() for name in _VOCABULARIES) and not any(folder.glob("*.model")):
        raise ModelError(
            f"checkpoint {folder}: it holds no vocabulary ({', '.join(_VOCABULARIES)} or *.model); "
            "copy the tokenizer files of the base model there"
        )
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _LOAD_ERRORS as error:
        raise ModelError(
            f"checkpoint {folder}: no usable tokenizer ({error}); copy its tokenizer files there"
        ) from error
    if fast and not tokenizer.is_fast:
        raise ModelError(f"checkpoint {folder}: {type(tokenizer).__name__} has no fast form; save a tokenizer.json")
    return tokenizer


def load_network(
    kind: str, folder: Path, *, dtype: str, attention: str, device: str, brought: Collection[str] = ()
) -> Any:
    """The folder's network, in evaluation mode on the device.

    Args:
        kind: the system's kind.
        folder: holds config.json and safetensors.
        dtype: `float64`, `float32`, `bfloat16` or `float16`.
        attention: implementation of attention, such as `sdpa`.
        device: `cpu` or `cuda`.
        brought: weights that an adapter brings, so that the folder may lack them.

    Raises:
        ModelError: it can't be loaded, or weights that the kind needs are not in the checkpoint
            (transformers would invent them).
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    quantised = quantisation_section(json.loads((folder / "config.json").read_text(encoding="utf-8"))) is not None
    placed = _placed(device, quantised=quantised)
    try:
        network, report = _AUTO_CLASSES[KINDS[kind].network].from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **placed,
        )
    except _LOAD_ERRORS as error:
        raise ModelError(f"checkpoint {folder}: can't be loaded as {kind} ({error})") from error
    needless = _NOT_USED.get(KINDS[kind].network, ())
    missing = sorted(name for name in set(report["missing_keys"]) - set(brought) if not name.startswith(needless))
    if missing:
        raise ModelError(
            f"checkpoint {folder}: no weights for {', '.join(missing[:4])}{' ...' if len(missing) > 4 else ''}, which "
            f"{kind} needs; name a checkpoint that was fine-tuned for it"
        )
    network = network.eval() if placed else network.eval().to(device)
    refuse_offloading(network, folder=folder, device=device)
    return network


def refuse_offloading(network: Any, *, folder: Path, device: str) -> None:
    """Refuse a network that does not fit on the GPUs: accelerate would leave the rest in memory or on disk.

    Raises:
        ModelError: some of its weights are not on a device of that kind.
    """
    elsewhere = [name for name, weights in network.named_parameters() if weights.device.type != device]
    if elsewhere:
        raise ModelError(
            f"checkpoint {folder}: {len(elsewhere)} weights ({elsewhere[0]}, ...) did not fit on the "
            f"{torch.cuda.device_count()} GPU(s) of an actor; raise engine.gpus_per_actor, or quantise it"
        )


def _placed(device: str, *, quantised: bool) -> dict[str, Any]:
    """Where transformers puts weights on its own: over all the GPUs that an actor sees, and quantised ones on one."""
    if device == "cuda" and torch.cuda.device_count() > 1:
        return {"device_map": "auto"}
    return {"device_map": {"": device}} if quantised and device != "cpu" else {}

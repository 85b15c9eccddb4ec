"""How a checkpoint of sentence-transformers goes from tokens to the embedding of a text.

Reads the files that library leaves beside a model (modules.json, 1_Pooling/config.json,
sentence_bert_config.json); imports neither it nor torch. Callers: wiring, which refuses early, and
`embedder`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from halluc_ray.config import EmbedderSystem
from halluc_ray.errors import InputError, SpecError
from halluc_ray.models.checkpoint_sources import POOLING, Source

MODULES, SENTENCE = "modules.json", "sentence_bert_config.json"
Pooling = Literal["mean", "cls", "last"]

_MODES: Mapping[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_KNOWN_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})


@dataclass(frozen=True, slots=True)
class TextPooling:
    """From a text to its embedding.

    Attributes:
        mode: `mean` over a text's tokens, `cls` (the first) or `last`.
        max_tokens: that the checkpoint was made for; None: it does not say.
        lower_case: texts are lower-cased first.
    """

    mode: Pooling
    max_tokens: int | None = None
    lower_case: bool = False


def read_pooling(system: EmbedderSystem, source: Source) -> TextPooling:
    """How a system's checkpoint pools, as the system says or else the checkpoint.

    Raises:
        SpecError: the checkpoint does what is not supported: a layer after pooling, or another pooling.
        InputError: one of its files can't be read.
    """
    files = _read(source)
    sentence = files.get(SENTENCE, {})
    layers = [str(module.get("type", "")).split(".")[-1] for module in files.get(MODULES, [])]
    unknown = [layer for layer in layers if layer not in _KNOWN_MODULES]
    if unknown:
        raise SpecError(
            f"systems[{system.name}].checkpoint: {source.uri} embeds through a layer {unknown[0]} (modules.json), "
            "which is not supported; name a checkpoint of Transformer, Pooling and Normalize alone"
        )
    limit = sentence.get("max_seq_length")
    return TextPooling(
        mode=_mode(system, files.get(POOLING), source.uri) if system.pooling == "auto" else system.pooling,
        max_tokens=int(limit) if limit else None,
        lower_case=bool(sentence.get("do_lower_case")),
    )


def _mode(system: EmbedderSystem, config: Mapping[str, Any] | None, uri: str) -> Pooling:
    if config is None:
        return "mean"
    named = config.get("pooling_mode")
    if named is None:
        named = [mode for key, mode in _OLD_MODES.items() if config.get(key)]
    names = [named] if isinstance(named, str) else list(named)
    if len(names) != 1 or names[0] not in _MODES:
        raise SpecError(
            f"systems[{system.name}].pooling: auto, and {uri} pools by {' and '.join(map(str, names)) or 'nothing'} "
            f"({POOLING}); mean, cls and lasttoken are supported: set pooling to one, where that is what you mean"
        )
    return _MODES[names[0]]


def _read(source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in source.files():
        if file.name in (MODULES, POOLING, SENTENCE):
            try:
                found[file.name] = json.loads(b"".join(source.chunks(file)))
            except ValueError as error:
                raise InputError(
                    f"checkpoint {source.uri}: {file.name} is no JSON ({error}); copy the checkpoint again"
                ) from error
            wanted = list if file.name == MODULES else dict
            if not isinstance(found[file.name], wanted):
                raise InputError(
                    f"checkpoint {source.uri}: {file.name} holds a {type(found[file.name]).__name__}, not a "
                    f"{wanted.__name__}; copy the checkpoint again"
                )
    return found

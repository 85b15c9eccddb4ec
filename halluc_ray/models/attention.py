"""Which implementation of attention a model family has in transformers.

Knows `model_type`s; loads nothing. Caller: `numerics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
"""Families without torch's scaled dot-product attention, or not for all that they do."""


def attention_of(config: Mapping[str, Any]) -> str:
    """`sdpa` where the checkpoint's family has it, else `eager`.

    Args:
        config: the checkpoint's config.json.

    >>> attention_of({"model_type": "llama"}), attention_of({"model_type": "deberta-v2"})
    ('sdpa', 'eager')
    """
    return "eager" if config.get("model_type") in _SDPA_LESS else "sdpa"

"""Whether a checkpoint is of the kind that a system says, as far as its config tells.

Knows config.json alone; what it can't tell, loading does. Called by wiring, at plan time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halluc_ray.config import CausalSystem, CheckpointSystem, ChoicesSystem, Seq2SeqSystem
from halluc_ray.errors import SpecError

_CAUSAL_HEADS = ("ForCausalLM", "LMHeadModel")


def refuse_other_kind(system: CheckpointSystem, config: Mapping[str, Any], *, where: str) -> None:
    """Refuse an encoder-decoder as a causal model, and a causal model as an encoder-decoder.

    Args:
        system: the system's section of the spec.
        config: the checkpoint's config.json.
        where: key path of the system, for messages.

    Raises:
        SpecError: the kind is another; names the right one.
    """
    model_type = config.get("model_type")
    if isinstance(system, CausalSystem | ChoicesSystem) and config.get("is_encoder_decoder"):
        raise SpecError(
            f"{where}.kind: {system.kind}, and the checkpoint (model_type {model_type!r}) is an encoder-decoder; "
            "set kind: seq2seq-lm, or name another checkpoint"
        )
    heads = [str(name) for name in config.get("architectures") or ()]
    causal = any(name.endswith(_CAUSAL_HEADS) for name in heads) and not config.get("is_encoder_decoder")
    if isinstance(system, Seq2SeqSystem) and causal:
        raise SpecError(
            f"{where}.kind: {system.kind}, and the checkpoint (model_type {model_type!r}) is a decoder alone; "
            "set kind: causal-lm, or name another checkpoint"
        )

"""What sets one kind of system apart from another before its model is loaded.

One entry for each kind that loads a checkpoint; the models themselves are chosen in `loading`. Whether a
checkpoint is of the kind that a system says is told as far as its config.json does; what that can't tell,
loading does. Called by wiring, `numerics`, `networks` and `pretrained`. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from halluc_ray.config import CausalSystem, CheckpointSystem, ChoicesSystem, Seq2SeqSystem
from halluc_ray.errors import SpecError

NetworkClass = Literal["causal", "classifier", "encoder-decoder", "image-text", "text-encoder", "two-towers"]
"""What transformers loads: systems of one class and one checkpoint share what is held."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind needs of a machine.

    Attributes:
        network: class of its network.
        batches: `reads` where a row passes the network once and gives little; `decodes` where rows share the
            weights at each step, or every position gives logits over the vocabulary.
        looks: it decodes images.
    """

    network: NetworkClass
    batches: Literal["reads", "decodes"]
    looks: bool = False


KINDS: Mapping[str, Kind] = {
    "sequence-classification": Kind("classifier", "reads"),
    "embedder": Kind("text-encoder", "reads"),
    "dual-encoder": Kind("two-towers", "reads", looks=True),
    "causal-lm": Kind("causal", "decodes"),
    "choices": Kind("causal", "decodes"),
    "seq2seq-lm": Kind("encoder-decoder", "decodes"),
    "image-text-to-text": Kind("image-text", "decodes", looks=True),
}

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

"""How many tokens a network takes, what is left of them for a prompt, and what a prompt above that keeps.

Knows configs and tokenizers; loads nothing. Callers: the models, and wiring at plan time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halluc_ray.config import CausalSystem, ImageTextSystem
from halluc_ray.errors import SpecError

_SHORTEST_PROMPT = 2
"""Tokens: one to begin with, and one that says something."""

_UNBOUNDED_TOKENS = 1_000_000


def longest_input(network: Any, tokenizer: Any) -> int:
    """Tokens that the network can take at most, by its position table for texts and its tokenizer's own limit."""
    config = network.config.get_text_config() if hasattr(network.config, "vision_config") else network.config
    return most_tokens(config, tokenizer, reserved=_reserved_positions(network))


def most_tokens(config: Any, tokenizer: Any, *, reserved: int = 0) -> int:
    """The same from a config.

    Relative positions alone (T5 family) have no end: what their tokenizers call a limit is the length of training.

    Args:
        config: of the network.
        tokenizer: of the network.
        reserved: positions that no token takes.
    """
    names = ("max_position_embeddings", "n_positions", "max_encoder_position_embeddings")
    positions = next((found for name in names if (found := getattr(config, name, None)) and found > 0), None)
    if getattr(config, "relative_attention_num_buckets", None) and not getattr(config, names[0], None):
        return _UNBOUNDED_TOKENS
    limits = [_UNBOUNDED_TOKENS, int(tokenizer.model_max_length)]
    if positions:
        limits.append(int(positions) - reserved)
    return min(limits)


def prompt_limit(system: CausalSystem | ImageTextSystem, *, positions: int) -> int:
    """Tokens that a prompt may have where it shares the positions with its answer.

    Args:
        system: its section of the spec.
        positions: of the network.

    Raises:
        SpecError: the longest answer takes all of them.
    """
    new = system.decoding.max_new_tokens
    if positions - new < _SHORTEST_PROMPT:
        raise SpecError(
            f"systems[{system.name}].decoding.max_new_tokens: {new} leaves no room for a prompt in the model's "
            f"{positions} positions; lower it"
        )
    return min(system.max_input_tokens, positions - new)


def keep_end(tokens: Sequence[int], *, limit: int, bos: int | None) -> tuple[int, ...]:
    """The last tokens of a prompt, behind its beginning-of-sequence token where it has one.

    >>> keep_end([1, 5, 6, 7], limit=3, bos=1), keep_end([4, 5, 6, 7], limit=3, bos=1), keep_end([1, 5], limit=3, bos=1)
    ((1, 6, 7), (5, 6, 7), (1, 5))
    """
    if len(tokens) <= limit:
        return tuple(tokens)
    kept = tokens[-limit:]
    return (tokens[0], *kept[1:]) if tokens[0] == bos else tuple(kept)


def _reserved_positions(network: Any) -> int:
    """Rows of the position table that no token uses: the RoBERTa family counts from its padding id + 1."""
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.padding_idx) + 1
    return 0

"""How the log-likelihoods of a row's options are compared.

Knows one number and two lengths; does not know models or truths. Called by the model that chooses and
by the indicators that judge the choice.
"""

from __future__ import annotations

from typing import Literal

ChooseBy = Literal["sum", "per_token", "per_byte"]


def likelihood(text: str, *, logprob: float, num_tokens: int, by: ChooseBy) -> float:
    """The number by which one option is compared with the others of its row.

    Args:
        text: the option, at least one character.
        logprob: natural logarithm of its probability after the prompt.
        num_tokens: tokens that this probability is a product over.
        by: as it is, or divided by its tokens or its UTF-8 bytes.

    >>> [likelihood("巴黎", logprob=-6.0, num_tokens=3, by=by) for by in ("sum", "per_token", "per_byte")]
    [-6.0, -2.0, -1.0]
    """
    match by:
        case "sum":
            return logprob
        case "per_token":
            return logprob / num_tokens
        case "per_byte":
            return logprob / len(text.encode("utf-8"))

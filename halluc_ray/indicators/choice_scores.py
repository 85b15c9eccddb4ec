"""What indicators of multiple choice read: a row's options, parted into true ones and false ones.

Knows the stored form of option scores; does not know how a choice is judged. Called by
`choice_mismatch` and `choice_mass`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halluc_ray.indicators.rows import Verdict, without_score
from halluc_ray.records.options import ChooseBy, likelihood
from halluc_ray.records.outcomes import Outcome

Option = Mapping[str, Any]
"""One entry of `option_scores`: `text`, `logprob`, `num_tokens`."""


@dataclass(frozen=True, slots=True)
class Parted:
    """The options of one row; an option that is both offered and true is true.

    Attributes:
        true: those among the references.
        false: the others.
    """

    true: Sequence[Option]
    false: Sequence[Option]


def part(options: Sequence[Option] | None, references: Collection[str | None] | None) -> Parted | Verdict:
    """The row's options by truth, or why there is no such thing.

    Not applicable: no reference (`no_reference`), nothing but true options (`no_false_option`).
    Undecided: the system gave no scores (`no_option_scores`), or none of the references was rated
    (`true_option_not_rated`), or each option has probability zero (`no_probability`).
    """
    if not references:
        return without_score(Outcome.NOT_APPLICABLE, "no_reference")
    if not options:
        return without_score(Outcome.UNDECIDED, "no_option_scores")
    parted = Parted(
        true=[option for option in options if option["text"] in references],
        false=[option for option in options if option["text"] not in references],
    )
    if not parted.false:
        return without_score(Outcome.NOT_APPLICABLE, "no_false_option")
    if not parted.true:
        return without_score(Outcome.UNDECIDED, "true_option_not_rated")
    if all(option["logprob"] == float("-inf") for option in options):
        return without_score(Outcome.UNDECIDED, "no_probability")
    return parted


def compared(option: Option, by: ChooseBy) -> float:
    """The number by which an option is compared with others."""
    return likelihood(option["text"], logprob=option["logprob"], num_tokens=option["num_tokens"], by=by)

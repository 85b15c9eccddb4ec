"""The six outcomes of one sample under one indicator.

The measure is I_k(i) = 1[f(x_i) != g(x_i)] under indicator k's meaning of !=, where k is defined;
the rate is P_k = sum I_k / N_k over the samples where k is defined. Only `hallucinated` and
`supported` are defined.
"""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """Code of an outcome, as stored (uint8)."""

    HALLUCINATED = 0
    SUPPORTED = 1
    ABSTAINED = 2
    UNDECIDED = 3
    NOT_APPLICABLE = 4
    FAILED = 5

    @property
    def label(self) -> str:
        """The outcome's name in reports: `hallucinated`, `not_applicable`, ..."""
        return self.name.lower()


OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)

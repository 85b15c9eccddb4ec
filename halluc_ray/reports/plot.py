"""The axis that intervals are drawn on.

Knows shares and positions in percent of a width; caller: `render`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from halluc_ray.reports.report import Rate

_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from 0 to `top`, a share; ticks are shares as well."""

    top: float
    ticks: tuple[float, ...]

    def at(self, share: float) -> str:
        """Position of a share, in percent of the axis, as an SVG length."""
        return f"{100 * min(share / self.top, 1.0):.3f}%"


def axis_for(rates: Iterable[Rate]) -> Axis:
    """The shortest round axis that holds every interval.

    >>> from types import SimpleNamespace
    >>> axis_for([SimpleNamespace(high=0.13), SimpleNamespace(high=None)]).ticks
    (0.0, 0.05, 0.1, 0.15)
    """
    most = max((rate.high for rate in rates if rate.high is not None), default=1.0)
    step = next((step for step in _STEPS if most <= step * _MOST_TICKS), _STEPS[-1])
    number = min(-int(-most // step), round(1 / step)) or 1
    return Axis(top=round(number * step, 6), ticks=tuple(round(at * step, 6) for at in range(number + 1)))

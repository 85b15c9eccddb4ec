"""From the spec's indicator entries to indicators.

Checks options against the kind's own model and says which key is wrong. Called by the plan and by
every actor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from halluc_ray.config import IndicatorSpec
from halluc_ray.config.problems import describe
from halluc_ray.errors import SpecError
from halluc_ray.indicators import registry
from halluc_ray.indicators.protocol import Indicator, IndicatorOptions


@dataclass(frozen=True, slots=True)
class WiredIndicator:
    """An indicator with the name that the spec gives it.

    Attributes:
        name: in reports.
        indicator: ready to score.
        options: validated.
    """

    name: str
    indicator: Indicator
    options: IndicatorOptions

    @property
    def scored_options(self) -> dict[str, Any]:
        """Options that the stored scores depend on, those at their default left out."""
        return self.options.model_dump(mode="json", exclude_defaults=True, exclude=set(self.options.thresholds))

    @property
    def thresholds(self) -> dict[str, Any]:
        """Options that only `decide` reads, those at their default left out."""
        return self.options.model_dump(mode="json", exclude_defaults=True, include=set(self.options.thresholds))


def wire_indicators(specs: Sequence[IndicatorSpec]) -> tuple[WiredIndicator, ...]:
    """Indicators of a run, in the spec's order.

    Raises:
        SpecError: unknown kinds or options, listing each with its key path.
    """
    wired, problems = [], []
    for position, spec in enumerate(specs):
        path = f"indicators[{position}]"
        try:
            kind = registry.get(spec.kind)
            options = kind.Options.model_validate(spec.options)
            wired.append(WiredIndicator(spec.name, kind(options), options))
        except ValidationError as error:
            schema = kind.Options.model_json_schema()
            lines = describe(error.errors(), data=spec.options, schema=schema, places={})
            problems += [f"{path}.{line}".replace(".the spec:", ":", 1) for line in lines]
        except SpecError as error:
            problems.append(f"{path}.kind: {error}")
    if problems:
        raise SpecError("\n".join(problems))
    return tuple(wired)

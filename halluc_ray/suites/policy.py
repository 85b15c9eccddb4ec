"""The gate's policy: what may not get worse, by how much, and where. One frozen tree and its reading from YAML.

Knows the shape; reads no run. Callers: `gate`, the suite file, the command line.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, ValidationError, model_validator

from halluc_ray.config.problems import Path, describe
from halluc_ray.config.section import Name, Section, Share
from halluc_ray.config.yaml_text import read_yaml
from halluc_ray.errors import SpecError

_USUAL_DROP = 0.02
Value = str | int | bool | None


class GateRule(Section):
    """Limits on one indicator, over all rows or in a slice."""

    indicator: Name | None = Field(default=None, description="Name in the run; default: every indicator.")
    system: Name | None = Field(default=None, description="Name in the run; default: every system.")
    slice: tuple[str, ...] | dict[str, Value] = Field(
        default=(), description="Columns of one of the run's slices: each of its cells; or column: value, one cell."
    )
    min_rows: int = Field(default=0, ge=0, description="Cells with fewer rows are not judged; how many is told.")
    max_increase: float | None = Field(
        default=None, gt=0, le=1, description="Of the rate over the baseline's, as a share; pairs decide."
    )
    max_rate: float | None = Field(default=None, ge=0, lt=1, description="That the rate may reach, as a share.")
    min_answered_share: Share | None = Field(
        default=None, description="Of the rows, those neither abstained nor failed, at least."
    )
    max_answered_drop: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Of the answered share below the baseline's; default: max_increase, else 0.02. 1 allows any.",
    )

    @model_validator(mode="after")
    def _limits_something(self) -> GateRule:
        limits = (self.max_increase, self.max_rate, self.min_answered_share, self.max_answered_drop)
        if all(limit is None for limit in limits):
            raise ValueError("a rule needs a limit: max_increase, max_rate, min_answered_share or max_answered_drop")
        return self

    @property
    def answered_drop(self) -> float | None:
        """The drop that is allowed: by default as much as the rate may rise, so that silence buys nothing.

        None where the answered share has a limit of its own.
        """
        if self.max_answered_drop is not None:
            return self.max_answered_drop
        if self.max_increase is not None:
            return self.max_increase
        return None if self.min_answered_share is not None else _USUAL_DROP

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the slice; none for all rows."""
        return tuple(self.slice)


class GatePolicy(Section):
    """What a run must hold to pass."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of the intervals that decide.")
    power: float = Field(default=0.8, gt=0, lt=1, description="With which the detectable increase would be found.")
    rules: tuple[GateRule, ...] = Field(min_length=1)


def load_policy(text: str, *, source: str) -> GatePolicy:
    """Read a policy.

    Args:
        text: YAML.
        source: what to call it in messages: its path or URI.

    Raises:
        SpecError: every problem on a line of its own: key path, line, value, what is allowed.
    """
    document = read_yaml(text, source=source)
    if not isinstance(document.value, dict):
        raise SpecError(f"{source}: a policy is a mapping with the key rules: a list of limits")
    data: dict[Any, Any] = {str(key): value for key, value in document.value.items()}
    try:
        return GatePolicy.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        places: dict[Path, str] = {path: f"line {line}" for path, line in document.lines.items() if path}
        found = describe(
            error.errors(include_url=False), data=data, schema=GatePolicy.model_json_schema(), places=places
        )
        lines = "".join(f"\n  {problem}" for problem in found)
        raise SpecError(f"{source} is no valid policy:{lines}") from None

"""The suite file: which specs a night evaluates, on which systems, against what, and who is told.

One frozen tree of pydantic models and its reading from YAML text. Knows the shape; reads no store.
Called by `tonight`, `nightly` and the command line.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from halluc_ray.config import Store, System
from halluc_ray.config.load import apply_override
from halluc_ray.config.problems import Path, describe
from halluc_ray.config.section import Section
from halluc_ray.config.yaml_text import read_yaml
from halluc_ray.errors import SpecError
from halluc_ray.reports.publishing import Rule
from halluc_ray.suites.policy import GatePolicy

KEY_NAME = r"\w[\w.-]{0,59}"
"""A name that becomes part of a key: letters of any script, digits, '_', '.' and '-'."""


def _as_key(name: str) -> str:
    if not re.fullmatch(KEY_NAME, name):
        raise ValueError(f"{name!r} can't name it: letters, digits, '_', '.' and '-' do, 60 at most, as in qa-v1.2")
    return name


KeyName = Annotated[str, AfterValidator(_as_key)]


class RunBaseline(Section):
    """A run that is held fixed."""

    run: str = Field(min_length=1, description="Run id under this output.")


class ReleaseBaseline(Section):
    """A release that was named with `halluc-ray release`."""

    release: KeyName


Baseline = Literal["latest"] | RunBaseline | ReleaseBaseline


class SuiteEntry(Section):
    """One spec of a suite."""

    name: KeyName = Field(description="Names the spec in history; default: the file's name without its ending.")
    spec: str = Field(min_length=1, description="YAML file: a path (from the current directory) or an s3:// URI.")
    set: tuple[str, ...] = Field(default=(), description="KEY=VALUE, as for --set; with {date} and {output}.")
    baseline: Baseline | None = Field(default=None, description="In place of the suite's.")

    @model_validator(mode="before")
    @classmethod
    def _text_is_a_spec(cls, value: Any) -> Any:
        entry = {"spec": value} if isinstance(value, str) else value
        if not isinstance(entry, dict):
            return entry
        if isinstance(entry.get("set"), list):  # what a validator gives back is no JSON any more: no list for a tuple
            entry = {**entry, "set": tuple(entry["set"])}
        if "name" not in entry and isinstance(entry.get("spec"), str):
            entry = {**entry, "name": PurePosixPath(entry["spec"]).stem}
        return entry


class DevicePolicy(Section):
    """What one kind of device costs, and how much of it one command may hold."""

    price_per_hour: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Money for one device, one hour.")
    max_seconds: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Device-seconds after which a night stops, with code 4."
    )


class Channel(Section):
    """A webhook. Its address is a secret where holding it is enough to post, as Slack's is: name a variable."""

    url: str | None = Field(default=None, json_schema_extra={"pattern": "^https?://"})
    url_env: str | None = Field(default=None, min_length=1, description="Environment variable that holds the address.")
    form: Literal["json", "slack"] = "json"
    when: Literal["always", "not_pass"] = "always"
    limit_s: float = Field(default=30.0, gt=0, le=600, description="Time for all tries together.")

    @model_validator(mode="after")
    def _one_address(self) -> Channel:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("set one of `url` and `url_env`")
        if self.url is not None and not re.match("https?://", self.url):
            raise ValueError("`url` must begin with http:// or https://")  # here, since a field's value is quoted
        return self


class Publish(Section):
    """What of a corpus' texts the site may show; it travels further than the corpus."""

    samples: Rule = Field(
        default="all", description="Prompts, answers, references, evidence: all; redacted: their shape alone; none."
    )


class Suite(Section):
    """A nightly benchmark."""

    name: KeyName
    specs: tuple[SuiteEntry, ...] = Field(min_length=1)
    systems: tuple[System, ...] = Field(
        default=(), description="In place of each spec's own; a checkpoint may be a pattern, and hold {date}."
    )
    slices: tuple[str | tuple[str, ...], ...] = Field(default=(), description="Beside each spec's own.")
    output: str = Field(default="./out", min_length=1, description="Root of runs and history, for every spec.")
    store: Store = Store()
    schedule: Literal["daily", "weekdays"] | None = Field(
        default=None, description="Nights that are expected; those without a record are said to be missed."
    )
    baseline: Baseline | None = None
    gate: GatePolicy | str | None = Field(default=None, description="The policy, or its YAML file.")
    devices: dict[str, DevicePolicy] = Field(
        default_factory=dict, description="By kind: Ray's accelerator type, such as H100; gpu; cpu."
    )
    notify: tuple[Channel, ...] = ()
    publish: Publish = Publish()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Suite:
        names = [entry.name for entry in self.specs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"specs: two are called {twice[0]!r}; give each its own `name`")
        return self


def load_suite(text: str, *, source: str, overrides: Sequence[str] = ()) -> Suite:
    """Read a suite.

    Args:
        text: YAML.
        source: what to call it in messages: its path or URI.
        overrides: `path=value`, such as `output=s3://evals/out`; values are YAML.

    Raises:
        SpecError: every problem on a line of its own: key path, line, value, what is allowed.
    """
    document = read_yaml(text, source=source)
    if not isinstance(document.value, dict):
        raise SpecError(f"{source}: a suite is a mapping with the keys name and specs")
    if "corpus" in document.value and "specs" not in document.value:
        raise SpecError(f"{source} is a spec, not a suite; name it under `specs` of a suite, or `halluc-ray run` it")
    data = copy.deepcopy(document.value)
    places: dict[Path, str] = {path: f"line {line}" for path, line in document.lines.items() if path}
    for override in overrides:
        places[apply_override(data, override)] = "--set"
    try:
        return Suite.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = describe(found, data=data, schema=Suite.model_json_schema(), places=places)
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise SpecError(f"{source} is no valid suite:{lines}") from None

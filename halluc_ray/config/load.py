"""A spec from YAML text and overrides; everything wrong with it in one error.

Knows text, not files: whoever reads the file calls `load_spec`. Paths in a spec are left as they
are written: relative ones are relative to the current directory, not to the spec's folder.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from halluc_ray.config.digest import digest
from halluc_ray.config.expression import parse_condition
from halluc_ray.config.problems import Path, describe
from halluc_ray.config.spec import RunSpec
from halluc_ray.config.yaml_text import read_yaml
from halluc_ray.errors import SpecError


def load_spec(text: str, *, source: str, overrides: Sequence[str] = ()) -> RunSpec:
    """Read a spec.

    Args:
        text: YAML.
        source: what to call it in messages: its path or URI.
        overrides: `path=value`, such as `engine.actors=2` or `systems.0.decoding.seed=3`; values are YAML.

    Raises:
        SpecError: every problem on a line of its own: key path, line, value, what is allowed.
    """
    document = read_yaml(text, source=source)
    if not isinstance(document.value, dict):
        raise SpecError(f"{source}: a spec is a mapping with the keys corpus, systems and indicators")
    if "specs" in document.value and "corpus" not in document.value:
        raise SpecError(
            f"{source} is a suite, not a spec; give it to `halluc-ray nightly`, and here one of its specs, or a run's "
            "URI, <output>/runs/<run id>"
        )
    data = copy.deepcopy(document.value)
    places: dict[Path, str] = {path: f"line {line}" for path, line in document.lines.items() if path}
    for override in overrides:
        places[apply_override(data, override)] = "--set"
    return _validated(data, source=source, places=places)


def spec_from(content: Mapping[str, Any], *, source: str = "the mapping") -> RunSpec:
    """The spec that a mapping says, as YAML would; paths may be `pathlib` ones.

    Raises:
        SpecError: every problem on a line of its own: key path, value, what is allowed.
    """
    return _validated(dict(content), source=source, places={})


def _validated(data: dict[Any, Any], *, source: str, places: Mapping[Path, str]) -> RunSpec:
    data = _texts_as_keys(data)
    try:
        spec = RunSpec.model_validate_json(json.dumps(data, default=os.fspath), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = describe(found, data=data, schema=RunSpec.model_json_schema(), places=places)
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise SpecError(f"{source} is no valid spec, {_counted(len(problems))}:{lines}") from None
    _check_conditions(spec, source=source)
    return spec


def spec_digest(spec: RunSpec) -> str:
    """By which a run is found again from the spec that it came from.

    Covers what the spec says beside its defaults; how the work is spread (`engine`) and how the
    store is reached (`store`) are left out, so that overriding them finds the same run.
    """
    return digest(spec.model_dump(mode="json", exclude_defaults=True, exclude={"engine", "store"}))


def _check_conditions(spec: RunSpec, *, source: str) -> None:
    conditions = [("corpus.where", spec.corpus.where)]
    conditions += [(f"summaries[{k}].where", summary.where) for k, summary in enumerate(spec.summaries)]
    problems = []
    for path, text in conditions:
        try:
            if text is not None:
                parse_condition(text, path=path)
        except SpecError as problem:
            problems.append(f"\n  {problem}")
    if problems:
        raise SpecError(f"{source} is no valid spec, {_counted(len(problems))}:{''.join(problems)}")


def _counted(num_problems: int) -> str:
    return "one problem" if num_problems == 1 else f"{num_problems} problems"


def _texts_as_keys(value: Any) -> Any:
    """JSON's view of the data: keys are texts, as they are in `path_text`."""
    if isinstance(value, dict):
        return {str(key): _texts_as_keys(item) for key, item in value.items()}
    return [_texts_as_keys(item) for item in value] if isinstance(value, list) else value


def apply_override(data: dict[Any, Any], override: str) -> Path:
    """Set one value in place; missing sections on the way are made. Returns its path.

    Raises:
        SpecError: not of the form path=value, or no place in the data.
    """
    written, equals, text = override.partition("=")
    parts = [part for part in re.split(r"[.\[\]]+", written.strip()) if part]
    if not equals or not parts:
        raise SpecError(f"--set {override}: write it as path=value, such as --set engine.actors=2")
    value = read_yaml(text, source=f"--set {override}").value
    path: list[str | int] = []
    here: Any = data
    for part in parts:
        if path:
            here = _child(here, path[-1], override)
        path.append(_step(here, part, override))
    here[path[-1]] = value
    return tuple(str(part) if isinstance(part, str) else part for part in path)


def _child(here: Any, key: str | int, override: str) -> Any:
    if isinstance(here, dict) and here.get(key) is None:
        here[key] = {}
    child = here[key]
    if not isinstance(child, dict | list):
        raise SpecError(f"--set {override}: {key} is {child!r} in the spec, so nothing can be set below it")
    return child


def _step(here: Any, part: str, override: str) -> str | int:
    if isinstance(here, list):
        if not part.isdigit() or int(part) >= len(here):
            known = f"0 to {len(here) - 1}" if here else "none: the list is empty"
            raise SpecError(f"--set {override}: {part!r} is no position in the list; positions: {known}")
        return int(part)
    return int(part) if part.isdigit() and int(part) in here else part

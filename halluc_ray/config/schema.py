"""JSON Schema of a spec, for editors.

Knows the spec's own shape; the options of indicator kinds are passed in, since they live above.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halluc_ray.config.spec import RunSpec


def spec_schema(indicator_options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The schema that an editor checks a spec against (draft 2020-12).

    Args:
        indicator_options: kind -> JSON Schema of its options.

    Returns:
        The schema; each indicator must be of a known kind, with that kind's options alone.
    """
    schema = RunSpec.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    common = definitions["IndicatorSpec"]["properties"]
    branches = []
    for kind, options in sorted(indicator_options.items()):
        for name, definition in options.get("$defs", {}).items():
            definitions.setdefault(f"{kind}.{name}", _renamed(definition, kind))
        branch = _renamed({key: value for key, value in options.items() if key != "$defs"}, kind)
        branch["properties"] = {**common, "kind": {"const": kind}, **branch.get("properties", {})}
        branch["required"] = ["kind", *branch.get("required", [])]
        branch["additionalProperties"] = False
        branch["type"] = "object"
        definitions[f"{kind}.indicator"] = branch
        branches.append({"$ref": f"#/$defs/{kind}.indicator"})
    definitions["IndicatorSpec"] = {"oneOf": branches} if branches else definitions["IndicatorSpec"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _renamed(value: Any, kind: str) -> Any:
    """The value with references to its own definitions moved under the kind's name."""
    if isinstance(value, Mapping):
        return {
            key: f"#/$defs/{kind}.{item.rsplit('/', 1)[-1]}" if key == "$ref" else _renamed(item, kind)
            for key, item in value.items()
        }
    return [_renamed(item, kind) for item in value] if isinstance(value, list) else value

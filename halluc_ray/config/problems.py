"""What pydantic found wrong with a spec, in the words of the person who wrote it.

One line per problem: the key path, its line, the value, what is allowed, and a near miss. Knows
the spec's JSON Schema and nothing else; called by `load`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_ALSO_CALLED = {"gpu": "cuda", "nvidia": "cuda", "fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Words that people use for a value, closer in letters to another."""


def describe(
    errors: Iterable[ErrorDetails], *, data: Any, schema: Mapping[str, Any], places: Mapping[Path, str]
) -> list[str]:
    """One text per problem, in the order of the spec.

    Args:
        errors: from `ValidationError.errors()`.
        data: the values that were validated.
        schema: JSON Schema of the spec.
        places: path -> where the user wrote it (`line 12`, `--set`).
    """
    by_path: dict[Path, list[tuple[Path, ErrorDetails]]] = {}
    for error in errors:
        if error["type"] == "too_short" and error["input"]:
            continue  # its items are bad, and each says so
        path = _path_in(data, error)
        by_path.setdefault(path, []).append((tuple(error["loc"]), error))
    return [_line(path, found, schema=schema, places=places) for path, found in by_path.items()]


def path_text(path: Path) -> str:
    """A path as a user would write it.

    >>> path_text(("systems", 1, "decoding", "seed"))
    'systems[1].decoding.seed'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text or "the spec"


def near_miss(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _path_in(data: Any, error: ErrorDetails) -> Path:
    """The part of pydantic's location that exists in the data: union tags and type names fall away."""
    path: list[str | int] = []
    here = data
    for position, part in enumerate(error["loc"]):
        last = position == len(error["loc"]) - 1
        if isinstance(here, dict) and (part in here or (last and error["type"] == "missing")):
            path.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path.append(part)
            here = here[part]
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path.append("kind")
    return tuple(path)


def _line(
    path: Path, found: list[tuple[Path, ErrorDetails]], *, schema: Mapping[str, Any], places: Mapping[Path, str]
) -> str:
    place = next((places[path[:length]] for length in range(len(path), 0, -1) if path[:length] in places), None)
    messages = list(dict.fromkeys(_message(loc, error, schema) for loc, error in found))
    return f"{path_text(path)}{f' ({place})' if place else ''}: {_join(messages)}"


def _join(messages: list[str]) -> str:
    if len(messages) > 1 and all(" must be " in message for message in messages):
        head = messages[0].split(" must be ")[0]
        return f"{head} must be " + ", or ".join(message.split(" must be ", 1)[1] for message in messages)
    return "; ".join(messages)


def _message(loc: Path, error: ErrorDetails, schema: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            known = sorted(_section(loc[:-1], schema).get("properties", {}))
            return f"unknown key{near_miss(str(loc[-1]), known) or '.'} Allowed: {', '.join(known)}"
        case "missing":
            return "required, but missing" + _meaning(loc, schema)
        case "union_tag_invalid":
            tags = [tag.strip().strip("'") for tag in context["expected_tags"].split(", ")]
            suggestion = near_miss(str(context["tag"]), tags) or "."
            return f"{_shown(context['tag'])} is not known{suggestion} Allowed: {', '.join(tags)}"
        case "union_tag_not_found":
            tags = sorted(_section(loc, schema).get("discriminator", {}).get("mapping", {}))
            return f"required, but missing. Allowed: {', '.join(tags)}"
        case "literal_error":
            allowed = context["expected"]
            words = [word.strip("'") for word in allowed.replace(" or ", ", ").split(", ")]
            meant = _ALSO_CALLED.get(error["input"], error["input"]) if isinstance(error["input"], str) else ""
            suggestion = near_miss(meant, words) if meant else ""
            return f"{_shown(error['input'])} must be {allowed}{suggestion}"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"{_shown(error['input'])} must be a mapping (key: value)"
        case "tuple_type":
            return f"{_shown(error['input'])} must be a list"
        case "string_type":
            return f"{_shown(error['input'])} must be text{_quoting(error['input'])}"
        case "too_short":
            return "must not be empty"
        case _:
            expected = error["msg"][:1].lower() + error["msg"][1:]
            return f"{_shown(error['input'])} must be {expected.removeprefix('input should be ')}"


def _quoting(value: Any) -> str:
    """How to write as text what YAML took for something else; `{prompt}` without quotes is a mapping."""
    if isinstance(value, dict) and len(value) == 1 and list(value.values()) == [None]:
        return f' (put it in quotes: "{{{next(iter(value))}}}")'
    return " (put it in quotes)" if isinstance(value, bool | int | float) else ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _meaning(loc: Path, schema: Mapping[str, Any]) -> str:
    description = _section(loc, schema).get("description", "")
    return f". {description}" if description else ""


def _section(loc: Path, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of the JSON Schema that a pydantic location points at; empty where it can't be told."""
    here: Mapping[str, Any] = schema
    for part in loc:
        here = _resolved(here, schema)
        tags = here.get("discriminator", {}).get("mapping", {})
        if isinstance(part, int):
            here = here.get("items", {})
        elif part in tags:
            here = {"$ref": tags[part]}
        elif part in schema.get("$defs", {}):  # the branch of a union, by the name of its section
            here = schema["$defs"][part]
        else:
            here = here.get("properties", {}).get(part, {})
    return _resolved(here, schema)


def _resolved(here: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = here.get("$ref")
    if not reference:
        return here
    target: Mapping[str, Any] = schema["$defs"][reference.rsplit("/", 1)[-1]]
    return {**target, **{key: value for key, value in here.items() if key != "$ref"}}

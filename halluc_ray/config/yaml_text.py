"""YAML text to plain values, with the line of every key.

Safe tags only; refuses duplicate keys, keys that are not text or integers, aliases that expand
without bound, and NaN or infinity. Knows nothing of specs. Called by `load`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

from halluc_ray.errors import SpecError

Path = tuple[str | int, ...]
_MAX_CHARACTERS = 1_000_000
_MAX_NODES = 100_000


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `1e-3` as a number, as YAML 1.2 does, and leaves dates as text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+\Z"), list("-+.0123456789")
)


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML text says.

    Attributes:
        value: mappings, lists, texts, numbers, truth values and None.
        lines: path of a key or item -> its line, counted from 1.
    """

    value: Any
    lines: dict[Path, int]


def read_yaml(text: str, *, source: str) -> Document:
    """Read one YAML document.

    Args:
        text: the document.
        source: what to call it in messages.

    Raises:
        SpecError: not YAML (with line and column), or YAML that means two things at once.
    """
    if len(text) > _MAX_CHARACTERS:
        raise SpecError(f"{source}: {len(text)} characters; at most {_MAX_CHARACTERS} are read as YAML")
    walk = _Walk(source)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(None, {})
        walk.visit(node, ())
        return Document(loader.construct_document(node), walk.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the document"
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise SpecError(f"{source}, {where}: {said}{_hint(text, mark)}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{source}: {error}") from error
    except RecursionError:
        raise SpecError(f"{source}: nested too deeply to be read") from None
    except ValueError as error:
        raise SpecError(f"{source}: a value can't be read: {error}") from error


class _Walk:
    """Visits every node as often as aliases repeat it, and counts."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[Path, int] = {}
        self._num_nodes = 0

    def visit(self, node: yaml.Node, path: Path) -> None:
        self._num_nodes += 1
        if self._num_nodes > _MAX_NODES:
            raise SpecError(f"{self.source}: more than {_MAX_NODES} values once aliases (*name) are expanded")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for position, item in enumerate(node.value):
                self.visit(item, (*path, position))
        elif node.tag == "tag:yaml.org,2002:float" and not math.isfinite(_as_float(node.value)):
            raise SpecError(f"{self.source}, line {node.start_mark.line + 1}: {node.value} is no usable number")

    def _visit_mapping(self, node: yaml.MappingNode, path: Path) -> None:
        seen: dict[str, int] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                self.visit(item, path)
                continue
            if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith((":str", ":int")):
                written = f" {key.value}" if isinstance(key, yaml.ScalarNode) else ""
                raise SpecError(f"{self.source}, line {line}: the key{written} is read as no text; put it in quotes")
            if key.value in seen:
                raise SpecError(
                    f"{self.source}, line {line}: key {key.value!r} is given twice (first on line {seen[key.value]})"
                )
            seen[key.value] = line
            self.lines.setdefault((*path, key.value), line)
            self.visit(item, (*path, key.value))


def _as_float(written: str) -> float:
    plain = written.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan")
    return 0.0 if ":" in plain else float(plain)


def _hint(text: str, mark: yaml.Mark | None) -> str:
    lines = text.splitlines()
    if mark is not None and mark.line < len(lines) and "\t" in lines[mark.line]:
        return "; YAML is indented with spaces, never with tabs"
    return ""

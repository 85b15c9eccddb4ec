"""Paths into a record: `question.text`, `passages[].text`, `choices[0]`, `['a key, with signs']`.

Knows how a path is written and followed; nothing of what it is for. Caller: the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from halluc_ray.corpora.importing.records import RowProblem
from halluc_ray.errors import SpecError

ALL: Final = "[]"
_STEP = re.compile(
    r"""(?P<name>[^\s.\[\](),='"][^.\[\](),='"]*)   # a bare key; spaces inside are fine
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<all>\*?)\s*\]
      | \[\s*(?P<quoted>'[^']*'|"[^"]*")\s*\]""",
    re.VERBOSE,
)


class Missing:
    """No such key or element; differs from a null that the source holds."""


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an object."""

    name: str


Step = Key | int | str
"""A key, an index, or ALL (every element of a list)."""


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path.

    Attributes:
        text: as it was written.
        steps: what to follow.
    """

    text: str
    steps: tuple[Step, ...]

    @property
    def field(self) -> str | None:
        """The record's own field that the path begins at."""
        first = self.steps[0]
        return first.name if isinstance(first, Key) else None

    @property
    def is_many(self) -> bool:
        """Whether it gives a list of what lies at its end."""
        return ALL in self.steps

    def follow(self, record: Mapping[str, Any]) -> Any:
        """The value at the end; a list where the path holds `[]`; MISSING where the record has none.

        Raises:
            RowProblem: a step meets a value of another kind, such as a key into a text.
        """
        return self._walk(record, 0)

    def _walk(self, value: Any, position: int) -> Any:
        for at in range(position, len(self.steps)):
            step = self.steps[at]
            if value is None:
                return None
            if isinstance(step, Key):
                if not isinstance(value, dict):
                    raise self._mismatch(at, value, "an object")
                if step.name not in value:
                    return MISSING
                value = value[step.name]
                continue
            if not isinstance(value, list | tuple):
                raise self._mismatch(at, value, "a list")
            if isinstance(step, int):
                if not -len(value) <= step < len(value):
                    return MISSING
                value = value[step]
                continue
            return self._every(value, at + 1)
        return value

    def _every(self, elements: Sequence[Any], position: int) -> Any:
        found = [self._walk(element, position) for element in elements]
        if found and all(value is MISSING for value in found):
            return MISSING
        deeper = ALL in self.steps[position:]
        flat: list[Any] = []
        for value in found:
            if deeper and isinstance(value, list):
                flat += value
            else:
                flat.append(None if value is MISSING else value)
        return flat

    def _mismatch(self, at: int, value: Any, wanted: str) -> RowProblem:
        before = _spelled(self.steps[:at]) or "the record"
        return RowProblem(
            f"{self.text}: {before} is not {wanted}",
            f"{before} is {kind_name(value)} here, and {self.text!r} needs {wanted}; mend the record or map another",
        )


def parse_path(text: str, position: int = 0) -> tuple[Path, int]:
    """Read a path that starts at `position`; gives it and where it ends.

    Raises:
        SpecError: no path stands there.

    >>> parse_path("passages[].text")[0].steps
    (Key(name='passages'), '[]', Key(name='text'))
    """
    start = position
    steps: list[Step] = []
    while match := _STEP.match(text, position):
        if (name := match["name"]) is not None:
            steps.append(Key(name.strip()))
        elif (index := match["index"]) is not None:
            steps.append(int(index))
        elif (quoted := match["quoted"]) is not None:
            steps.append(Key(quoted[1:-1]))
        else:
            steps.append(ALL)
        position = match.end()
        if position < len(text) and text[position] == ".":
            position += 1
            after = _STEP.match(text, position)
            if after is None or after["name"] is None:
                raise SpecError(f"--map: {text[start:]!r}: a key should follow the dot; write such as question.text")
        elif position < len(text) and text[position] != "[":
            break
    if not steps:
        raise SpecError(
            f"--map: {text[start:]!r} is no path; write such as question.text, passages[].text, choices[0] or "
            "['a key, with signs']"
        )
    return Path(text[start:position].strip(), tuple(steps)), position


def kind_name(value: Any) -> str:
    """What a value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return f"a number ({value!r:.40})"
        case str():
            return f"text ({value[:30]!r})"
        case bytes():
            return "bytes"
        case Mapping():
            return "an object"
        case Sequence():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def _spelled(steps: Sequence[Step]) -> str:
    text = ""
    for step in steps:
        match step:
            case Key(name):
                text += f"{'.' if text else ''}{name}"
            case int():
                text += f"[{step}]"
            case _:
                text += "[]"
    return text

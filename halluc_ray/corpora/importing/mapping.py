"""The mapping language: `id=qid,prompt=question.text,context=join(passages[].text),lang='en'`.

An expression is a path, a literal, or one of a few functions; nothing else can be said, and nothing is
evaluated as code. Knows how a mapping is written and what it makes of one record. Callers: the import,
the command line (help).

    join(PATH[, 'SEP'])   elements as one text, with SEP (default: an empty line) between them; nulls are skipped
    first(A, B, ...)      the first that is there and not null
    explode(PATH)         one output row per element; ids get #0, #1, ...
    text(X) int(X) float(X) bool(X)   another type; a value that is none rejects the row
    json(X)               the value as JSON text
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halluc_ray.corpora.importing.paths import MISSING, Path, parse_path
from halluc_ray.corpora.importing.records import Record, RowProblem
from halluc_ray.corpora.importing.values import CASTS, joined, json_text
from halluc_ray.errors import SpecError

_COLUMN = re.compile(r"\s*([A-Za-z_][\w\- ]*?)\s*=\s*")
_CALL = re.compile(r"([a-z]+)\s*\(\s*")
_LITERAL = re.compile(r"'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"|(?P<number>-?\d+(?:\.\d+)?)(?=\s*(?:[,)]|$))")
_SPACE = re.compile(r"\s*")
FUNCTIONS = ("join", "first", "explode", "json", *CASTS)
_HELP = "see `halluc-ray import --help`; such as: id=qid,prompt=question.text,reference=answers[]"

Evaluate = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Expression:
    """One column's expression.

    Attributes:
        text: as it was written.
        paths: the paths it reads.
        evaluate: its value for a record; MISSING where the record has none.
        explodes: whether each element of the value is a row of its own.
    """

    text: str
    paths: tuple[Path, ...]
    evaluate: Evaluate
    explodes: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but a path."""
        return len(self.paths) == 1 and self.text == self.paths[0].text


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Output column -> expression."""

    columns: dict[str, Expression]

    @property
    def names(self) -> tuple[str, ...]:
        """See Mapper."""
        return tuple(self.columns)

    @property
    def fields(self) -> frozenset[str]:
        """See Mapper."""
        plain = [expression.paths[0] for expression in self.columns.values() if expression.is_plain]
        return frozenset(path.field for path in plain if path.field is not None and len(path.steps) == 1)

    @property
    def touched(self) -> frozenset[str]:
        """See Mapper."""
        paths = (path for expression in self.columns.values() for path in expression.paths)
        return frozenset(path.field for path in paths if path.field is not None)

    def rows(self, record: Record) -> Iterator[tuple[dict[str, Any], int | None]]:
        """The rows that a record becomes: their values (MISSING where there is none) and, where exploded, their place.

        Raises:
            RowProblem: a value can't be had, there is nothing to explode, or exploded lists differ in length.
        """
        values = {column: expression.evaluate(record.value) for column, expression in self.columns.items()}
        exploded = [column for column, expression in self.columns.items() if expression.explodes]
        if not exploded:
            yield values, None
            return
        for position in range(self._length(values, exploded)):
            yield values | {column: values[column][position] for column in exploded}, position

    def _length(self, values: Mapping[str, Any], exploded: Sequence[str]) -> int:
        lengths = {}
        for column in exploded:
            value = values[column]
            if value is MISSING or value is None or (isinstance(value, list) and not value):
                raise RowProblem(
                    "nothing to explode", f"{self.columns[column].text} gives no element here, so no row comes of it"
                )
            if not isinstance(value, list):
                raise RowProblem("no list to explode", f"{self.columns[column].text} gives no list here")
            lengths[column] = len(value)
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{column}: {length}" for column, length in lengths.items())
            raise RowProblem("exploded lists differ in length", f"elements are taken side by side, but {told}")
        return lengths[exploded[0]]


def parse_mapping(texts: Sequence[str]) -> ColumnMap:
    """Read `column=expression,...`, from one or several texts.

    Raises:
        SpecError: what can't be read, where, and how it is written.

    >>> from halluc_ray.corpora.importing.records import Place
    >>> mapping = parse_mapping(["id=qid,answer=first(a.text, 'none')"])
    >>> list(mapping.rows(Record(Place("a.jsonl", 0), {"qid": 7, "a": {"text": None}})))
    [({'id': 7, 'answer': 'none'}, None)]
    """
    columns: dict[str, Expression] = {}
    for text in texts:
        position = 0
        while True:
            match = _COLUMN.match(text, position)
            if match is None:
                raise SpecError(f"--map: at {text[position:][:40]!r}: column=expression is needed; {_HELP}")
            column = match[1]
            if column in columns:
                raise SpecError(f"--map: column {column!r} is mapped twice; leave one out")
            columns[column], position = _expression(text, match.end(), outermost=True)
            position = _after_space(text, position)
            if position == len(text):
                break
            if text[position] != ",":
                raise SpecError(f"--map: {column}: {text[position:][:40]!r} is left over; {_HELP}")
            position += 1
    return ColumnMap(columns)


def _expression(text: str, position: int, *, outermost: bool = False) -> tuple[Expression, int]:
    start = position
    if call := _CALL.match(text, position):
        if call[1] not in FUNCTIONS:
            raise SpecError(f"--map: there is no function {call[1]!r}; there are {', '.join(FUNCTIONS)}")
        arguments, position = _arguments(text, call.end())
        if call[1] != "explode" and any(argument.explodes for argument in arguments):
            raise SpecError(f"--map: {text[start:position]!r}: explode can only stand outermost")
        if call[1] == "explode" and not outermost:
            raise SpecError(f"--map: {text[start:]!r:.60}: explode can only stand outermost")
        return _call(call[1], arguments, text[start:position].strip()), position
    if literal := _LITERAL.match(text, position):
        value = _literal(literal)
        return Expression(literal[0], (), lambda record: value), literal.end()
    path, position = parse_path(text, position)
    return Expression(path.text, (path,), path.follow), position


def _arguments(text: str, position: int) -> tuple[list[Expression], int]:
    arguments = []
    while True:
        argument, position = _expression(text, position)
        arguments.append(argument)
        position = _after_space(text, position)
        following = text[position : position + 1]
        if following == ")":
            return arguments, position + 1
        if following != ",":
            raise SpecError(f"--map: {text!r:.80}: a ')' is missing")
        position = _after_space(text, position + 1)


def _call(name: str, arguments: Sequence[Expression], text: str) -> Expression:
    paths = tuple(path for argument in arguments for path in argument.paths)
    _check_arity(name, arguments, text)
    inner = arguments[0].evaluate
    match name:
        case "first":
            return Expression(text, paths, lambda record: _first(arguments, record))
        case "explode":
            return Expression(text, paths, inner, explodes=True)
        case "join":
            separator = arguments[1].evaluate({}) if len(arguments) == 2 else "\n\n"
            return Expression(text, paths, _unless_missing(inner, lambda value: joined(value, separator)))
        case "json":
            return Expression(text, paths, _unless_missing(inner, json_text))
        case _:
            cast = CASTS[name]
            return Expression(text, paths, _unless_missing(inner, cast))


def _check_arity(name: str, arguments: Sequence[Expression], text: str) -> None:
    if name == "first":
        return
    if name == "join":
        if len(arguments) > 2 or (len(arguments) == 2 and not _is_quoted(arguments[1])):
            raise SpecError(
                f"--map: {text!r}: join takes a path and a separator in quotes, such as join(passages[], ' ')"
            )
        return
    if len(arguments) != 1:
        raise SpecError(f"--map: {text!r}: {name} takes one path, not {len(arguments)}")


def _is_quoted(argument: Expression) -> bool:
    return not argument.paths and isinstance(argument.evaluate({}), str)


def _first(arguments: Sequence[Expression], record: Mapping[str, Any]) -> Any:
    found: Any = MISSING
    for argument in arguments:
        value = argument.evaluate(record)
        if value is not MISSING and value is not None:
            return value
        found = None if value is None else found
    return found


def _unless_missing(inner: Evaluate, then: Callable[[Any], Any]) -> Evaluate:
    def evaluate(record: Mapping[str, Any]) -> Any:
        value = inner(record)
        return value if value is MISSING or value is None else then(value)

    return evaluate


def _literal(match: re.Match[str]) -> str | int | float:
    if (number := match["number"]) is not None:
        return float(number) if "." in number else int(number)
    single: str | None = match["single"]
    return single if single is not None else match["double"]


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position

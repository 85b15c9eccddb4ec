"""The tree behind a `where`: what a condition may consist of, and what each node means.

Nodes are plain data; `canonical_text`, `columns_of`, `type_class` and `arrow_expression` give a
tree its text, its columns, its type against an Arrow schema, and its Arrow form under SQL's
three-valued logic. Knows nothing of SQL's grammar: `expression` builds the tree.
"""

from __future__ import annotations

import datetime
import difflib
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.errors import SpecError

Constant = str | int | float | bool | datetime.date | datetime.datetime


@dataclass(frozen=True, slots=True)
class Column:
    """A corpus column; names are case-sensitive."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: Constant


@dataclass(frozen=True, slots=True)
class Call:
    """`length(text)`, in code points, or `lower(text)`."""

    function: str
    argument: Node


@dataclass(frozen=True, slots=True)
class Compare:
    """Two values compared; null where either is. NaN compares as in IEEE 754: equal to nothing."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class In:
    """Membership as SQL has it: an OR of equalities, so null in, or a null listed, can give null.

    Attributes:
        operand: what is looked for.
        values: constants, distinct, in the order of their text.
        lists_null: NULL is listed too.
    """

    operand: Node
    values: tuple[Literal, ...]
    lists_null: bool


@dataclass(frozen=True, slots=True)
class Like:
    """SQL's LIKE: % any text, _ one character, no escape. ILIKE ignores case."""

    operand: Node
    pattern: str
    ignore_case: bool


@dataclass(frozen=True, slots=True)
class IsNull:
    """`IS NULL`; NaN is not null."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Not:
    """Negation; of null, null."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Junction:
    """AND or OR of two or more conditions, with Kleene's treatment of null."""

    word: str
    operands: tuple[Node, ...]


Node = Column | Literal | Call | Compare | In | Like | IsNull | Not | Junction

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_HOW_TO_WRITE = {
    "text": "write text in single quotes: 'en'",
    "number": "write numbers without quotes: 5",
    "truth": "write truth values as TRUE or FALSE",
    "time": "write a time as DATE '2026-01-31' or TIMESTAMP '2026-01-31 08:00:00'",
}


def canonical_text(node: Node) -> str:
    """SQL that is the same for every way to format the same condition."""
    match node:
        case Column(name):
            return '"' + name.replace('"', '""') + '"'
        case Literal(value):
            return _literal_text(value)
        case Call(function, argument):
            return f"{function}({canonical_text(argument)})"
        case Compare(symbol, left, right):
            return f"{canonical_text(left)} {symbol} {canonical_text(right)}"
        case In(operand, values, lists_null):
            listed = [canonical_text(value) for value in values] + (["NULL"] if lists_null else [])
            return f"{canonical_text(operand)} IN ({', '.join(listed)})"
        case Like(operand, pattern, ignore_case):
            return f"{canonical_text(operand)} {'ILIKE' if ignore_case else 'LIKE'} {_literal_text(pattern)}"
        case IsNull(operand):
            return f"{canonical_text(operand)} IS NULL"
        case Not(operand):
            return f"NOT ({canonical_text(operand)})"
        case Junction(word, operands):
            return f" {word} ".join(f"({canonical_text(operand)})" for operand in operands)
        case _:
            assert_never(node)


def columns_of(node: Node) -> Iterator[str]:
    """Every column that the tree reads, repeats included."""
    match node:
        case Column(name):
            yield name
        case Literal():
            return
        case Call(_, operand) | In(operand) | Like(operand) | IsNull(operand) | Not(operand):
            yield from columns_of(operand)
        case Compare(_, left, right):
            yield from columns_of(left)
            yield from columns_of(right)
        case Junction(_, operands):
            for operand in operands:
                yield from columns_of(operand)
        case _:
            assert_never(node)


def arrow_expression(node: Node) -> pc.Expression:
    """The tree as an Arrow expression."""
    match node:
        case Column(name):
            return pc.field(name)
        case Literal(value):
            return pc.scalar(pa.scalar(value))
        case Call(function, argument):
            compute = pc.utf8_length if function == "length" else pc.utf8_lower
            return compute(_plain_text(argument))
        case Compare(symbol, left, right):
            return _COMPARE[symbol](arrow_expression(left), arrow_expression(right))
        case In():
            return _arrow_membership(node)
        case Like(operand, pattern, ignore_case):
            unescaped = pattern.replace("\\", "\\\\")
            return pc.match_like(_plain_text(operand), unescaped, ignore_case=ignore_case)
        case IsNull(operand):
            return arrow_expression(operand).is_null()
        case Not(operand):
            return ~arrow_expression(operand)
        case Junction(word, operands):
            joined = arrow_expression(operands[0])
            for operand in operands[1:]:
                joined = joined & arrow_expression(operand) if word == "AND" else joined | arrow_expression(operand)
            return joined
        case _:
            assert_never(node)


def type_class(node: Node, schema: pa.Schema) -> str:
    """`truth`, `number`, `text` or `time`.

    Raises:
        SpecError: an unknown column, a column of another type, or operands that do not go together.
    """
    match node:
        case Column(name):
            return _column_class(name, schema)
        case Literal(value):
            return _constant_class(value)
        case Call(function, argument):
            _expect(argument, "text", schema, why=f"{function}() takes text")
            return "number" if function == "length" else "text"
        case Compare():
            _check_comparison(node, schema)
        case In(operand, values):
            type_class(operand, schema)
            for constant in values:
                _check_comparison(Compare("=", operand, constant), schema)
        case Like(operand):
            _expect(operand, "text", schema, why=f"`{canonical_text(node)}` needs text")
        case IsNull(Column(name)) if schema.get_field_index(name) >= 0:
            return "truth"
        case IsNull(operand):
            type_class(operand, schema)
        case Not(operand):
            _expect(operand, "truth", schema, why="NOT takes a condition")
        case Junction(word, operands):
            for operand in operands:
                _expect(operand, "truth", schema, why=f"{word} joins conditions")
        case _:
            assert_never(node)
    return "truth"


def _literal_text(value: Constant) -> str:
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime.datetime():
            return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
        case datetime.date():
            return f"DATE '{value.isoformat()}'"
        case _:
            return repr(value)


def _plain_text(node: Node) -> pc.Expression:
    """Text functions have no kernel for dictionary-encoded columns; comparisons do."""
    expression = arrow_expression(node)
    return expression.cast(pa.string()) if isinstance(node, Column) else expression


def _arrow_membership(node: In) -> pc.Expression:
    """A balanced OR of equalities: Kleene's OR is what SQL means, and Parquet statistics see through it."""
    operand = arrow_expression(node.operand)
    tests = [operand == arrow_expression(value) for value in node.values]
    if node.lists_null:
        tests.append(pc.scalar(pa.scalar(None, pa.bool_())))
    while len(tests) > 1:
        tests = [tests[k] | tests[k + 1] if k + 1 < len(tests) else tests[k] for k in range(0, len(tests), 2)]
    return tests[0]


def _check_comparison(node: Compare, schema: pa.Schema) -> None:
    left, right = type_class(node.left, schema), type_class(node.right, schema)
    if left != right:
        raise SpecError(f"`{canonical_text(node)}` compares {left} with {right}; {_HOW_TO_WRITE[left]}")
    if left == "truth" and node.operator not in ("=", "!="):
        raise SpecError(f"`{canonical_text(node)}` orders truth values; only = and != are allowed on them")


def _expect(node: Node, wanted: str, schema: pa.Schema, *, why: str) -> None:
    found = type_class(node, schema)
    if found != wanted:
        raise SpecError(f"{why}, but `{canonical_text(node)}` is {found}")


def _constant_class(value: Constant) -> str:
    match value:
        case bool():
            return "truth"
        case str():
            return "text"
        case datetime.date():
            return "time"
        case _:
            return "number"


def _column_class(name: str, schema: pa.Schema) -> str:
    if schema.get_field_index(name) < 0:
        near = difflib.get_close_matches(name.lower(), [known.lower() for known in schema.names], n=1)
        meant = [known for known in schema.names if near and known.lower() == near[0]]
        suggestion = f"did you mean {meant[0]!r}? " if meant else ""
        raise SpecError(
            f"no column {name!r}; {suggestion}columns: {', '.join(sorted(schema.names))} "
            f"(text goes in single quotes: '{name}')"
        )
    data_type = schema.field(name).type
    value_type = data_type.value_type if pa.types.is_dictionary(data_type) else data_type
    if pa.types.is_boolean(value_type):
        return "truth"
    if pa.types.is_integer(value_type) or pa.types.is_floating(value_type) or pa.types.is_decimal(value_type):
        return "number"
    if pa.types.is_string(value_type) or pa.types.is_large_string(value_type):
        return "text"
    if pa.types.is_date(value_type) or pa.types.is_timestamp(value_type):
        return "time"
    raise SpecError(f"column {name!r} is of type {data_type}; a condition reads text, numbers, times and truth values")

"""`where` conditions: a small, safe part of SQL, read with DuckDB's grammar.

Anything outside the list of what is allowed is refused by name. Knows no files; called by `load`
(to refuse a bad spec early), by planning and by reading (to push the condition down to Parquet).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from halluc_ray.config.expression_tree import (
    Call,
    Column,
    Compare,
    Constant,
    In,
    IsNull,
    Junction,
    Like,
    Literal,
    Node,
    Not,
    arrow_expression,
    canonical_text,
    columns_of,
    type_class,
)
from halluc_ray.errors import SpecError

ALLOWED = (
    "comparisons (= != < <= > >=), AND, OR, NOT, IN (...), BETWEEN, LIKE, ILIKE, IS [NOT] NULL, length(column), "
    "lower(column), columns, and constants such as 'en', 5, 0.5, TRUE, DATE '2026-01-31'"
)
_MAX_CHARACTERS = 20_000
_MAX_LISTED = 1_000
_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a row: true, false or null.

    Attributes:
        text: canonical SQL; formatting, redundant parentheses and the order of an IN list leave it alone.
        columns: the columns it reads, sorted.
        tree: its meaning.
    """

    text: str
    columns: tuple[str, ...]
    tree: Node

    def to_arrow(self) -> pc.Expression:
        """Arrow expression with SQL's three-valued logic; for filters on datasets and tables."""
        return arrow_expression(self.tree)

    def check(self, schema: pa.Schema, *, path: str = "where") -> None:
        """Hold the condition against the columns it will meet.

        Raises:
            SpecError: an unknown column (with a near miss), or types that can't be compared.
        """
        try:
            if type_class(self.tree, schema) != "truth":
                raise SpecError(f"`{self.text}` is no condition; compare it with something")
        except SpecError as problem:
            raise SpecError(f"{path}: {problem}") from None


def parse_condition(text: str, *, path: str = "where") -> Condition:
    r"""Read a condition.

    Args:
        text: SQL, such as `lang = 'en' AND NOT draft`.
        path: where it is written, for error messages: `corpus.where`.

    Raises:
        SpecError: it does not parse, or uses what is not allowed.

    >>> parse_condition("lang='en' and (n) in (2,1)").text
    '("lang" = \'en\') AND ("n" IN (1, 2))'
    """
    if len(text) > _MAX_CHARACTERS:
        raise SpecError(f"{path}: {len(text)} characters; at most {_MAX_CHARACTERS} are read")
    try:
        tree = _build(sqlglot.parse_one(text, dialect="duckdb", into=exp.Condition))
    except SqlglotError as error:
        raise SpecError(f"{path}: {text!r} does not parse: {_reason(error)}. Allowed: {ALLOWED}") from error
    except RecursionError:
        raise SpecError(f"{path}: {text[:60]!r}... is nested too deeply; write it flatter") from None
    except SpecError as problem:
        raise SpecError(f"{path}: {problem}") from None
    return Condition(canonical_text(tree), tuple(sorted(set(columns_of(tree)))), tree)


def _reason(error: SqlglotError) -> str:
    detail = error.__cause__ if isinstance(error.__cause__, ParseError) else error
    if not isinstance(detail, ParseError) or not detail.errors or not detail.errors[0].get("description"):
        return "it is not one condition"
    first = detail.errors[0]
    return f"{str(first['description']).rstrip('.')} at character {first['col']}"


def _build(node: exp.Expression) -> Node:
    """A condition or a boolean column. NOT LIKE and its like may arrive as one negated node."""
    if node.args.get("negate"):
        positive = node.copy()
        positive.set("negate", None)
        return Not(_build(positive))
    match node:
        case exp.Paren():
            return _build(node.this)
        case exp.And() | exp.Or():
            word = "AND" if isinstance(node, exp.And) else "OR"
            return Junction(word, (*_operands(node.left, word), *_operands(node.right, word)))
        case exp.Not():
            return Not(_build(node.this))
        case exp.Between():
            value = _value(node.this)
            bounds = (Compare(">=", value, _value(node.args["low"])), Compare("<=", value, _value(node.args["high"])))
            _refuse_options(node, {"this", "low", "high"})
            return Junction("AND", bounds)
        case exp.In():
            _refuse_options(node, {"this", "expressions"})
            return _membership(node)
        case exp.Like() | exp.ILike():
            pattern = _value(node.expression)
            if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
                raise _refusal(node, "a LIKE pattern is a constant text")
            _refuse_options(node, {"this", "expression"})
            return Like(_value(node.this), pattern.value, isinstance(node, exp.ILike))
        case exp.Is():
            if not isinstance(node.expression, exp.Null):
                raise _refusal(node, "only IS NULL and IS NOT NULL")
            return IsNull(_value(node.this))
        case _ if type(node) in _COMPARISONS:
            return Compare(_COMPARISONS[type(node)], _value(node.left), _value(node.right))
        case _:
            return _value(node)


def _operands(node: exp.Expression, word: str) -> tuple[Node, ...]:
    built = _build(node)
    return built.operands if isinstance(built, Junction) and built.word == word else (built,)


def _value(node: exp.Expression) -> Node:
    match node:
        case exp.Paren():
            return _value(node.this)
        case exp.Column() if set(_given(node)) == {"this"} and isinstance(node.this, exp.Identifier):
            return Column(node.this.name)
        case exp.Length() | exp.Lower() if not isinstance(node.args.get("binary"), exp.Expression):
            return Call("length" if isinstance(node, exp.Length) else "lower", _value(node.this))
        case exp.Null():
            raise _refusal(node, "nothing equals NULL; write IS NULL or IS NOT NULL")
        case _:
            return Literal(_constant(node))


def _membership(node: exp.In) -> In:
    listed = node.expressions
    if not listed or len(listed) > _MAX_LISTED:
        raise _refusal(node, f"an IN list holds 1 to {_MAX_LISTED} constants")
    constants = [Literal(_constant(item)) for item in listed if not isinstance(item, exp.Null)]
    by_text = {canonical_text(constant): constant for constant in constants}
    values = tuple(by_text[text] for text in sorted(by_text))
    return In(_value(node.this), values, lists_null=len(constants) < len(listed))


def _constant(node: exp.Expression) -> Constant:
    match node:
        case exp.Paren():
            return _constant(node.this)
        case exp.Boolean():
            return bool(node.this)
        case exp.Literal() if node.is_string:
            return str(node.this)
        case exp.Literal():
            return _number(node)
        case exp.Neg() if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return -_number(node.this)
        case exp.Cast() if isinstance(node.this, exp.Literal) and node.this.is_string:
            return _time(node)
        case _:
            raise _refusal(node, "not allowed")


def _number(node: exp.Literal) -> int | float:
    written = str(node.this)
    try:
        number = int(written) if written.isdigit() else float(written)
    except ValueError:
        raise _refusal(node, "not a number") from None
    if abs(number) >= 2**63 or (isinstance(number, float) and number != number):
        raise _refusal(node, "beyond 64 bits")
    return number


def _time(node: exp.Cast) -> Constant:
    readers: dict[exp.DataType.Type, Callable[[str], Constant]] = {
        exp.DataType.Type.DATE: datetime.date.fromisoformat,
        exp.DataType.Type.TIMESTAMPNTZ: datetime.datetime.fromisoformat,
    }
    reader = readers.get(node.to.this)
    if reader is None:
        raise _refusal(node, "casts are not allowed")
    try:
        return reader(str(node.this.this))
    except ValueError as error:
        raise _refusal(node, f"no such time ({error})") from None


def _given(node: exp.Expression) -> list[str]:
    return [name for name, value in node.args.items() if value not in (None, False, [])]


def _refuse_options(node: exp.Expression, known: set[str]) -> None:
    extra = set(_given(node)) - known
    if extra:
        raise _refusal(node, f"{', '.join(sorted(extra))} is not allowed")


def _refusal(node: exp.Expression, why: str) -> SpecError:
    return SpecError(f"`{node.sql(dialect='duckdb')}`: {why}. Allowed: {ALLOWED}")

"""Conditions against DuckDB, which reads the same SQL by itself."""

from __future__ import annotations

import datetime

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halluc_ray.config.expression import parse_condition
from halluc_ray.errors import SpecError

SCHEMA = pa.schema(
    [
        ("s", pa.string()),
        ("t", pa.string()),
        ("n", pa.int64()),
        ("f", pa.float64()),
        ("b", pa.bool_()),
        ("d", pa.date32()),
    ]
)

TEXTS = ["", "a", "ab", "Ab", "a_b", "a%", "a\\b", "\n", "法国", "it's", 'say "x"']
DAYS = [datetime.date(2024, 2, 29), datetime.date(1969, 12, 31)]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


texts = st.sampled_from(TEXTS).map(quoted)
numbers = st.sampled_from(["-2", "0", "1", "3", "0.5", "-1.5", "1e2"])
days = st.sampled_from(DAYS).map(lambda day: f"DATE '{day}'")
pieces = st.sampled_from(["%", "_", "a", "b", "A", "法", "\\", "\n", "."])
patterns = st.lists(pieces, max_size=4).map("".join).map(quoted)
text_values = st.one_of(st.sampled_from(["s", '"t"', "lower(s)", "(t)"]), texts)
number_values = st.one_of(st.sampled_from(["n", "f", "length(s)"]), numbers)
operators = st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="])


def listed(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.one_of(of, st.just("NULL")), min_size=1, max_size=4).map(", ".join)


def comparisons(values: st.SearchStrategy[str], constants: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{} {} {}".format, values, operators, values),
        st.builds("{} {} ({})".format, values, st.sampled_from(["IN", "NOT IN"]), listed(constants)),
        st.builds("{} {} {} AND {}".format, values, st.sampled_from(["BETWEEN", "NOT BETWEEN"]), constants, constants),
        st.builds("{} IS {}".format, values, st.sampled_from(["NULL", "NOT NULL"])),
    )


atoms = st.one_of(
    comparisons(text_values, texts),
    comparisons(number_values, numbers),
    comparisons(st.one_of(st.just("d"), days), days),
    st.builds("{} {} {}".format, text_values, st.sampled_from(["LIKE", "NOT LIKE"]), patterns),
    st.sampled_from(["b", "b = TRUE", "b != false", "TRUE", "b IN (TRUE, NULL)", "b IS NULL"]),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["AND", "OR"]), inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=5,
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "s": st.none() | st.sampled_from(TEXTS),
            "t": st.none() | st.sampled_from(TEXTS),
            "n": st.none() | st.integers(-3, 4),
            "f": st.none() | st.sampled_from([-1.5, 0.0, 0.5, 3.0, 100.0]),
            "b": st.none() | st.booleans(),
            "d": st.none() | st.sampled_from(DAYS),
        }
    ),
    min_size=1,
    max_size=12,
)


def outcomes(table: pa.Table, condition: str) -> list[bool | None]:
    """True, False or None per row, by way of the two filters that a reader would apply."""
    expression = parse_condition(condition).to_arrow()
    numbered = table.append_column("row", pa.array(range(len(table))))
    true = set(numbered.filter(expression)["row"].to_pylist())
    false = set(numbered.filter(~expression)["row"].to_pylist())
    assert not true & false
    return [True if row in true else False if row in false else None for row in range(len(table))]


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as opened:
        yield opened


@settings(max_examples=300, deadline=None)
@given(condition=conditions, content=rows)
def test_true_false_and_null_as_in_duckdb(connection, condition, content):
    table = pa.Table.from_pylist(content, schema=SCHEMA)
    connection.register("rows", table)
    expected = [row[0] for row in connection.execute(f"SELECT ({condition}) FROM rows").fetchall()]
    parse_condition(condition).check(SCHEMA)
    assert outcomes(table, condition) == expected


@settings(max_examples=100, deadline=None)
@given(condition=conditions)
def test_canonical_text_is_a_fixed_point(condition):
    parsed = parse_condition(condition)
    assert parse_condition(parsed.text) == parsed
    assert parse_condition("(( " + condition + " \n))") == parsed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lang='en'", " ( \"lang\" == 'en' ) -- English"),
        ("a in (1,2)", "a IN (2, 1, 2)"),
        ("a and (b and c)", "(a and b) and c"),
        ("a not in (1)", "not a in (1)"),
        ("a between 1 and 2", "a >= 1 and a <= 2"),
        ("length(s) <> 3", "LENGTH(s)!=3"),
    ],
)
def test_formatting_does_not_matter(one, other):
    assert parse_condition(one).text == parse_condition(other).text


@pytest.mark.parametrize(
    ("one", "other"), [("a = 1", "a = '1'"), ("a or b and c", "(a or b) and c"), ("A = 1", "a = 1")]
)
def test_meaning_does(one, other):
    assert parse_condition(one).text != parse_condition(other).text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lang IN (SELECT lang FROM t)", "query"),
        ("read_text('/etc/passwd') = 'x'", "READ_TEXT"),
        ("a + 1 = 2", r"a \+ 1"),
        ("t.a = 1", "t.a"),
        ("a = NULL", "IS NULL"),
        ("a::int = 1", "CAST"),
        ("CASE WHEN a THEN b END", "CASE"),
        ("s LIKE t", "constant"),
        ("s LIKE 'a' ESCAPE 'b'", "ESCAPE"),
        ("a = 1; DROP TABLE t", "one condition|Unexpected"),
        ("a IN (1", r"Expecting \)"),
        ("d > DATE '2024-02-30'", "2024-02-30"),
        ("a = 99999999999999999999", "64 bits"),
        ("length(a, b) > 1", "not allowed"),
        ("", "does not parse"),
        ("(" * 5000 + "a" + ")" * 5000, "nested"),
        (f"a IN ({', '.join(map(str, range(1001)))})", "1000"),
        ("a" * 30_000, "characters"),
    ],
)
def test_the_rest_of_sql_is_refused_by_name(text, named):
    with pytest.raises(SpecError, match=named) as caught:
        parse_condition(text, path="corpus.where")
    assert str(caught.value).startswith("corpus.where: ")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("S = 'a'", "did you mean 's'"),
        ('s = "en"', "single quotes: 'en'"),
        ("s = 5", "compares text with number"),
        ("n = '5'", "without quotes"),
        ("b = 1", "TRUE or FALSE"),
        ("d = '2024-01-01'", "DATE"),
        ("b < TRUE", "orders"),
        ("n", "no condition"),
        ("n AND b", '"n"` is number'),
        ("NOT s", "NOT takes"),
        ("n LIKE 'a'", "needs text"),
        ("length(n) > 1", "takes text"),
        ("l = 1", "list<"),
        ("n IN (1, 'a')", "compares number with text"),
        ("missing IS NULL", "no column 'missing'"),
    ],
)
def test_check_names_what_does_not_fit_the_columns(text, named):
    schema = SCHEMA.append(pa.field("l", pa.list_(pa.int64())))
    with pytest.raises(SpecError, match=named):
        parse_condition(text).check(schema)


def test_a_list_column_may_be_asked_for_null():
    parse_condition("l IS NOT NULL").check(pa.schema([("l", pa.list_(pa.int64()))]))


@pytest.mark.parametrize("storage", [pa.dictionary(pa.int32(), pa.string()), pa.large_string()])
def test_text_however_it_is_stored(storage):
    table = pa.table({"s": pa.array(["a", "Bb", None]).cast(storage)})
    for condition, expected in [("s = 'a'", [True, False, None]), ("length(s) = 2", [False, True, None])]:
        parse_condition(condition).check(table.schema)
        assert outcomes(table, condition) == expected
    assert outcomes(table, "lower(s) LIKE 'b%'") == [False, True, None]


def test_columns_are_named_once():
    assert parse_condition("b > 1 AND (a = 'x' OR NOT b < 0)").columns == ("a", "b")

"""Numbers in text: hand-worked cases, and round trips through tools that spell numbers out."""

import time
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halluc_ray.text.numeral import Numeral
from halluc_ray.text.numerals import find_numerals

num2words = pytest.importorskip("num2words").num2words
cn2an = pytest.importorskip("cn2an")


def values(text: str) -> list[str]:
    return [format(numeral.value, "f") for numeral in find_numerals(text)]


def only(text: str) -> Numeral:
    (numeral,) = find_numerals(text)
    return numeral


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234,567 people", ["1234567"]),
        ("12,34,567 rupees", ["1234567"]),
        ("1.234.567,89 Euro", ["1234567.89"]),
        ("1.234,56 Euro", ["1234.56"]),
        ("1.234", ["1.234"]),
        ("10\u00a0000 steps", ["10000"]),
        ("in 2010 300 people", ["2010", "300"]),
        ("1, 2, 3", ["1", "2", "3"]),
        ("-5 degrees, 3-5 goals, (−7)", ["-5", "3", "5", "-7"]),
        ("2.5 million, 1.2bn, £5m, 3k", ["2500000", "1200000000", "5000000", "3000"]),
        ("6½ sacks", ["6.5"]),
        ("7:30pm on 2024-01-05", ["7", "30", "2024", "1", "5"]),
        ("１２３，４５６", ["123456"]),
        ("", []),
        ("No numbers here, only someone, often, tenth-rate? no", ["10"]),
        ("weight, freight, height, attend, phone, stone, bone", []),
    ],
)
def test_digits(text: str, expected: list[str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Twenty-five", ["25"]),
        ("three hundred and forty-two", ["342"]),
        ("five million three hundred thousand and twelve", ["5300012"]),
        ("half a million, a hundred and five, a dozen, two dozen", ["500000", "105", "12", "24"]),
        ("nineteen eighty-four and twenty twenty-four", ["1984", "2024"]),
        ("one or two and three", ["1", "2", "3"]),
        ("twenty-first, third and 11th", ["21", "3", "11"]),
        ("three quarters", ["0.75"]),
        ("three point one four", ["3.14"]),
        ("minus five", ["-5"]),
        ("hundreds of millions", []),
        ("a few hundred", []),
        ("nineteen hundred", ["1900"]),
    ],
)
def test_english_words(text: str, expected: list[str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("三百四十二", ["342"]),
        ("两千", ["2000"]),
        ("一万二", ["12000"]),
        ("两百五", ["250"]),
        ("一万零二百", ["10200"]),
        ("一亿三千万", ["130000000"]),
        ("一千万亿", ["1000000000000000"]),
        ("3.5亿", ["350000000"]),
        ("1万2千", ["12000"]),
        ("3亿5000万", ["350000000"]),
        ("百分之三十", ["30"]),
        ("百分之三点五", ["3.5"]),
        ("四分之三", ["0.75"]),
        ("二〇二四年", ["2024"]),
        ("二零二四年五月十二日", ["2024", "5", "12"]),
        ("壹佰贰拾元", ["120"]),
        ("廿三", ["23"]),
        ("负三", ["-3"]),
        ("2015年1月22日，约12万人", ["2015", "1", "22", "120000"]),
    ],
)
def test_chinese(text: str, expected: list[str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "measures", "amount"),
    [
        ("50%", "percent", "50"),
        ("3.5 per cent", "percent", "3.5"),
        ("百分之三十", "percent", "30"),
        ("1.5 km", "length", "1500"),
        ("三公里", "length", "3000"),
        ("20-kilogram", "mass", "20000"),
        ("$5m", "dollars", "5000000"),
        ("五百万美元", "dollars", "5000000"),
        ("two hours", "clock", "7200"),
        ("三个月", "calendar", "3"),
        ("3 years", "calendar", "36"),
    ],
)
def test_units(text: str, measures: str, amount: str) -> None:
    numeral = only(text)
    assert numeral.unit is not None
    assert numeral.unit.measures == measures
    assert numeral.amount == Decimal(amount)


def test_a_range_shares_its_unit() -> None:
    low, high = find_numerals("30 to 50 percent")
    assert low.unit == high.unit is not None


def test_a_year_has_no_unit() -> None:
    assert only("2024年").unit is None


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("1. Paris\n2) Rome\n\n3、罗马", ["marker", "marker", "marker"]),
        ("GPT-4, A320, COVID-19 and 3D", ["marker"] * 4),
        ("one of them, the first", ["vague", "vague"]),
        ("the 1990s", ["decade"]),
        ("第三", ["ordinal"]),
        ("一起，万一，十分感动，数千", ["vague"] * 4),
        ("三人，十二届", ["cardinal", "cardinal"]),
        ("He is 3. She is 4.", ["cardinal", "cardinal"]),
    ],
)
def test_roles(text: str, roles: list[str]) -> None:
    assert [numeral.role for numeral in find_numerals(text)] == roles


@given(st.integers(0, 10**15 - 1))
@example(100)
@example(1_000_000_100)
def test_english_spelled_out(number: int) -> None:
    assert values(num2words(number).replace(",", "")) == [str(number)]


@given(st.integers(1, 999))
def test_english_ordinals_spelled_out(number: int) -> None:
    numeral = only(num2words(number, to="ordinal"))
    assert numeral.value == number
    assert numeral.role == ("vague" if number < 3 else "ordinal")


@given(st.integers(1010, 2099).filter(lambda year: year % 100 >= 10))
def test_years_spelled_out(year: int) -> None:
    assert values(num2words(year, to="year")) == [str(year)]


@given(st.integers(0, 10**16 - 1))
def test_chinese_spelled_out(number: int) -> None:
    assert values(cn2an.an2cn(number, "low")) == [str(number)]
    assert values(cn2an.an2cn(number, "up")) == [str(number)]


@given(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_digits_with_separators(units: int, places: int) -> None:
    number = Decimal(units).scaleb(-places)
    assert [numeral.value for numeral in find_numerals(f"x {number:,f} x")] == [number]


_PIECES = [
    "three",
    "hundred",
    "million",
    " ",
    "-",
    ",",
    ".",
    "12",
    "%",
    "km",
    "三",
    "百",
    "万",
    "点",
    "分之",
    "年",
    "one",
    "and",
    "a",
    "$",
    "half",
    "th",
    "½",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join) | st.text(max_size=80))
def test_spans_are_ordered_and_apart_whatever_the_text(text: str) -> None:
    numerals = find_numerals(text)
    edges = [edge for n in numerals for edge in (n.start, n.stop)]
    assert edges == sorted(edges)
    assert all(0 <= n.start < n.number_stop <= n.stop <= len(text) for n in numerals)
    assert all(n.value.is_finite() and n.place > 0 and n.significant >= 1 for n in numerals)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5 thouſand", "5000"), ("5 millionſ", "5000000"), ("2½ mıllıon", "2500000"), ("3 BİLLİON", "3000000000")]
    + [(f"5{space}万", "50000") for space in "\u2009\u202f\u2003\x0b\x1f"],
)
def test_letters_and_spaces_beyond_ascii_around_magnitudes(text: str, value: str) -> None:
    assert [str(n.value) for n in find_numerals(text)] == [value]


def test_a_long_text_costs_linear_time() -> None:
    text = "three hundred and 12,345 km 三百四十二 " * 20_000
    started = time.perf_counter()
    assert len(find_numerals(text)) == 60_000
    assert time.perf_counter() - started < 20


def test_real_chinese_news_is_read_without_overlap(corpora) -> None:
    rows = pq.read_table(corpora / "uhgeval_news_zh" / "part-000.parquet").to_pylist()
    numerals = [n for row in rows for n in find_numerals(row["reference"]) if n.role == "cardinal"]
    assert len(numerals) > 1_000

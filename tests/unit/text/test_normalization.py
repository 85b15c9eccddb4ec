"""Normal forms held to what the SQuAD and CMRC scripts are known to do, by hand-worked cases."""

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halluc_ray.text.language import has_han, language_of
from halluc_ray.text.normalization import normalize_chinese, normalize_english


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("The Cat", "cat"),
        ("a  an the", ""),
        ("U.S.A.", "usa"),
        ("well-known", "wellknown"),
        ("Beyoncé's", "beyoncés"),
        ("$1,200.50", "120050"),
        ("  tab\tnew\nline ", "tab new line"),
        ("Athens an ancient theatre", "athens ancient theatre"),
        ("A-team", "ateam"),
        ("don’t", "don’t"),
    ],
)
def test_english_as_squad(text: str, form: str) -> None:
    assert normalize_english(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("《三国演义》", "3国演义"),
        ("ＡＢＣ１２３", "abc123"),
        ("百分之三十", "30%"),
        ("３０％", "30%"),
        ("二〇二四年", "2024年"),
        ("１，２００万人", "12000000人"),
        ("3.5亿", "350000000"),
        ("负三度", "-3度"),
        ("2011-2012赛季", "20112012赛季"),
        ("三百公里", "300公里"),
        ("他说：“好。”", "他说好"),
        ("约翰·史密斯", "约翰史密斯"),
    ],
)
def test_chinese(text: str, form: str) -> None:
    assert normalize_chinese(text) == form


@given(st.text())
def test_english_form_is_a_fixed_point(text: str) -> None:
    form = normalize_english(text)
    assert normalize_english(form) == form


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x9FFF)))
def test_chinese_form_never_fails_and_holds_no_white_space(text: str) -> None:
    assert not any(char.isspace() for char in normalize_chinese(text))


def test_real_answers_keep_something(corpora) -> None:
    rows = pq.read_table(corpora / "xquad" / "part-000.parquet").to_pylist()
    rows += pq.read_table(corpora / "xquad" / "part-001.parquet").to_pylist()
    chinese = [text for row in rows if row["lang"] == "zh" for text in row["reference"]]
    english = [text for row in rows if row["lang"] == "en" for text in row["reference"]]
    assert len(chinese) > 1_000
    assert len(english) > 1_000
    assert all(normalize_chinese(text) for text in chinese)
    assert all(normalize_english(text) for text in english)


def test_han_decides_the_language() -> None:
    assert all(map(has_han, ["㐀", "巴黎", "\U00020000"]))
    assert not any(map(has_han, ["ＡＢＣ。", "カナ", ""]))
    assert language_of("NASA", "航天局") == "zh"
    assert language_of("NASA") == "en"

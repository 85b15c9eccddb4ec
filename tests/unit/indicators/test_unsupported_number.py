"""Numbers that the context does not hold: hand-worked cases, and what real answers give."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halluc_ray.indicators.protocol import ScoringBatch
from halluc_ray.indicators.tables import scores_to_columns
from halluc_ray.indicators.unsupported_number import UnsupportedNumber, UnsupportedNumberOptions
from halluc_ray.records.outcomes import Outcome


def judge(response: str | None, context: str | None, **options: int) -> dict[str, object]:
    indicator = UnsupportedNumber(UnsupportedNumberOptions.model_validate(options))
    columns = {"response": pa.array([response], pa.string()), "context": pa.array([context], pa.string())}
    scores = indicator.score(ScoringBatch(columns))
    row = {name: column[0].as_py() for name, column in scores_to_columns(scores).items()}
    return row | {"outcome": Outcome(indicator.decide(scores.score, scores.state)[0]).label}


SUPPORTED = [
    ("1.2 million people", "1,200,000 people"),
    ("1,200,000 people", "1.2 million people"),
    ("50%", "百分之五十"),
    ("百分之五十", "50 percent"),
    ("50%", "50\u00a0%"),
    ("1.5\u202fkm", "1,500\u2009metres"),
    ("half, that is 50%", "a share of 0.5"),
    ("三百人", "300 people"),
    ("300 people", "三百人"),
    ("twenty-five", "25"),
    ("1.5 km", "1,500 metres"),
    ("36 months", "3 years"),
    ("$5m", "five million dollars"),
    ("120万元", "1.2 million yuan"),
    ("in 2024", "二〇二四年"),
    ("2024年5月", "May 2024"),
    ("2024年9月", "ſept 2024"),
    ("3.5", "3.48"),
    ("1.2 million", "1,234,567"),
    ("about 300", "308"),
    ("nearly 40 people", "38 people"),
    ("more than 4.5 million", "4,590,000"),
    ("超过300人", "308人"),
    ("12,300", "12,340"),
    ("in the 1990s", "in 1994"),
    ("third", "3rd"),
    ("the 11th", "eleventh"),
    ("from 30 to 50 percent", "30% and 50%"),
    ("1. Paris\n2. Rome", "Paris and Rome"),
    ("one of the first", "nothing"),
    ("the A320 and GPT-4", "planes and models"),
    ("他们一起去了，万一下雨", "无"),
    ("７", "seven"),
    ("<think>maybe 99</think>7", "seven"),
]

UNSUPPORTED = [
    ("12 died", "Ten died", "12"),
    ("50%", "50 people", "50%"),
    ("5 years", "5 months", "5 years"),
    ("5 km", "5 kg", "5 km"),
    ("5\u00a0km", "5 kg", "5\u00a0km"),
    ("$5", "£5", "$5"),
    ("1.2 million", "1.2 billion", "1.2 million"),
    ("300 people", "308 people", "300"),
    ("in 1990", "in 1993", "1990"),
    ("about 300", "420", "300"),
    ("3.48", "3.5", "3.48"),
    ("1,234", "1,230", "1,234"),
    ("-5", "5", "-5"),
    ("in the 1990s", "in 2001", "1990s"),
    ("Only 7 of 12", "12", "7"),
    ("三百人", "四百人", "三百"),
    ("两年", "三年", "两年"),
    ("百分之三十", "30人", "百分之三十"),
    ("二〇二四年", "2023年", "二〇二四年"),
    ("3.5亿", "3.5万", "3.5亿"),
]


@pytest.mark.parametrize(("response", "context"), SUPPORTED)
def test_supported(response: str, context: str) -> None:
    assert judge(response, context)["outcome"] == "supported"


@pytest.mark.parametrize(("response", "context", "span"), UNSUPPORTED)
def test_unsupported(response: str, context: str, span: str) -> None:
    row = judge(response, context)
    assert (row["outcome"], row["span"]) == ("hallucinated", span)
    assert response[row["span_start"] : row["span_stop"]] == span


@pytest.mark.parametrize(
    ("response", "context", "outcome", "reason"),
    [
        ("12", None, "not_applicable", "no_context"),
        (None, "12", "failed", "no_response"),
        ("no figures", "12", "supported", "no_number"),
        ("  ", "12", "abstained", "empty"),
        ("I don't know, there were 12 pages.", "none", "abstained", "refusal"),
        ("12", "", "hallucinated", "unsupported_number"),
    ],
)
def test_reasons(response: str | None, context: str | None, outcome: str, reason: str) -> None:
    row = judge(response, context)
    assert (row["outcome"], row["reason"]) == (outcome, reason)


def test_evidence_names_the_nearest_number() -> None:
    assert judge("12 died", "of 100, 14 fell and 5 rose")["against"] == "14"
    assert judge("12 died", "they fell")["against"] == "no number in the context"
    assert judge("12% fell", "12 of 100, and 40%")["against"] == "40%"


def test_the_threshold_counts_numbers() -> None:
    assert judge("7, 8 and 9", "9")["score"] == 2.0
    assert judge("7, 8 and 9", "9", at=3)["outcome"] == "supported"
    assert judge("7, 8 and 9", "9", at=2)["outcome"] == "hallucinated"


@given(st.text(alphabet="0123456789 ,.%-$kmabc三百万亿点分之年第两\n", max_size=60))
def test_a_text_supports_itself(text: str) -> None:
    assert judge(text, text)["outcome"] != "hallucinated"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_gold_answers_are_supported_by_their_passages(corpora, lang: str) -> None:
    rows = [
        row
        for part in ("part-000", "part-001")
        for row in pq.read_table(corpora / "xquad" / f"{part}.parquet").to_pylist()
        if row["lang"] == lang
    ]
    columns = {
        "response": pa.array([row["reference"][0] for row in rows]),
        "context": pa.array([row["context"] for row in rows]),
    }
    indicator = UnsupportedNumber(UnsupportedNumberOptions())
    scores = indicator.score(ScoringBatch(columns))
    codes = indicator.decide(scores.score, scores.state)
    assert len(rows) == 1_190
    assert scores.reason.count("all_supported") > 250
    assert (codes == Outcome.HALLUCINATED).sum() <= 1


def test_what_it_flags_in_real_dialogue_people_flag_too(corpora) -> None:
    rows = [
        row
        for row in pq.read_table(corpora / "begin" / "part-000.parquet").to_pylist()
        if row["label_hallucinated"] is not None
    ]
    columns = {
        "response": pa.array([row["response"] for row in rows]),
        "context": pa.array([row["source"] for row in rows]),
    }
    indicator = UnsupportedNumber(UnsupportedNumberOptions())
    scores = indicator.score(ScoringBatch(columns))
    flagged = [row for row, code in zip(rows, indicator.decide(scores.score, scores.state), strict=True) if code == 0]
    assert len(flagged) > 100
    assert sum(row["label_hallucinated"] for row in flagged) > 0.95 * len(flagged)

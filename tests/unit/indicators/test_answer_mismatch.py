"""Answers against references, by hand and on real answers."""

import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.indicators.answer_mismatch import AnswerMismatch, AnswerMismatchOptions
from halluc_ray.indicators.protocol import ScoringBatch
from halluc_ray.indicators.tables import scores_to_columns
from halluc_ray.records.outcomes import Outcome


def judge(response: str | None, references: list[str | None] | None, **options: str) -> tuple[str, str | None]:
    indicator = AnswerMismatch(AnswerMismatchOptions.model_validate(options))
    batch = ScoringBatch(
        {
            "response": pa.array([response], type=pa.string()),
            "reference": pa.array([references], type=pa.list_(pa.string())),
        }
    )
    scores = indicator.score(batch)
    (code,) = indicator.decide(scores.score, scores.state)
    return Outcome(code).label, scores_to_columns(scores)["reason"].to_pylist()[0]


@pytest.mark.parametrize(
    ("response", "references", "outcome", "reason"),
    [
        ("The Paris.", ["paris"], "supported", "matched"),
        ("City of Light", ["Paris", "the city of light"], "supported", "matched"),
        ("Rome", ["Paris"], "hallucinated", "mismatch"),
        ("It is Paris", ["Paris"], "hallucinated", "mismatch"),
        ("I don't know", ["Paris"], "abstained", "refusal"),
        ("unanswerable", ["unanswerable"], "supported", "matched"),
        ("", ["Paris"], "abstained", "empty"),
        ("<think>Paris", ["Paris"], "abstained", "empty"),
        ("<think>Rome?</think>Paris", ["Paris"], "supported", "matched"),
        ("Paris", None, "not_applicable", "no_reference"),
        ("Paris", [], "not_applicable", "no_reference"),
        ("Paris", [None, " "], "not_applicable", "no_reference"),
        (None, ["Paris"], "failed", "no_response"),
        ("Yes, it does.", ["yes"], "supported", "same_reading"),
        ("No, it does not.", ["yes"], "hallucinated", "other_reading"),
        ("It depends on the light.", ["yes"], "undecided", "neither_yes_nor_no"),
        ("I can't answer that.", ["no"], "abstained", "refusal"),
        ("不是。", ["否"], "supported", "same_reading"),
        ("是的", ["是"], "supported", "same_reading"),
        ("三百四十二", ["342"], "supported", "matched"),
        ("《三体》", ["三体"], "supported", "matched"),
        ("The", ["The"], "supported", "matched"),
        ("The", ["A"], "hallucinated", "mismatch"),
    ],
)
def test_exact(response: str | None, references: list[str | None] | None, outcome: str, reason: str) -> None:
    assert judge(response, references) == (outcome, reason)


@pytest.mark.parametrize(
    ("response", "references", "outcome"),
    [
        ("The capital is Paris, in France.", ["Paris"], "supported"),
        ("Parisians", ["Paris"], "hallucinated"),
        ("Comparison", ["Paris"], "hallucinated"),
        ("I'm not sure whether it is Paris.", ["Paris"], "abstained"),
        ("首都是巴黎。", ["巴黎"], "supported"),
        ("共有三十人", ["3"], "hallucinated"),
        ("共有三人", ["3"], "supported"),
        ("长3.5米", ["3"], "hallucinated"),
        ("增长30%", ["30"], "hallucinated"),
        ("由NASA发射", ["NASA"], "supported"),
        ("由NASAX发射", ["NASA"], "hallucinated"),
        ("一千二百元", ["1200元"], "supported"),
    ],
)
def test_contains(response: str, references: list[str], outcome: str) -> None:
    assert judge(response, references, mode="contains")[0] == outcome


def test_evidence_is_the_answer_and_what_it_was_held_against() -> None:
    indicator = AnswerMismatch(AnswerMismatchOptions())
    scores = indicator.score(
        ScoringBatch({"response": pa.array(["  Rome. "]), "reference": pa.array([["Paris", "Lutetia"]])})
    )
    assert (scores.span_start[0], scores.span_stop[0]) == (2, 7)
    assert scores.span[0] == "Rome."
    assert scores.against[0] == "Paris | Lutetia"


def test_language_can_be_forced() -> None:
    assert judge("三 百", ["三百"])[0] == "supported"
    assert judge("三 百", ["三百"], language="en")[0] == "hallucinated"


def test_an_empty_batch() -> None:
    indicator = AnswerMismatch(AnswerMismatchOptions())
    columns = {"response": pa.array([], pa.string()), "reference": pa.array([], pa.list_(pa.string()))}
    scores = indicator.score(ScoringBatch(columns))
    assert len(indicator.decide(scores.score, scores.state)) == 0
    assert all(len(column) == 0 for column in scores_to_columns(scores).values())


@pytest.mark.parametrize("mode", ["exact", "contains"])
@pytest.mark.parametrize("lang", ["en", "zh", "de", "ru", "ar"])
def test_a_real_gold_answer_always_matches_itself(corpora, mode: str, lang: str) -> None:
    rows = [
        row
        for part in ("part-000", "part-001")
        for row in pq.read_table(corpora / "xquad" / f"{part}.parquet", columns=["lang", "reference"]).to_pylist()
        if row["lang"] == lang
    ]
    indicator = AnswerMismatch(AnswerMismatchOptions(mode=mode))
    references = [row["reference"] for row in rows]
    batch = ScoringBatch({"response": pa.array([gold[0] for gold in references]), "reference": pa.array(references)})
    scores = indicator.score(batch)
    assert len(rows) > 1_000
    assert set(indicator.decide(scores.score, scores.state)) == {Outcome.SUPPORTED}


def test_judged_predictions_of_nq_open_keep_their_order(corpora) -> None:
    """Predictions that people called right match far more often than those they called wrong."""
    rows = pq.read_table(corpora / "nq_open" / "part-000.parquet").to_pylist()

    def share(column: str) -> float:
        pairs = [(text, row["reference"]) for row in rows for text in row[column] or []]
        indicator = AnswerMismatch(AnswerMismatchOptions(mode="contains"))
        scores = indicator.score(
            ScoringBatch({"response": pa.array([a for a, _ in pairs]), "reference": pa.array([b for _, b in pairs])})
        )
        codes = indicator.decide(scores.score, scores.state)
        return float((codes == Outcome.SUPPORTED).mean())

    assert share("def_correct_predictions") > 10 * share("def_incorrect_predictions")


def test_short_answers_are_fast(corpora) -> None:
    rows = pq.read_table(corpora / "nq_open" / "part-000.parquet", columns=["reference"]).to_pylist()
    references = [row["reference"] for row in rows] * 4
    responses = [gold[-1] for gold in references[1:] + references[:1]]
    batch = ScoringBatch({"response": pa.array(responses), "reference": pa.array(references)})
    started = time.perf_counter()
    AnswerMismatch(AnswerMismatchOptions()).score(batch)
    assert len(responses) / (time.perf_counter() - started) > 10_000

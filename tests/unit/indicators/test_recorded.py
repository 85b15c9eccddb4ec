"""Recorded scores and labels, held to published counts."""

import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from halluc_ray.errors import InputError
from halluc_ray.indicators.protocol import ScoringBatch
from halluc_ray.indicators.recorded_label import RecordedLabel, RecordedLabelOptions
from halluc_ray.indicators.recorded_score import RecordedScore, RecordedScoreOptions
from halluc_ray.indicators.tables import scores_to_columns
from halluc_ray.records.outcomes import Outcome


def outcomes(indicator: RecordedScore | RecordedLabel, columns: dict[str, pa.Array]) -> list[str]:
    scores = indicator.score(ScoringBatch(columns))
    return [Outcome(code).label for code in indicator.decide(scores.score, scores.state)]


def test_score_against_both_kinds_of_threshold() -> None:
    columns = {"column:s": pa.array([0.4999, 0.5, 0.5001, None, float("nan"), float("inf")])}
    below = outcomes(RecordedScore(RecordedScoreOptions(column="s", below=0.5)), columns)
    above = outcomes(RecordedScore(RecordedScoreOptions(column="s", at_or_above=0.5)), columns)
    assert below == ["hallucinated", "supported", "supported", "undecided", "undecided", "supported"]
    assert above == ["supported", "hallucinated", "hallucinated", "undecided", "undecided", "hallucinated"]


def test_a_stored_float32_is_compared_as_it_is() -> None:
    columns = {"column:s": pa.array([0.1], type=pa.float32())}
    assert outcomes(RecordedScore(RecordedScoreOptions(column="s", below=0.1)), columns) == ["supported"]
    assert outcomes(RecordedScore(RecordedScoreOptions(column="s", below=0.1000001)), columns) == ["hallucinated"]


def test_invalid_answers_abstain_whatever_their_score() -> None:
    indicator = RecordedScore(RecordedScoreOptions(column="s", below=0.5, valid="v"))
    columns = {"column:s": pa.array([0.1, 0.1, 0.9, None]), "column:v": pa.array([True, False, None, False])}
    assert outcomes(indicator, columns) == ["hallucinated", "abstained", "abstained", "abstained"]
    stored = scores_to_columns(indicator.score(ScoringBatch(columns)))
    assert stored["reason"].to_pylist() == [None, "invalid", "invalid", "invalid"]
    assert stored["score"].to_pylist() == [0.1, None, None, None]
    assert stored["against"].to_pylist() == ["s = 0.1", "s = 0.1", "s = 0.9", "s = null"]


@pytest.mark.parametrize(
    "options", [{}, {"below": 1, "at_or_above": 1}, {"below": float("nan")}, {"below": 1, "at": 2}]
)
def test_exactly_one_threshold(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        RecordedScoreOptions.model_validate({"column": "s", **options})


def test_a_column_of_text_is_no_score() -> None:
    with pytest.raises(InputError, match="column 's' is string"):
        outcomes(RecordedScore(RecordedScoreOptions(column="s", below=1)), {"column:s": pa.array(["0.1"])})
    with pytest.raises(InputError, match="column 'v' is string"):
        outcomes(
            RecordedScore(RecordedScoreOptions(column="s", below=1, valid="v")),
            {"column:s": pa.array([1]), "column:v": pa.array(["yes"])},
        )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([True, False, None]), ["hallucinated", "supported", "not_applicable"]),
        (pa.array([1, 0, 2]), ["hallucinated", "supported", "undecided"]),
        (pa.array([1.0, 0.0, 0.5]), ["hallucinated", "supported", "undecided"]),
        (
            pa.array(["Yes", " no ", "TRUE", "false", ""]),
            ["hallucinated", "supported", "hallucinated", "supported", "undecided"],
        ),
        (pa.array(["yes", "no"]).dictionary_encode(), ["hallucinated", "supported"]),
        (pa.nulls(2), ["not_applicable", "not_applicable"]),
    ],
)
def test_labels_in_every_spelling(values: pa.Array, expected: list[str]) -> None:
    assert outcomes(RecordedLabel(RecordedLabelOptions()), {"label": values}) == expected
    assert outcomes(RecordedLabel(RecordedLabelOptions(column="c")), {"column:c": values}) == expected


def test_an_unreadable_label_is_shown() -> None:
    scores = RecordedLabel(RecordedLabelOptions()).score(ScoringBatch({"label": pa.array(["maybe"])}))
    stored = scores_to_columns(scores)
    assert (stored["reason"][0].as_py(), stored["against"][0].as_py()) == ("unreadable_label", "label = maybe")


_BYTES = pa.array([b"yes", b"no", b"\xff\xfe", None], pa.binary())


@pytest.mark.parametrize(
    "values",
    [
        _BYTES,
        _BYTES.cast(pa.large_binary()),
        _BYTES.cast(pa.binary_view()),
        _BYTES.dictionary_encode(),
        pa.Array.from_buffers(pa.string(), len(_BYTES), _BYTES.buffers()),
    ],
    ids=lambda values: str(values.type),
)
def test_labels_stored_as_bytes_are_read_and_those_that_are_no_text_are_undecided(values: pa.Array) -> None:
    indicator = RecordedLabel(RecordedLabelOptions())
    assert outcomes(indicator, {"label": values}) == ["hallucinated", "supported", "undecided", "not_applicable"]
    stored = scores_to_columns(indicator.score(ScoringBatch({"label": values})))
    assert stored["reason"].to_pylist() == [None, None, "undecodable_label", "no_label"]
    assert stored["against"].to_pylist() == ["label = yes", "label = no", "label = \\xff\\xfe", "label = null"]


@pytest.mark.parametrize(
    "values",
    [pa.array([[True]]), pa.array([{"a": True}]), pa.array([(1, 2, 3)], pa.month_day_nano_interval())],
    ids=lambda values: str(values.type),
)
def test_a_column_that_holds_no_labels(values: pa.Array) -> None:
    with pytest.raises(InputError, match=r"column 'label' is .*; recorded_label needs booleans, numbers or text"):
        outcomes(RecordedLabel(RecordedLabelOptions()), {"label": values})


def test_halueval_holds_977_hallucinations_of_5000(corpora) -> None:
    table = pq.read_table(corpora / "halueval_general_v1" / "part-000.parquet")
    for column in ("label_hallucinated", "label_raw"):
        found = outcomes(RecordedLabel(RecordedLabelOptions(column=column)), {f"column:{column}": table[column]})
        assert (found.count("hallucinated"), len(found)) == (977, 5_000)


def test_leaderboard_agrees_with_its_own_labels_and_is_fast(corpora) -> None:
    parts = sorted((corpora / "vectara_leaderboard").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(part) for part in parts]).combine_chunks()
    columns = {f"column:{name}": table[name].combine_chunks() for name in ("hhem_score", "is_valid")}
    indicator = RecordedScore(RecordedScoreOptions(column="hhem_score", below=0.5, valid="is_valid"))
    started = time.perf_counter()
    scores = indicator.score(ScoringBatch(columns))
    stored = scores_to_columns(scores)
    codes = indicator.decide(scores.score, scores.state)
    assert time.perf_counter() - started < 0.3
    assert len(codes) == 123_696
    labelled = pc.fill_null(table["label_hallucinated"], False).to_numpy()
    assert np.array_equal(codes == Outcome.HALLUCINATED, labelled)
    assert stored["against"][0].as_py().startswith("hhem_score = 0.")

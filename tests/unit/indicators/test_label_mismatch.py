"""Labels against references, written as ids or names."""

import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.indicators.label_mismatch import LabelMismatch, LabelMismatchOptions
from halluc_ray.indicators.protocol import ScoringBatch
from halluc_ray.indicators.tables import scores_to_columns
from halluc_ray.records.outcomes import Outcome

LABELS = {"0": "negative", "1": "Positive"}


def batch(
    responses: list[str | None], references: list[list[str | None] | None], labels: dict[str, str]
) -> ScoringBatch:
    columns = {
        "response": pa.array(responses, type=pa.string()),
        "reference": pa.array(references, type=pa.list_(pa.string())),
    }
    return ScoringBatch(columns, labels=labels)


@pytest.mark.parametrize(
    ("response", "references", "outcome", "reason"),
    [
        ("Positive", ["1"], "supported", None),
        ("positive ", ["POSITIVE"], "supported", None),
        ("1", ["positive"], "supported", None),
        ("negative", ["1"], "hallucinated", "mismatch"),
        ("negative", ["1", "0"], "supported", None),
        ("negative", ["5"], "undecided", "unknown_reference_label"),
        ("negative", ["5", "1"], "hallucinated", "mismatch"),
        ("neutral", ["1"], "hallucinated", "unknown_label"),
        ("neutral", ["neutral"], "supported", None),
        ("negative", None, "not_applicable", "no_reference"),
        ("negative", [], "not_applicable", "no_reference"),
        ("negative", [None], "not_applicable", "no_reference"),
        (None, ["1"], "failed", "no_response"),
    ],
)
def test_one_row(response: str | None, references: list[str | None] | None, outcome: str, reason: str | None) -> None:
    indicator = LabelMismatch(LabelMismatchOptions())
    scores = indicator.score(batch(["positive", response, None], [["1"], references, None], LABELS))
    assert Outcome(indicator.decide(scores.score, scores.state)[1]).label == outcome
    assert scores_to_columns(scores)["reason"][1].as_py() == reason


def test_without_known_labels_texts_are_compared() -> None:
    indicator = LabelMismatch(LabelMismatchOptions())
    scores = indicator.score(batch(["Cat", "dog"], [["cat"], ["cat"]], {}))
    assert indicator.decide(scores.score, scores.state).tolist() == [Outcome.SUPPORTED, Outcome.HALLUCINATED]


def test_the_option_overrides_the_system() -> None:
    indicator = LabelMismatch(LabelMismatchOptions(labels={"0": "good", "1": "bad"}))
    scores = indicator.score(batch(["good", "good"], [["0"], ["1"]], LABELS))
    assert indicator.decide(scores.score, scores.state).tolist() == [Outcome.SUPPORTED, Outcome.HALLUCINATED]


def test_evidence() -> None:
    stored = scores_to_columns(LabelMismatch(LabelMismatchOptions()).score(batch(["negative"], [["1"]], LABELS)))
    row = {name: column[0].as_py() for name, column in stored.items()}
    assert (row["state"], row["score"], row["reason"]) == (255, 1.0, "mismatch")
    assert (row["span_start"], row["span_stop"], row["span"], row["against"]) == (0, 8, "negative", "Positive")


def test_a_sliced_batch_gives_what_its_rows_give() -> None:
    whole = batch(["positive", "negative", "negative"], [["1"], None, ["1", "0"]], LABELS)
    cut = ScoringBatch({name: column.slice(1) for name, column in whole.columns.items()}, labels=LABELS)
    indicator = LabelMismatch(LabelMismatchOptions())
    assert indicator.score(cut).state.tolist() == indicator.score(whole).state.tolist()[1:]
    assert scores_to_columns(indicator.score(cut))["against"].to_pylist() == [None, "Positive | negative"]


def test_it_agrees_with_a_plain_loop_on_sst2_and_is_fast(corpora) -> None:
    gold = pq.read_table(corpora / "sst2" / "part-000.parquet", columns=["reference"])["reference"].to_pylist() * 2
    said = np.random.default_rng(0).integers(0, 2, len(gold))
    rows = batch([["negative", "positive"][k] for k in said], [[str(k)] for k in gold], LABELS)
    indicator = LabelMismatch(LabelMismatchOptions())
    started = time.perf_counter()
    scores = indicator.score(rows)
    scores_to_columns(scores)
    codes = indicator.decide(scores.score, scores.state)
    assert time.perf_counter() - started < 0.3
    assert len(gold) > 120_000
    assert codes.tolist() == [
        Outcome.SUPPORTED if a == b else Outcome.HALLUCINATED for a, b in zip(said, gold, strict=True)
    ]

"""Multiple choice as TruthfulQA's authors define it, on hand-made likelihoods and on their questions."""

import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.indicators.choice_mass import ChoiceMass
from halluc_ray.indicators.choice_mismatch import ChoiceMismatch
from halluc_ray.indicators.protocol import Indicator, ScoringBatch
from halluc_ray.records import OUTCOMES

INF = math.inf


def judged(kind: type[Indicator], given: Sequence[dict[str, float]], true: Sequence[list[str] | None], **options):
    """(outcome, score, reason) per row; `best` goes into the column that the option names."""
    rated = [[{"text": t, "logprob": p, "num_tokens": len(t.split())} for t, p in row.items()] for row in given]
    columns = {"option_scores": pa.array(rated), "reference": pa.array(true, pa.list_(pa.string()))}
    if best := options.get("best"):
        columns["column:b"] = pa.array(best)
        options["best"] = "b"
    indicator = kind(kind.Options(**options))
    scores = indicator.score(ScoringBatch(columns))
    outcomes = [OUTCOMES[code].label for code in indicator.decide(scores.score, scores.state)]
    return list(zip(outcomes, scores.score.tolist(), scores.reason, strict=True))


def test_the_best_true_option_must_beat_every_false_one() -> None:
    given = [{"a": -1.0, "b": -2.0, "c": -3.0}] * 4
    found = judged(ChoiceMismatch, given, [["a"], ["b"], ["b", "a"], ["a", "b"]])
    assert [row[0] for row in found] == ["supported", "hallucinated", "supported", "supported"]
    found = judged(ChoiceMismatch, given, [["a", "b"]] * 4, best=["a", "b", "c", None])
    assert [(row[0], row[2]) for row in found] == [
        ("supported", "best_wins"),
        ("supported", "best_wins"),  # "a" is ahead of it, and true
        ("undecided", "best_is_no_true_option"),
        ("undecided", "best_is_no_true_option"),
    ]


def test_a_tie_is_no_win() -> None:
    found = judged(ChoiceMismatch, [{"a": -1.0, "b": -1.0}, {"a": -1.0, "b": math.nextafter(-1.0, -2)}], [["a"], ["a"]])
    assert [(row[0], row[2]) for row in found] == [("hallucinated", "tied"), ("supported", "best_wins")]


def test_lengths_count_where_they_are_told_to() -> None:
    given, true = [{"a b c d": -4.0, "ü": -2.5}], [["a b c d"]]
    assert [judged(ChoiceMismatch, given, true, choose_by=by)[0][0] for by in ("sum", "per_token", "per_byte")] == [
        "hallucinated",
        "supported",  # -1 a token against -2.5
        "supported",  # -4 / 7 against -2.5 / 2
    ]


def test_mass_by_hand() -> None:
    given = [{"a": math.log(0.3), "b": math.log(0.1), "c": math.log(0.2)}]
    [(outcome, score, _)] = judged(ChoiceMass, given, [["a", "b"]])
    assert (outcome, score) == ("supported", pytest.approx(2 / 3, rel=1e-15))
    assert judged(ChoiceMass, given, [["a", "b"]], below=0.67)[0][0] == "hallucinated"
    assert judged(ChoiceMass, [{"a": -1.0, "b": -1.0}], [["a"]])[0][:2] == ("supported", 0.5)


def test_mass_outlives_underflow() -> None:
    found = judged(
        ChoiceMass, [{"a": -9000.0, "b": -9001.0}, {"a": -INF, "b": -5.0}, {"a": -5.0, "b": -INF}], [["a"]] * 3
    )
    assert [row[1] for row in found] == [pytest.approx(1 / (1 + math.exp(-1)), rel=1e-12), 0.0, 1.0]
    assert [row[0] for row in found] == ["supported", "hallucinated", "supported"]


@pytest.mark.parametrize("kind", [ChoiceMismatch, ChoiceMass])
def test_what_can_not_be_judged(kind: type[Indicator]) -> None:
    given = [{"a": -INF, "b": -INF}, {"a": -1.0, "b": -1.0}, {"a": -1.0, "b": -2.0}, {"a": -1.0, "b": -1.0}, {}]
    true = [["a"], ["a", "b"], ["c"], None, ["a"]]
    assert [(row[0], row[2]) for row in judged(kind, given, true)] == [
        ("undecided", "no_probability"),
        ("not_applicable", "no_false_option"),
        ("undecided", "true_option_not_rated"),
        ("not_applicable", "no_reference"),
        ("undecided", "no_option_scores"),
    ]


def published(scores_true: list[float], scores_false: list[float], best: int) -> tuple[float, float]:
    """MC1 and MC2 by the formulas of the paper's appendix B, on probabilities themselves."""
    first = 1.0 if scores_true[best] > max(scores_false) else 0.0
    true, false = np.exp(scores_true), np.exp(scores_false)
    return first, float(np.sum(true / (true.sum() + false.sum())))


def test_figures_of_truthfulqa_are_the_published_formulas(corpora: Path) -> None:
    questions = pq.read_table(corpora / "truthfulqa_questions" / "part-000.parquet").to_pylist()
    noise = random.Random(7)
    given = []
    for row in questions:
        texts = sorted({*row["correct_answers"], *row["incorrect_answers"]})
        given.append({text: -noise.choice([3.0, 8.0, 20.0]) * (1 + noise.randrange(9) / 8) for text in texts})
    true, best = [row["correct_answers"] for row in questions], [row["reference"] for row in questions]
    firsts = judged(ChoiceMismatch, given, true, best=best)
    masses = judged(ChoiceMass, given, true)
    compared = ties = 0
    for row, scores, first, mass in zip(questions, given, firsts, masses, strict=True):
        false = [text for text in row["incorrect_answers"] if text not in row["correct_answers"]]
        rivals, own = [scores[t] for t in dict.fromkeys(false)], list(dict.fromkeys(row["correct_answers"]))
        mc1, mc2 = published([scores[t] for t in own], rivals, own.index(row["reference"]))
        assert first[1] == 1 - mc1
        assert mass[1] == pytest.approx(mc2, rel=1e-12)
        compared += 1
        ties += first[2] == "tied"
    assert (compared, ties > 10) == (790, True)

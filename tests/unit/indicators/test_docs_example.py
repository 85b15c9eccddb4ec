"""The indicator that docs/indicators.md shows is one."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from halluc_ray.indicators.protocol import ScoringBatch
from halluc_ray.records import Outcome

PAGE = Path(__file__).parents[3] / "docs" / "indicators.md"


def test_it_scores_by_hand_worked_cases():
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    kind = names["NewWords"]
    responses = ["the cat slept", "the dog sat", "a dog barked", None, "", "the cat"]
    contexts = ["The cat sat"] * 5 + [None]
    batch = ScoringBatch({"response": pa.array(responses), "context": pa.array(contexts)})
    indicator = kind(kind.Options(at=0.5))
    scores = indicator.score(batch)
    assert scores.score[:3].tolist() == [1 / 3, 1 / 3, 1.0]
    outcomes = [Outcome(code).label for code in indicator.decide(scores.score, scores.state)]
    assert outcomes == ["supported", "supported", "hallucinated", "failed", "abstained", "not_applicable"]
    assert scores.span[2] == "a dog barked"

"""Runs over annotated corpora give the figures that their authors published."""

import csv
from pathlib import Path

from halluc_ray.config import RunSpec
from halluc_ray.evaluation import evaluate


def test_the_vectara_leaderboard_in_every_cell(corpora: Path, ray_here: None, tmp_path: Path) -> None:
    folder = corpora / "vectara_leaderboard"
    spec = {
        "corpus": {"uri": str(folder), "columns": {"id": "id"}},
        "systems": [{"kind": "recorded", "name_from": "model"}],
        "indicators": [
            {"name": "hhem", "kind": "recorded_score", "column": "hhem_score", "below": 0.5, "valid": "is_valid"}
        ],
        "summaries": [{"name": "mean_words", "column": "word_count", "where": "is_valid"}],
        "output": str(tmp_path),
    }
    report = evaluate(RunSpec.model_validate(spec)).report
    rates = {rate["system"]: rate for rate in report["rates"]}
    means = {mean["system"]: mean["mean"] for mean in report["summaries"]}
    with (folder / "published.csv").open() as file:
        published = list(csv.DictReader(file))
    assert len(published) == len(rates) == 16
    for row in published:
        rate = rates[row["model"]]
        assert f"{100 * rate['rate']:.1f}" == row["hallucination_rate_percent"]
        assert f"{100 * rate['answered_share']:.1f}" == row["answer_rate_percent"]
        assert f"{means[row['model']]:.1f}" == row["average_words"]
        assert rate["abstained"] + rate["supported"] + rate["hallucinated"] == rate["rows"] == 7_731


def test_halueval_as_first_released(corpora: Path, ray_here: None, tmp_path: Path) -> None:
    spec = {
        "corpus": {
            "uri": str(corpora / "halueval_general_v1"),
            "columns": {"id": "id", "prompt": "prompt", "response": "response", "label": "label_hallucinated"},
        },
        "systems": [{"kind": "recorded", "name_from": "model"}],
        "indicators": [{"kind": "recorded_label"}],
        "output": str(tmp_path),
    }
    (rate,) = evaluate(RunSpec.model_validate(spec)).report["rates"]
    assert (rate["hallucinated"], rate["hallucinated"] + rate["supported"]) == (977, 5_000)

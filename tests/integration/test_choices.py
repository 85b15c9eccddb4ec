"""The example of TruthfulQA as a whole, on a model in closed form: imported, rated, judged, reported."""

import json
import os
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from halluc_ray.config import RunSpec
from halluc_ray.evaluation import evaluate
from tests.unigram import save_unigram

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "truthfulqa_choices.yaml"
NUM_ROWS = 120


@pytest.fixture(scope="module")
def questions(corpora: Path) -> list[dict[str, Any]]:
    """Questions with the fields that the hub's copy has, answers in a random order."""
    rows = pq.read_table(corpora / "truthfulqa_questions" / "part-000.parquet").to_pylist()[:NUM_ROWS]
    order = random.Random(3)
    return [
        {
            "question": row["question"],
            "best_answer": row["reference"],
            "correct_answers": order.sample(row["correct_answers"], len(row["correct_answers"])),
            "incorrect_answers": order.sample(row["incorrect_answers"], len(row["incorrect_answers"])),
            "category": row["category"],
        }
        for row in rows
    ]


def imported(questions: list[dict[str, Any]], folder: Path) -> Path:
    """Through the command that the example names, from a file instead of the hub."""
    source = folder / "questions.jsonl"
    source.write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")
    [mapping] = [line.split('"')[1] for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if "--map" in line]
    command = [sys.executable, "-m", "halluc_ray.cli.app", "import", str(source), str(folder / "corpus")]
    command += ["--id", "row", "--map", mapping]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=os.environ)
    return folder / "corpus"


def test_mc1_and_mc2_of_the_example(questions, tmp_path: Path, ray_here: None) -> None:
    texts = [text for row in questions for text in (row["question"], *row["correct_answers"])]
    tokenizer, known = save_unigram(tmp_path / "model", texts=texts, positions=512)
    spec = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    spec["corpus"]["uri"] = str(imported(questions, tmp_path))
    spec["systems"][0] |= {"checkpoint": str(tmp_path / "model"), "dtype": "float64"}
    spec |= {"output": str(tmp_path / "out"), "engine": {"shard_rows": 50, "device": "cpu"}}
    report = evaluate(RunSpec.model_validate(spec)).result.to_dict()
    first, mass = [], []
    for row in questions:
        tokens = {
            text: tokenizer(" " + text)["input_ids"] for text in row["correct_answers"] + row["incorrect_answers"]
        }
        scores = {text: float(known[ids].sum()) for text, ids in tokens.items()}
        false = [scores[text] for text in set(row["incorrect_answers"]) - set(row["correct_answers"])]
        true = [scores[text] for text in set(row["correct_answers"])]
        first.append(scores[row["best_answer"]] > max(false))
        top = max(true + false)
        mass.append(float(np.exp(np.array(true) - top).sum() / np.exp(np.array(true + false) - top).sum()))
    [mc1, below_half] = [rate for rate in report["rates"] if not rate["slice"]]
    assert (mc1["indicator"], mc1["rows"], mc1["supported"]) == ("choice_mismatch", NUM_ROWS, sum(first))
    assert mc1["rate"] == float(1 - Fraction(sum(first), NUM_ROWS))
    assert below_half["hallucinated"] == sum(share < 0.5 for share in mass)
    [mc2] = [mean for mean in report["summaries"] if not mean["slice"]]
    assert (mc2["name"], mc2["rows"], mc2["skipped"]) == ("MC2", NUM_ROWS, 0)
    assert mc2["mean"] == pytest.approx(np.mean(mass), rel=1e-12)
    assert 0 < sum(first) < NUM_ROWS

"""A fitted classifier through Ray on real sentiment, held to a plain transformers loop."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from halluc_ray.config import RunSpec
from halluc_ray.evaluation import Evaluation, evaluate, find_samples

NUM_ROWS = 2_000


@pytest.fixture(scope="module")
def evaluated(
    corpora: Path, sentiment_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, ray_here: None
) -> Evaluation:
    corpus = {
        "uri": str(corpora / "sst2"),
        "columns": {"id": "id", "prompt": "text", "reference": "reference"},
        "where": "split = 'dev'",
        "limit": NUM_ROWS,
    }
    return evaluate(
        RunSpec.model_validate(
            {
                "corpus": corpus,
                "systems": [
                    {"kind": "sequence-classification", "name": "sentiment", "checkpoint": str(sentiment_checkpoint)}
                ],
                "indicators": [{"kind": "label_mismatch"}],
                "output": str(tmp_path_factory.mktemp("classifier")),
            }
        )
    )


@pytest.fixture(scope="module")
def answers(evaluated: Evaluation) -> dict[str, str]:
    """Id -> response."""
    found = find_samples(evaluated.run_uri, where=None, limit=NUM_ROWS + 1)
    return dict(zip(found["id"].to_pylist(), found["response"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def plain_predictions(corpora: Path, sentiment_checkpoint: Path, answers: dict[str, str]) -> dict[str, str]:
    """Id -> label of the rows that were chosen, from a loop with nothing of ours in it."""
    filters = [("split", "=", "dev"), ("id", "in", list(answers))]
    table = pq.read_table(corpora / "sst2" / "part-000.parquet", filters=filters)
    tokenizer = AutoTokenizer.from_pretrained(sentiment_checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(sentiment_checkpoint).eval()
    rows = sorted(table.select(["id", "text"]).to_pylist(), key=lambda row: len(row["text"]))
    labels: dict[str, str] = {}
    with torch.inference_mode():
        for start in range(0, len(rows), 16):
            batch = rows[start : start + 16]
            tokens = tokenizer([row["text"] for row in batch], padding=True, truncation=True, return_tensors="pt")
            found = model(**tokens).logits.argmax(-1).tolist()
            labels |= {row["id"]: model.config.id2label[k] for row, k in zip(batch, found, strict=True)}
    return labels


def test_accuracy_is_that_of_a_fitted_classifier(evaluated: Evaluation) -> None:
    rate = next(r for r in evaluated.report["rates"] if not r["slice"])
    assert rate["rows"] == NUM_ROWS
    assert rate["hallucinated"] + rate["supported"] == NUM_ROWS
    assert 1 - rate["rate"] >= 0.77


def test_predictions_are_those_of_a_plain_loop(answers: dict[str, str], plain_predictions: dict[str, str]) -> None:
    assert len(answers) == NUM_ROWS
    assert answers == plain_predictions


def test_the_rate_is_a_count_of_the_predictions(
    evaluated: Evaluation, plain_predictions: dict[str, str], corpora: Path
) -> None:
    table = pq.read_table(corpora / "sst2" / "part-000.parquet", filters=[("split", "=", "dev")])
    truth = dict(zip(table["id"].to_pylist(), table["reference"].cast(pa.string()).to_pylist(), strict=True))
    wrong = sum(plain_predictions[key] != {"0": "negative", "1": "positive"}[truth[key]] for key in plain_predictions)
    assert next(r for r in evaluated.report["rates"] if not r["slice"])["hallucinated"] == wrong

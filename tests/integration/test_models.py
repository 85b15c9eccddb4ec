"""A real classifier, fitted by the example: its checkpoint in a folder and in a bucket, against transformers."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from halluc_ray.config import ClassifierSystem, Engine
from halluc_ray.models import numerics
from halluc_ray.models.checkpoint_cache import fetch_checkpoint
from halluc_ray.models.checkpoint_sources import open_source
from halluc_ray.models.checkpoints import inspect_checkpoint, label_names
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.records import Sample
from halluc_ray.storage import open_store
from infra.object_store.server import ObjectServer


@pytest.fixture(scope="module")
def held_out(corpora) -> tuple[list[str], list[int]]:
    """Texts and labels of 300 rows that the example did not see."""
    table = pq.read_table(sorted((corpora / "sst2").glob("*.parquet")), filters=[("split", "=", "dev")]).slice(0, 300)
    return table["text"].to_pylist(), table["reference"].to_pylist()


def load(uri: str, *, store=None, cache: Path):
    system = ClassifierSystem(kind="sequence-classification", name="s", checkpoint=uri)
    source = open_source(uri, store=store)
    checkpoint = inspect_checkpoint(source, cache=cache)
    frozen = numerics.resolve(
        system, engine=Engine(), device="cpu", config=checkpoint.config, num_parameters=checkpoint.num_parameters
    )
    numerics.check(frozen)
    folder = fetch_checkpoint(source, checkpoint.files, digest=checkpoint.digest, cache=cache)
    labels = {str(index): name for index, name in label_names(checkpoint.config).items()}
    return load_model(system, folder=folder, numerics=frozen, labels=labels, threads=1), checkpoint, folder


def units(model, texts: list[str]):
    samples = [Sample(row, str(row), {"prompt": text}) for row, text in enumerate(texts)]
    return generate(model, samples=samples, token_budget=1_024).table


def test_predictions_equal_a_plain_loop_and_beat_chance(sentiment_checkpoint, held_out, tmp_path):
    texts, labels = held_out
    table = units(load(str(sentiment_checkpoint), cache=tmp_path)[0], texts)
    tokenizer = AutoTokenizer.from_pretrained(sentiment_checkpoint)
    network = AutoModelForSequenceClassification.from_pretrained(sentiment_checkpoint).eval()
    expected, probabilities = [], []
    for text in texts:
        with torch.no_grad():
            found = network(**tokenizer(text, return_tensors="pt", truncation=True)).logits.double().softmax(-1)[0]
        expected.append(network.config.id2label[int(found.argmax())])
        probabilities.append(float(found.max()))
    assert table["text"].to_pylist() == expected
    assert table["probability"].to_pylist() == pytest.approx(probabilities, abs=1e-5)
    right = [name == ("negative", "positive")[label] for name, label in zip(expected, labels, strict=True)]
    assert sum(right) / len(right) > 0.7


def test_a_checkpoint_in_a_bucket_is_the_same_checkpoint(
    sentiment_checkpoint, held_out, s3_server: ObjectServer, tmp_path
):
    uri = f"s3://{s3_server.bucket}/models/sentiment"
    store = open_store(uri, endpoint=s3_server.endpoint)
    for path in sentiment_checkpoint.iterdir():
        store.put(path.name, path.read_bytes())
    local, at_home, _ = load(str(sentiment_checkpoint), cache=tmp_path)
    fetched, in_bucket, folder = load(uri, store=store, cache=tmp_path)
    assert in_bucket.digest == at_home.digest
    assert folder == tmp_path / "checkpoints" / at_home.digest
    texts = held_out[0][:40]
    assert units(fetched, texts).equals(units(local, texts))

"""Adapters through Ray: one in a bucket, one in a folder, their base, and the same merged."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from halluc_ray.config import RunSpec
from halluc_ray.errors import SpecError
from halluc_ray.evaluation import Evaluation, evaluate, find_samples
from halluc_ray.storage import open_store
from infra.object_store.server import ObjectServer
from tests.tiny_models import save_classifier
from tests.unit.models.lora import merge, save_adapter

TEXTS = [f"word{k % 7} and word{k % 5} or word{k % 11} again" for k in range(60)]
KIND = "sequence-classification"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("adapters")
    base = save_classifier(home / "base", texts=TEXTS)
    network = AutoModelForSequenceClassification.from_pretrained(base)
    assert isinstance(network, BertForSequenceClassification)
    torch.manual_seed(1)
    for name, weights in network.named_parameters():
        if "embeddings.weight" in name or ("encoder" in name and weights.ndim == 2):
            torch.nn.init.normal_(weights, std=0.3)
    torch.nn.init.normal_(network.classifier.weight, std=1.0)
    torch.nn.init.zeros_(network.bert.pooler.dense.bias)
    network.save_pretrained(base)
    for seed, name in enumerate(("one", "two"), start=1):
        save_adapter(base, home / name, kind=KIND, targets=["query", "value"], seed=seed)
        merge(base, home / name, home / f"{name}-merged", kind=KIND)
    corpus = pa.table({"id": [f"r{k}" for k in range(60)], "text": TEXTS, "label": [k % 2 for k in range(60)]})
    pq.write_table(corpus, home / "corpus.parquet", row_group_size=10)
    return home


def run(home: Path, output: Path, systems: list[dict[str, Any]], *, endpoint: str) -> Evaluation:
    spec = {
        "corpus": {
            "uri": str(home / "corpus.parquet"),
            "columns": {"id": "id", "prompt": "text", "reference": "label"},
        },
        "systems": [{"kind": KIND, "dtype": "float64", **system} for system in systems],
        "indicators": [{"kind": "label_mismatch"}],
        "output": str(output),
        "engine": {"actors": 2, "shard_rows": 10},
        "store": {"endpoint": endpoint},
    }
    return evaluate(RunSpec.model_validate(spec))


def labels(done: Evaluation) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in find_samples(done.run_uri, where=None, limit=1_000).to_pylist():
        found.setdefault(row["system"], {})[row["id"]] = row["response"]
    return found


def test_swapped_adapters_say_what_merged_ones_say(
    home: Path, s3_server: ObjectServer, ray_here: None, tmp_path: Path
) -> None:
    place = f"s3://{s3_server.bucket}/adapters/two"
    store = open_store(place, endpoint=s3_server.endpoint)
    for path in (home / "two").iterdir():
        store.put(path.name, path.read_bytes())
    base = str(home / "base")
    systems = [
        {"name": "base", "checkpoint": base},
        {"name": "one-merged", "checkpoint": str(home / "one-merged")},
        {"name": "one", "checkpoint": base, "adapter": str(home / "one")},
        {"name": "two-merged", "checkpoint": str(home / "two-merged")},
        {"name": "two", "checkpoint": base, "adapter": place},
    ]
    done = run(home, tmp_path / "one", systems, endpoint=s3_server.endpoint)
    found = labels(done)
    assert {len(rows) for rows in found.values()} == {60}
    assert found["one"] == found["one-merged"]
    assert found["two"] == found["two-merged"]
    assert len({tuple(found[name].items()) for name in ("base", "one", "two")}) == 3


def test_an_adapter_of_another_base_stops_before_ray_starts(home: Path, tmp_path: Path) -> None:
    other = save_classifier(tmp_path / "other", texts=["a b c"])
    wide = AutoModelForSequenceClassification.from_pretrained(other)
    config = wide.config
    config.hidden_size, config.intermediate_size = 48, 48
    BertForSequenceClassification(config).save_pretrained(other)
    system = {"name": "m", "checkpoint": str(other), "adapter": str(home / "one")}
    with pytest.raises(SpecError, match=r"query is adapted as 32 x 32, and the checkpoint's is 48 x 48"):
        run(home, tmp_path / "out", [system], endpoint="http://127.0.0.1:9")
    assert not (tmp_path / "out").exists()

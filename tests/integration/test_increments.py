"""A finished run that changes: only what is new is computed, and the report is that of a fresh store."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from halluc_ray.config import RunSpec
from halluc_ray.evaluation import Evaluation, evaluate
from halluc_ray.storage import ObjectStore, open_store

Spec = dict[str, Any]


@pytest.fixture(scope="module")
def corpus(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 rows of real sentiment in one file, with a recorded answer, its label and a score; 100 more beside it."""
    folder = tmp_path_factory.mktemp("increments")
    table = pq.read_table(corpora / "sst2" / "part-000.parquet", filters=[("split", "=", "dev")]).slice(0, 400)
    words = pc.list_value_length(pc.split_pattern(table["text"], " "))
    table = table.append_column("answer", pc.if_else(pc.greater(words, 8), "positive", "negative"))
    table = table.append_column("doubtful", pc.equal(pc.bit_wise_and(words, 1), 0))
    table = table.append_column("score", pc.divide(words.cast(pa.float64()), 40.0))
    (folder / "corpus").mkdir()
    pq.write_table(table.slice(0, 300), folder / "corpus" / "a.parquet", row_group_size=150)
    pq.write_table(table.slice(300), folder / "later.parquet")
    return folder


@pytest.fixture(scope="module")
def finished(corpus: Path, sentiment_checkpoint: Path, ray_here: None) -> Path:
    """Output of a finished run over the corpus."""
    run(spec_over(corpus / "corpus", corpus / "out", sentiment_checkpoint))
    return corpus / "out"


@pytest.fixture
def spec(corpus: Path, finished: Path, sentiment_checkpoint: Path, tmp_path: Path) -> Spec:
    """A spec whose run is finished, over a copy of the corpus and of the output."""
    shutil.copytree(corpus / "corpus", tmp_path / "corpus")
    shutil.copytree(finished, tmp_path / "out")
    return spec_over(tmp_path / "corpus", tmp_path / "out", sentiment_checkpoint)


def spec_over(corpus: Path, output: Path, checkpoint: Path) -> Spec:
    columns = {"id": "id", "prompt": "text", "reference": "reference", "response": "answer", "label": "doubtful"}
    return {
        "corpus": {"uri": str(corpus), "columns": columns},
        "systems": [
            {"kind": "sequence-classification", "name": "sentiment", "checkpoint": str(checkpoint)},
            {"kind": "recorded", "name": "by length"},
        ],
        "indicators": [
            {"kind": "label_mismatch", "labels": {"0": "negative", "1": "positive"}},
            {"kind": "recorded_score", "column": "score", "at_or_above": 0.5},
        ],
        "slices": ["split"],
        "output": str(output),
        "engine": {"shard_rows": 50},
    }


def change_a_threshold(spec: Spec, corpus: Path) -> None:
    spec["indicators"][1]["at_or_above"] = 0.25


def add_an_indicator(spec: Spec, corpus: Path) -> None:
    spec["indicators"].append({"kind": "recorded_label"})


def add_a_system(spec: Spec, corpus: Path) -> None:
    spec["systems"].append({**spec["systems"][0], "name": "shorter", "max_input_tokens": 8})


def rename_a_system(spec: Spec, corpus: Path) -> None:
    spec["systems"][0]["name"] = "sentiment, renamed"


def append_a_file(spec: Spec, corpus: Path) -> None:
    shutil.copy(corpus / "later.parquet", Path(spec["corpus"]["uri"]) / "b.parquet")


NEW_STAGES = {
    change_a_threshold: {"count": 2},
    add_an_indicator: {"score": 2, "count": 2},
    add_a_system: {"generate": 1, "score": 2, "count": 1},
    rename_a_system: {},
    append_a_file: {},
}


@pytest.mark.parametrize("change", NEW_STAGES, ids=lambda change: change.__name__)
def test_only_what_is_new_is_computed(
    change: Callable[[Spec, Path], None], spec: Spec, corpus: Path, tmp_path: Path
) -> None:
    store = open_store(spec["output"])
    before, stages = listing(store), stage_names(store)
    changed = copy.deepcopy(spec)
    change(changed, corpus)
    done = run(changed)
    after = listing(store)
    assert before.items() <= after.items()
    new = [name.split("-")[0] for name in stage_names(store) - stages]
    assert {kind: new.count(kind) for kind in set(new)} == NEW_STAGES[change]
    added = {key.split("/")[3].split(".")[0] for key in after.keys() - before.keys() if "/commits/" in key}
    shards = {"rename_a_system": 0, "append_a_file": 2}.get(change.__name__, 6)
    assert len(added) == shards
    fresh = run(changed | {"output": str(tmp_path / "fresh")})
    assert files(open_store(changed["output"]), done) == files(open_store(str(tmp_path / "fresh")), fresh)


def run(spec: Spec) -> Evaluation:
    return evaluate(RunSpec.model_validate(spec))


def listing(store: ObjectStore) -> dict[str, str]:
    return {i.key: i.etag for i in store.list("stages/") if "heartbeat" not in i.key}


def stage_names(store: ObjectStore) -> set[str]:
    return {key.split("/")[1] for key in listing(store)}


def files(store: ObjectStore, done: Evaluation) -> list[bytes]:
    return [store.read(f"runs/{done.run_id}/{name}") for name in ("report.json", "counts.parquet", "run.json")]

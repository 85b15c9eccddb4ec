"""Running a shard: order, poison rows, memory. The models are real; faults are those that they raise."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from halluc_ray.errors import ModelError, OutOfMemory, WorkerLost
from halluc_ray.models.execution import Failure, generate
from halluc_ray.records import Sample
from halluc_ray.records.schemas import GENERATIONS

from .conftest import TEXTS, causal, classifier


@pytest.fixture(scope="module")
def poisonable(bert, tmp_path_factory) -> Path:
    """A checkpoint whose tokenizer knows a token that the network has no embedding for."""
    folder = tmp_path_factory.mktemp("poisonable")
    for file in bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<boom>"])
    tokenizer.save_pretrained(folder)
    return folder


class Limited:
    """A model on a device with little memory: runs as the model does, up to so many padded tokens."""

    def __init__(self, model, *, most_tokens: int) -> None:
        self._model = model
        self._most_tokens = most_tokens
        self.widths: list[int] = []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def run(self, batch):
        padded = max(self.cost(row) for row in batch) * len(batch)
        if padded > self._most_tokens:
            raise OutOfMemory(f"{padded} tokens")
        self.widths.append(padded)
        return self._model.run(batch)


class Raising(Limited):
    """A model whose device fails in a way that is no row's fault."""

    def __init__(self, model, error: Exception) -> None:
        super().__init__(model, most_tokens=10**9)
        self._error = error

    def run(self, batch):
        raise self._error


def test_table_has_the_schema_and_one_unit_per_row_and_draw(llama, samples):
    failures = [Failure(100, "late", "null_id"), Failure(50, "mid", "bad_row")]
    model = causal(llama, temperature=1.0, samples=2)
    table = generate(model, samples=samples[::-1], failures=failures, token_budget=300).table
    assert table.schema.equals(GENERATIONS)
    table.validate(full=True)
    rows = [*range(len(TEXTS)), 50, 100]
    assert list(zip(table["row"].to_pylist(), table["draw"].to_pylist(), strict=True)) == [
        (r, d) for r in rows for d in (0, 1)
    ]
    assert table["failure"].to_pylist()[-4:] == ["bad_row", "bad_row", "null_id", "null_id"]
    assert table["text"].to_pylist()[-4:] == [None] * 4
    assert table["system"].null_count == len(table)


def test_no_samples_give_an_empty_table(bert):
    made = generate(classifier(bert), samples=[], token_budget=10)
    assert made.table.schema.equals(GENERATIONS)
    assert (len(made.table), made.notes, made.memory_splits) == (0, {}, 0)


def test_a_poison_row_fails_alone_and_the_others_keep_their_bytes(poisonable, samples):
    harmless = [*samples[:2], Sample(2, "poison", {"prompt": "<boom> a"}), *samples[3:]]
    stand_in = [*samples[:2], Sample(2, "poison", {"prompt": "B a"}), *samples[3:]]
    poisoned = generate(classifier(poisonable), samples=harmless, token_budget=4096).table
    clean = generate(classifier(poisonable), samples=stand_in, token_budget=4096).table
    assert poisoned["failure"].to_pylist() == [None, None, "model_error", *[None] * (len(samples) - 3)]
    assert poisoned["text"].to_pylist()[2] is None
    others = pa.array([row != 2 for row in range(len(samples))])
    assert poisoned.filter(others)["probability"].equals(clean.filter(others)["probability"])
    assert poisoned.filter(others)["text"].equals(clean.filter(others)["text"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(["good", "null", "boom"]), max_size=12), budget=st.sampled_from([1, 40, 500]))
def test_every_row_comes_back_once_with_its_own_fate(poisonable, kinds, budget):
    fields = {"good": {"prompt": "A fine day"}, "null": {}, "boom": {"prompt": "so <boom>"}}
    reasons = {"good": None, "null": "null_prompt", "boom": "model_error"}
    samples = [Sample(3 * row, f"r{row}", fields[kind]) for row, kind in enumerate(kinds)]
    table = generate(classifier(poisonable), samples=samples, token_budget=budget).table
    assert table["row"].to_pylist() == [3 * row for row in range(len(kinds))]
    assert table["failure"].to_pylist() == [reasons[kind] for kind in kinds]


def test_out_of_memory_halves_the_budget_and_says_so(bert, samples):
    model = Limited(classifier(bert), most_tokens=150)
    made = generate(model, samples=samples, token_budget=512)
    assert made.notes == {"token_budget": 128}
    assert made.memory_splits == 2
    assert max(model.widths) <= 128
    free = generate(classifier(bert), samples=samples, token_budget=512).table
    assert made.table["text"].equals(free["text"])


def test_a_row_that_fits_no_device_fails_alone(bert, samples):
    model = Limited(classifier(bert), most_tokens=50)
    made = generate(model, samples=samples, token_budget=512)
    costs = [model.cost(row) for row in model.encode(samples)]
    expected = Counter("out_of_memory" if cost > 50 else None for cost in costs)
    assert Counter(made.table["failure"].to_pylist()) == expected
    assert expected["out_of_memory"] > 0


@pytest.mark.parametrize("error", [WorkerLost("device-side assert"), ModelError("no such model"), OSError("disk")])
def test_what_is_no_rows_fault_is_raised(bert, samples, error):
    with pytest.raises(type(error)):
        generate(Raising(classifier(bert), error), samples=samples, token_budget=64)

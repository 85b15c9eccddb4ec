"""Rows of a corpus of choices, from Parquet to outcomes, without Ray."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.storage import open_store
from halluc_ray.wiring.generators import load_generator
from halluc_ray.wiring.indicators import wire_indicators
from tests.unigram import save_unigram
from tests.unit.engine.whole import plan_of, report_of, write

ROWS = [
    ("What is it?", ["an apple", "a pear"], ["a stone"]),
    ("嗯?", ["梨"], ["石头", "木"]),
    ("No truth?", None, ["a stone", "a tree"]),
    ("No falsehood?", ["an apple", "a pear"], None),
    ("One way?", ["an apple"], []),
    ("Nothing?", None, None),
    (None, ["an apple"], ["a stone"]),
    ("Both?", ["an apple", "a pear"], ["a pear", "a stone"]),
    ("Nulls inside?", ["an apple", None], [None, "a stone"]),
    ("Twice?", ["an apple", "an apple"], ["a stone", "a stone"]),
    ("Empty?", ["an apple"], ["", "a stone"]),
]
FATES = {
    "failures": {"no_options": 1, "null_prompt": 1, "one_option": 1, "empty_option": 1},
    "not_applicable": 2,
    "defined": 5,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unigram")
    save_unigram(folder, texts=["an apple, a pear, a stone, a tree. What is it?"])
    return folder


def spec_of(folder: Path, model: Path, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    columns = zip(("q", "right", "wrong"), zip(*rows, strict=True), strict=True)
    types = {"q": pa.string(), "right": pa.list_(pa.string()), "wrong": pa.list_(pa.string())}
    table = {name: pa.array(values, types[name]) for name, values in columns}
    table |= {"id": [f"r{k}" for k in range(len(rows))], "more": table["wrong"]}
    corpus = write(folder / "c" / "one.parquet", table)
    return {
        "corpus": {
            "uri": str(corpus),
            "columns": {"id": "id", "prompt": "q", "reference": "right", "options": "wrong"},
        },
        "systems": [{"kind": "choices", "name": "m", "checkpoint": str(model), "dtype": "float64"}],
        "indicators": [{"kind": "choice_mismatch"}, {"kind": "choice_mass"}, {"kind": "answer_mismatch"}],
        "summaries": [{"name": "MC2", "score": "choice_mass"}],
        "output": str(folder / "out"),
    }


class Kept:
    """A generator that keeps what it made."""

    def __init__(self, generator: Any, made: list[pa.Table]) -> None:
        self.generator = generator
        self.made = made

    def generate(self, *given: Any, **named: Any) -> Any:
        found = self.generator.generate(*given, **named)
        self.made.append(found.table)
        return found


def ran(folder: Path, model: Path, rows: list[tuple[Any, ...]]) -> tuple[dict[str, Any], pa.Table]:
    """The report, and what the model gave."""
    plan = plan_of(spec_of(folder, model, rows))
    run = RunFolder(open_store(plan.context.spec.output), plan.run_id)
    run.begin(plan)
    made: list[pa.Table] = []
    runner = ShardRunner(
        plan.context,
        store=run.store,
        indicators=[wired.indicator for wired in wire_indicators(plan.context.spec.indicators)],
        generator_for=lambda system: Kept(load_generator(system.resolved, plan.context.spec.store, bitwise=True), made),
    )
    for task in missing_tasks(plan, done_shards(run.store, plan)):
        runner.run(task)
    return report_of(run), pa.concat_tables(table.unify_dictionaries() for table in made)


def test_every_row_has_its_fate(tmp_path: Path, model: Path) -> None:
    report, _ = ran(tmp_path, model, ROWS)
    [facts] = report["systems"]
    assert (facts["rows"], facts["failures"]) == (len(ROWS), FATES["failures"])
    for rate in report["rates"][:2]:
        assert rate["not_applicable"] == FATES["not_applicable"]
        assert rate["hallucinated"] + rate["supported"] == FATES["defined"]
        assert rate["failed"] == sum(FATES["failures"].values())
    [mean] = report["summaries"]
    assert (mean["rows"], mean["skipped"]) == (FATES["defined"], len(ROWS) - FATES["defined"])


def test_options_in_another_order_change_nothing(tmp_path: Path, model: Path) -> None:
    found = [ran(tmp_path / "1", model, ROWS), ran(tmp_path / "2", model, [backwards(row) for row in ROWS])]
    assert found[0][1].equals(found[1][1])
    assert found[0][0]["rates"][1:] == found[1][0]["rates"][1:]
    assert found[0][0]["summaries"] == found[1][0]["summaries"]


def backwards(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[0], row[1] and row[1][::-1], row[2] and row[2][::-1]


def test_what_makes_ratings_new(tmp_path: Path, model: Path) -> None:
    spec = spec_of(tmp_path, model, ROWS)
    [base] = plan_of(spec).context.systems
    columns, [system] = spec["corpus"]["columns"], spec["systems"]
    for changes in (
        {"corpus": spec["corpus"] | {"columns": columns | {"options": "more"}}},
        {"systems": [system | {"choose_by": "per_byte"}]},
        {"systems": [system | {"option_template": "{option}"}]},
    ):
        [changed] = plan_of(spec | changes).context.systems
        assert changed.generate != base.generate
    [by_length] = plan_of(
        spec | {"indicators": [{"kind": "choice_mismatch", "choose_by": "per_byte"}, *spec["indicators"][1:]]}
    ).context.systems
    assert (by_length.generate, by_length.scores[1]) == (base.generate, base.scores[1])
    assert by_length.scores[0] != base.scores[0]

"""Systems that share a base, through plan and shard runs: swapped equals merged, whatever came before."""

import random
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.models.networks import Networks
from halluc_ray.storage import commits, open_store, parquet
from halluc_ray.wiring.generators import load_generator
from halluc_ray.wiring.indicators import wire_indicators
from tests.unit.engine.whole import plan_of, spec_of, write
from tests.unit.models.conftest import TEXTS, bert, llama  # noqa: F401 - fixtures
from tests.unit.models.lora import change_config, merge, save_adapter, save_t5

KINDS = {
    "llama": ("causal-lm", ["q_proj", "down_proj"]),
    "t5": ("seq2seq-lm", ["q", "wo"]),
    "bert": ("sequence-classification", ["query", "dense"]),
}


@pytest.fixture(scope="module")
def home(llama, bert, tmp_path_factory) -> Path:  # noqa: F811
    """Per family: the base, two adapters, and each of them merged; and a corpus."""
    home = tmp_path_factory.mktemp("families")
    write(home / "corpus" / "a.parquet", {"id": [f"q{k}" for k in range(len(TEXTS))], "question": TEXTS})
    shutil.copytree(llama, home / "llama")
    shutil.copytree(bert, home / "bert")
    save_t5(home / "t5")
    for family, (kind, targets) in KINDS.items():
        for k, name in enumerate(("one", "two"), start=1):
            adapter = save_adapter(home / family, home / f"{family}-{name}", kind=kind, targets=targets[:k], seed=k)
            merge(home / family, adapter, home / f"{family}-{name}-merged", kind=kind)
    return home


def system(home: Path, family: str, name: str, *, adapter: str | None = None, checkpoint: str | None = None):
    kind = KINDS[family][0]
    section = {"kind": kind, "name": name, "checkpoint": str(home / (checkpoint or family)), "dtype": "float64"}
    section |= {"adapter": str(home / adapter)} if adapter else {}
    return section if kind == "sequence-classification" else section | {"decoding": {"max_new_tokens": 8}}


def family_systems(home: Path, family: str) -> list[dict]:
    swapped = [system(home, family, name, adapter=f"{family}-{name}") for name in ("one", "two")]
    merged = [system(home, family, f"{name}-merged", checkpoint=f"{family}-{name}-merged") for name in ("one", "two")]
    return [system(home, family, "base"), *swapped, *merged]


def plan(home: Path, systems: list[dict], output: Path):
    spec = spec_of(
        home / "corpus", output, systems=systems, indicators=[{"kind": "answer_mismatch"}],
        corpus={"columns": {"id": "id", "prompt": "question", "reference": "question"}},
        engine={"shard_rows": 3, "cpus_per_actor": 1},
    )  # fmt: skip
    return plan_of(spec)


def run(planned, networks: Networks, *, order: random.Random) -> dict[str, dict[str, pa.Table]]:
    """Every task in one process, in the given disorder; the generate parts by system and shard."""
    context, store = planned.context, open_store(planned.context.spec.output)
    loaded: dict[str, object] = {}

    def generator_for(system):
        if system.generate.name not in loaded:
            for generator in loaded.values():
                generator.close()
            loaded.clear()
            loaded[system.generate.name] = load_generator(
                system.resolved, context.spec.store, bitwise=True, networks=networks
            )
        return loaded[system.generate.name]

    runner = ShardRunner(
        context, store=store, indicators=[wired.indicator for wired in wire_indicators(context.spec.indicators)],
        generator_for=generator_for,
    )  # fmt: skip
    tasks = missing_tasks(planned, done_shards(store, planned))
    order.shuffle(tasks)
    parts: dict[str, dict[str, pa.Table]] = {}
    for task in tasks:
        runner.run(task)
        stage = context.systems[task.system].generate.name
        part = commits.read_part(store, stage, commits.read_commit(store, stage, task.shard.key))
        parts.setdefault(context.systems[task.system].spec.name, {})[task.shard.key] = parquet.decode(part)
    return parts


def answers(parts: dict[str, pa.Table]) -> list[tuple]:
    rows = [row for shard in sorted(parts) for row in parts[shard].to_pylist()]
    return [(row["id"], row["text"], row["num_output_tokens"], row["finish"]) for row in rows]


@pytest.mark.parametrize("family", list(KINDS))
def test_swapped_adapters_answer_as_merged_ones_in_any_order(home, family, tmp_path):
    networks = Networks()
    planned = plan(home, family_systems(home, family), tmp_path / "out")
    shared = [s for s in planned.context.systems if not s.spec.name.endswith("-merged")]
    assert len({s.resolved.base for s in shared}) == 1
    assert len({s.generate.name for s in planned.context.systems}) == 5
    found = run(planned, networks, order=random.Random(7))
    assert {len(shards) for shards in found.values()} == {4}
    for name in ("one", "two"):
        assert answers(found[name]) == answers(found[f"{name}-merged"])
    assert len({str(answers(found[name])) for name in ("base", "one", "two")}) == 3
    fresh = {}
    for k, alone in enumerate(family_systems(home, family)[:3]):
        fresh |= run(plan(home, [alone], tmp_path / f"fresh{k}"), Networks(), order=random.Random(k))
    assert all(found[name] == fresh[name] for name in fresh), "no trace of those that were worn before"


def test_systems_on_one_base_read_it_once(home, tmp_path):
    networks = Networks()
    planned = plan(home, family_systems(home, "bert")[:3], tmp_path / "out")
    run(planned, networks, order=random.Random(1))
    assert networks.num_loads == 1


def test_the_stage_is_named_by_what_the_adapter_holds_and_not_by_its_place(home, tmp_path):
    shutil.copytree(home / "bert-one", home / "elsewhere", dirs_exist_ok=True)
    here, there = (
        plan(home, [system(home, "bert", "m", adapter=place)], tmp_path).context.systems[0]
        for place in ("bert-one", "elsewhere")
    )
    assert here.generate.name == there.generate.name
    assert here.generate.covers["settings"]["adapter"] == here.resolved.adapter.digest
    assert here.generate.covers["numerics"]["package:peft"]
    assert str(home) not in str(here.generate.covers)
    change_config(home / "elsewhere", lora_alpha=9)
    changed = plan(home, [system(home, "bert", "m", adapter="elsewhere")], tmp_path).context.systems[0]
    assert changed.generate.name != here.generate.name


def test_the_plan_refuses_what_does_not_fit(home, tmp_path):
    with pytest.raises(SpecError, match=r"^systems\[m\]\.adapter: .*llama-one adapts .*which the checkpoint does not"):
        plan(home, [system(home, "bert", "m", adapter="llama-one")], tmp_path)
    with pytest.raises(SpecError, match=r"^systems\[m\]\.adapter: .* is no folder here"):
        plan(home, [system(home, "bert", "m", adapter="not-there")], tmp_path)

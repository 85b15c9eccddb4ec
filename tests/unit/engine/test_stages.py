"""Which change of a spec makes which work new, and which makes none."""

import copy
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from halluc_ray.config import load_spec
from halluc_ray.engine import plan as planning
from halluc_ray.engine.plan import build_plan
from tests.unit.engine.checkpoints import save_checkpoint
from tests.unit.engine.whole import answers, write

ALL = {"generate", "score", "count"}
AFTER = {"score", "count"}
COUNT = {"count"}
NOTHING = set()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    table = pa.table(answers(range(12)))
    for name in ("truth", "question", "answer", "id", "source"):
        table = table.append_column(f"other_{name}", table[name])
    write(folder / "corpus" / "one.parquet", table.append_column("score", pa.array([0.5] * 12)))
    save_checkpoint(folder / "causal")
    save_checkpoint(folder / "classifier", labels={"0": "no", "1": "yes"})
    columns = {"id": "id", "prompt": "question", "reference": "truth", "response": "answer"}
    return {
        "corpus": {"uri": str(folder / "corpus"), "columns": columns, "cluster": "source", "where": "words >= 0"},
        "systems": [
            {
                "kind": "causal-lm",
                "name": "c",
                "checkpoint": str(folder / "causal"),
                "chat": True,
                "decoding": {"temperature": 1},
            },
            {"kind": "sequence-classification", "name": "k", "checkpoint": str(folder / "classifier")},
            {"kind": "recorded", "name": "r"},
        ],
        "indicators": [
            {"kind": "answer_mismatch"},
            {"kind": "recorded_score", "column": "score", "below": 0.5},
        ],
        "slices": ["topic"],
        "summaries": [{"name": "w", "column": "words", "where": "words > 1 AND topic = 'a'"}],
        "output": str(folder / "out"),
    }


def changed(spec, path, value):
    spec = copy.deepcopy(spec)
    *parents, last = path.split(".")
    here = spec
    for step in parents:
        here = here[int(step)] if isinstance(here, list) else here.setdefault(step, {})
    if isinstance(here, list):
        here.insert(int(last), value)
    else:
        here[last] = value
    return spec


def planned(spec, device="cpu"):
    return build_plan(load_spec(yaml.safe_dump(spec, sort_keys=False), source="spec"), device=device)


def stages(plan, system, item=0):
    found = plan.context.systems[system]
    return {"generate": found.generate.name, "score": found.scores[item].name, "count": found.count.name}


CHANGES = [
    ("systems.0.name", "renamed", [NOTHING] * 3),
    ("indicators.0.name", "renamed", [NOTHING] * 3),
    ("summaries.0.name", "renamed", [NOTHING] * 3),
    ("engine.actors", 7, [NOTHING] * 3),
    ("engine.gpus_per_actor", 0.5, [NOTHING] * 3),
    ("engine.accelerator", "H100", [NOTHING] * 3),
    ("engine.device", "cpu", [NOTHING] * 3),
    ("engine.shard_rows", 3, [NOTHING] * 3),
    ("output", "s3://elsewhere/out", [NOTHING] * 3),
    ("store.region", "nowhere", [NOTHING] * 3),
    ("max_failed", 0.5, [NOTHING] * 3),
    ("confidence", 0.9, [NOTHING] * 3),
    ("corpus.where", '(("words">=0))', [NOTHING] * 3),
    ("corpus.where", "words >= 1", [NOTHING] * 3),
    ("corpus.sample", 0.5, [NOTHING] * 3),
    ("corpus.limit", 5, [NOTHING] * 3),
    ("corpus.on_bad_row", "stop", [NOTHING] * 3),
    ("corpus.columns.context", "topic", [NOTHING] * 3),
    ("systems.0.max_input_tokens", 1024, [NOTHING] * 3),
    ("indicators.0.mode", "exact", [NOTHING] * 3),
    ("summaries.0.where", "(words>1) and topic='a'", [NOTHING] * 3),
    ("summaries.0.where", "words > 2", [COUNT] * 3),
    ("summaries.0.column", "score", [COUNT] * 3),
    ("summaries.1", {"name": "s", "score": "answer_mismatch"}, [COUNT] * 3),
    ("slices.1", ["topic", "source"], [COUNT] * 3),
    ("corpus.cluster", "other_source", [COUNT] * 3),
    ("indicators.1.below", 0.25, [COUNT] * 3),
    ("indicators.2", {"kind": "label_mismatch"}, [COUNT] * 3),
    ("indicators.0.mode", "contains", [AFTER] * 3),
    ("corpus.columns.reference", "other_truth", [AFTER] * 3),
    ("corpus.columns.response", "other_answer", [NOTHING, NOTHING, ALL]),
    ("corpus.columns.prompt", "other_question", [ALL] * 3),
    ("corpus.columns.id", "other_id", [ALL] * 3),
    ("systems.0.template", "Q: {prompt}", [ALL, NOTHING, NOTHING]),
    ("systems.0.system", "Be brief.", [ALL, NOTHING, NOTHING]),
    ("systems.0.chat", False, [ALL, NOTHING, NOTHING]),
    ("systems.0.max_input_tokens", 99, [ALL, NOTHING, NOTHING]),
    ("systems.0.decoding.seed", 5, [ALL, NOTHING, NOTHING]),
    ("systems.0.decoding.samples", 2, [ALL, NOTHING, NOTHING]),
    ("systems.0.decoding.max_new_tokens", 5, [ALL, NOTHING, NOTHING]),
    ("systems.0.decoding.stop", ["."], [ALL, NOTHING, NOTHING]),
    ("systems.0.dtype", "bfloat16", [ALL, NOTHING, NOTHING]),
    ("systems.1.labels", {0: "bad", 1: "good"}, [NOTHING, ALL, NOTHING]),
    ("systems.1.pair_template", "{response}", [NOTHING, ALL, NOTHING]),
    ("engine.tokens_per_batch", 512, [ALL, ALL, NOTHING]),
    ("engine.cpus_per_actor", 2, [ALL, ALL, NOTHING]),
    ("engine.bitwise", False, [ALL, ALL, NOTHING]),
]


@pytest.mark.parametrize(("path", "value", "new"), CHANGES, ids=[f"{path}={value}" for path, value, _ in CHANGES])
def test_what_a_change_makes_new(base, path, value, new):
    before, after = planned(base), planned(changed(base, path, value))
    for system, wanted in enumerate(new):
        was, now = stages(before, system), stages(after, system)
        assert {kind for kind in was if was[kind] != now[kind]} == wanted, before.context.systems[system].spec.name


def test_the_threads_of_a_gpu_s_actors_make_nothing_new(base):
    on_a_gpu = changed(changed(base, "engine.device", "cuda"), "engine.accelerator", "H100")
    one, eight = (planned(changed(on_a_gpu, "engine.cpus_per_actor", n), device="cuda") for n in (1, 8))
    assert one.run_id == eight.run_id
    assert [system.resolved.threads for system in eight.context.systems] == [8, 8, 8]


def test_the_order_of_keys_says_nothing(base):
    turned = {key: dict(reversed(v.items())) if isinstance(v, dict) else v for key, v in reversed(base.items())}
    turned["systems"] = [dict(reversed(system.items())) for system in base["systems"]]
    assert planned(turned).run_id == planned(base).run_id


SHARD_CHANGES = {
    "corpus.where": ["words >= 1"],
    "corpus.sample": [0.5, 0.25],
    "corpus.limit": [5],
    "corpus.on_bad_row": ["stop"],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, value, _ in CHANGES], ids=lambda v: str(v))
def test_shard_keys_cover_the_selection_only(base, path, value):
    before, after = planned(base), planned(changed(base, path, value))
    known, now = ({s.key for shards in plan.shard_sets for s in shards} for plan in (before, after))
    new = value in SHARD_CHANGES.get(path, ()) or path == "engine.shard_rows"
    assert known.isdisjoint(now) if new else known == now, path


def test_sample_and_limit_cover_the_column_of_ids(base):
    for path, value in (("corpus.sample", 0.5), ("corpus.limit", 5)):
        spec = changed(base, path, value)
        other = changed(spec, "corpus.columns.id", "other_id")
        assert planned(spec).shard_sets != planned(other).shard_sets


def test_a_run_does_not_depend_on_where_things_lie(base, tmp_path):
    corpus = Path(base["corpus"]["uri"])
    shutil.copytree(corpus, tmp_path / "moved")
    (tmp_path / "moved" / "one.parquet").rename(tmp_path / "moved" / "renamed.parquet")
    moved = changed(base, "corpus.uri", str(tmp_path / "moved"))
    for position, name in enumerate(("causal", "classifier")):
        shutil.copytree(corpus.parent / name, tmp_path / name)
        moved["systems"][position]["checkpoint"] = str(tmp_path / name)
    moved |= {"output": "s3://bucket/x", "store": {"endpoint": "http://nowhere:1"}, "engine": {"actors": 3}}
    assert planned(moved).run_id == planned(base).run_id
    assert planned(changed(base, "summaries.0.where", "(words>1) and topic='a'")).run_id == planned(base).run_id


def test_other_weights_are_another_system(base, tmp_path):
    save_checkpoint(tmp_path / "finer", weight=1.0)
    other = planned(changed(base, "systems.0.checkpoint", str(tmp_path / "finer")))
    was, now = stages(planned(base), 0), stages(other, 0)
    assert all(was[kind] != now[kind] for kind in ALL)


def test_an_appended_file_costs_its_own_shards(base, tmp_path):
    write(tmp_path / "corpus" / "new.parquet", answers(range(100, 108)) | {"score": [0.1] * 8})
    alone = planned(changed(base, "corpus.uri", str(tmp_path / "corpus")))
    shutil.copy(Path(base["corpus"]["uri"]) / "one.parquet", tmp_path / "corpus")
    both = planned(changed(base, "corpus.uri", str(tmp_path / "corpus")))
    keys = [{shard.key for shard in plan.shard_sets[0]} for plan in (alone, planned(base), both)]
    assert keys[2] == keys[0] | keys[1]
    assert stages(alone, 2) == stages(both, 2)


def test_a_new_version_of_counting_counts_anew(base, monkeypatch):
    from halluc_ray.engine import stages as module

    before = planned(base)
    monkeypatch.setattr(module, "COUNT_VERSION", module.COUNT_VERSION + 1)
    was, now = stages(before, 2), stages(planned(base), 2)
    assert {kind for kind in was if was[kind] != now[kind]} == COUNT


def test_limit_bound_is_the_nth_smallest_hash_among_what_where_keeps(base):
    import xxhash

    spec = changed(changed(base, "corpus.where", "topic = 'a'"), "corpus.limit", 2)
    kept = sorted(xxhash.xxh3_64_intdigest(f"q{k}".encode()) for k in range(12) if k % 3 == 0)
    assert planned(spec).context.selection.hash_below == kept[1] + 1
    assert planned(changed(spec, "corpus.limit", 99)).context.selection.hash_below == planning.HASH_SPAN

"""What a plan says is to do, and what it warns of."""

import shutil

import pytest

from halluc_ray.config import RunSpec
from halluc_ray.engine import placement
from halluc_ray.errors import SpecError
from halluc_ray.evaluation import planning
from halluc_ray.evaluation.planning import done_shards, missing_tasks, prepare
from halluc_ray.storage import open_store
from tests.unit.engine.checkpoints import save_checkpoint
from tests.unit.engine.whole import answers, begin, compute, plan_of, spec_of, write


@pytest.fixture
def spec(tmp_path):
    write(tmp_path / "c" / "one.parquet", answers(range(20)))
    return spec_of(tmp_path / "c", tmp_path / "out")


def planned(spec):
    return prepare(RunSpec.model_validate(spec))


def to_do(spec):
    return {(stage.system, stage.what): stage.shards - stage.done for stage in planned(spec).stages}


def test_everything_then_what_is_missing_then_nothing(spec):
    assert to_do(spec) == dict.fromkeys([("clerk", "outputs"), ("clerk", "answer_mismatch"), ("clerk", "counts")], 5)
    run = begin(spec, at_most=2)
    found = planned(spec)
    assert {(stage.done, stage.rows_to_do) for stage in found.stages} == {(2, 12)}
    assert (found.run_id, found.run_uri, found.corpus_rows, found.files) == (run.run_id, run.uri, 20, 1)
    compute(plan_of(spec), run.store)
    assert set(to_do(spec).values()) == {0}


def test_planning_writes_nothing(spec, tmp_path):
    planned(spec)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ({"slices": ["topic"]}, {("clerk", "counts"): 5}),
        ({"systems": [{"kind": "recorded", "name": "renamed"}]}, {}),
        (
            {"indicators": [{"kind": "answer_mismatch"}, {"kind": "label_mismatch"}]},
            {("clerk", "label_mismatch"): 5, ("clerk", "counts"): 5},
        ),
        (
            {"systems": [{"kind": "recorded", "name": "clerk"}, {"kind": "recorded", "name_from": "topic"}]},
            {("by topic", what): 5 for what in ("outputs", "answer_mismatch", "counts")},
        ),
        ({"corpus": {"on_bad_row": "stop"}}, {("clerk", w): 5 for w in ("outputs", "answer_mismatch", "counts")}),
    ],
)
def test_a_change_costs_what_is_new(spec, change, new):
    begin(spec)
    corpus = spec["corpus"] | change.get("corpus", {})
    found = {stage: shards for stage, shards in to_do(spec | change | {"corpus": corpus}).items() if shards}
    assert found == new


def test_an_appended_file_costs_its_own_shards(spec, tmp_path):
    begin(spec)
    write(tmp_path / "c" / "two.parquet", answers(range(20, 23)))
    assert set(to_do(spec).values()) == {1}


def test_namesakes_share_their_tasks(spec):
    both = spec | {"systems": [{"kind": "recorded", "name": name} for name in ("one", "two")]}
    plan, store = plan_of(both), open_store(spec["output"])
    assert len(missing_tasks(plan, done_shards(store, plan))) == 5


def test_an_indicator_that_is_new_keeps_the_outputs(spec):
    run = begin(spec)
    more = spec | {"indicators": [*spec["indicators"], {"kind": "label_mismatch"}]}
    plan = plan_of(more)
    kinds = {name.split("-")[0] for task in missing_tasks(plan, done_shards(run.store, plan)) for name in task.missing}
    assert kinds == {"score", "count"}
    before = {info.key: info.etag for info in run.store.list("stages/")}
    assert compute(plan, run.store) == 5
    after = {info.key: info.etag for info in run.store.list("stages/")}
    assert before.items() <= after.items()


def test_notes(spec, tmp_path, monkeypatch):
    assert planned(spec).notes == ()
    write(tmp_path / "c" / "wide.parquet", answers(range(100)), group_rows=100)
    fine = spec | {"engine": {"shard_rows": 2}}
    assert planned(fine).read_amplification > 3
    [note] = planned(fine).notes
    assert "smaller row groups read less" in note
    monkeypatch.setattr(planning, "MANY_SHARDS", 10)
    assert "shards are many small objects; set engine.shard_rows higher" in planned(fine).notes[0]


def test_tokens_are_estimated_for_models_alone(spec, tmp_path):
    shutil.rmtree(tmp_path / "c")
    questions = ["".join(f"{k * j} " for j in range(1000, 1100)) for k in range(20)]
    write(tmp_path / "c" / "one.parquet", answers(range(20)) | {"question": questions})
    decoding = {"max_new_tokens": 10, "samples": 2, "temperature": 1}
    checkpoint = str(save_checkpoint(tmp_path / "model"))
    model = {"kind": "causal-lm", "name": "m", "checkpoint": checkpoint, "decoding": decoding}
    mixed = spec | {"systems": [*spec["systems"], model], "engine": {"device": "cpu", "shard_rows": 5}}
    tokens = {(s.system, s.what): s.estimated_tokens for s in planned(mixed).stages}
    assert 20 * 20 + sum(map(len, questions)) / 5 < tokens["m", "outputs"] < 20 * 20 + sum(map(len, questions)) / 2
    assert {count for stage, count in tokens.items() if stage != ("m", "outputs")} == {0}


def test_rows_before_a_selection_are_called_upper_bounds(spec):
    assert not any("upper bounds" in note for note in planned(spec).notes)
    spec["corpus"] |= {"where": "id <> 'none'", "limit": 5}
    assert any(note.endswith("before corpus.where and corpus.limit") for note in planned(spec).notes)


@pytest.mark.skipif(not placement.surely_cpu(), reason="this machine has a GPU or names a cluster")
def test_a_gpu_that_is_not_here_is_not_planned_as_a_cpu(spec, tmp_path):
    model = {"kind": "causal-lm", "name": "m", "checkpoint": str(save_checkpoint(tmp_path / "model"))}
    wanted = spec | {"systems": [model], "engine": {"device": "cuda"}}
    with pytest.raises(
        SpecError, match=r"engine\.device: cuda, and this machine has no GPU; set engine\.device: auto or"
    ):
        planned(wanted)
    elsewhere = planned(wanted | {"engine": {"device": "cuda", "accelerator": "H100"}})
    assert elsewhere.run_id != planned(wanted | {"engine": {}}).run_id

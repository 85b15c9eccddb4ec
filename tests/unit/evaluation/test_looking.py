"""What a run looks like from its store alone, while it goes on and after."""

import json
from dataclasses import replace

import pytest

from halluc_ray.config import RunSpec
from halluc_ray.engine import heartbeat
from halluc_ray.engine.heartbeat import Heartbeat, Owner
from halluc_ray.errors import InputError, RunIncomplete, SpecError, StoreError
from halluc_ray.evaluation import looking
from halluc_ray.evaluation.looking import find_run, find_samples, rebuild_report, status
from tests.unit.engine.whole import answers, begin, compute, plan_of, spec_of, write


@pytest.fixture
def spec(tmp_path):
    corpus = write(tmp_path / "c" / "one.parquet", answers(range(20)))
    return spec_of(corpus, tmp_path / "out")


def test_a_run_is_found_by_uri_and_by_spec(spec):
    run = begin(spec)
    assert find_run(run.uri).uri == find_run(run.uri + "/").uri == run.uri
    assert find_run(run.uri).record() == run.record()
    assert find_run(RunSpec.model_validate(spec)).run_id == run.run_id
    spread = RunSpec.model_validate(spec | {"engine": {"shard_rows": 5, "actors": 9}})
    assert find_run(spread).run_id == run.run_id


def test_a_spec_leads_to_its_last_run(spec, tmp_path):
    first = begin(spec)
    write(tmp_path / "c" / "one.parquet", answers(range(8)))
    second = begin(spec)
    assert first.run_id != second.run_id
    assert find_run(RunSpec.model_validate(spec)).run_id == second.run_id
    assert rebuild_report(first.uri).report["corpus"]["rows"] == 20


@pytest.mark.parametrize("target", ["", "here", "out/run/abc", "runs/abc", "/", "spec.yaml"])
def test_what_is_no_run(target):
    with pytest.raises(SpecError, match=r"is no run: write <output>/runs/<run id>, or the spec it came from"):
        find_run(target)


def test_a_run_that_is_not_there(spec, tmp_path):
    for look in (status, rebuild_report, lambda target: find_samples(target, where=None, limit=1)):
        with pytest.raises(InputError, match=r"runs/0123 is no run: it has no run.json; start one with `halluc-ray"):
            look(f"{tmp_path}/out/runs/0123")
    with pytest.raises(InputError, match=r"this spec has no run in .* yet; start one with `halluc-ray run`"):
        status(RunSpec.model_validate(spec))
    with pytest.raises(StoreError, match="is no key"):
        status(f"{tmp_path}/out/runs/..")


def test_status_counts_commits(spec):
    run = begin(spec, at_most=2)
    found = status(run.uri)
    assert (found.shards, found.shards_done, found.rows, found.rows_done) == (5, 2, 20, 8)
    assert found.message == "not running; the same command goes on"
    with pytest.raises(RunIncomplete):
        rebuild_report(run.uri)
    compute(plan_of(spec), run.store)
    found = status(run.uri)
    assert (found.shards_done, found.message) == (5, "done")
    assert rebuild_report(run.uri).report["run_id"] == run.run_id


def test_a_shard_is_done_when_all_its_stages_are(spec):
    run = begin(spec)
    score = run.record().systems[0].scores[0]
    [first, *_] = [info.key for info in run.store.list(f"stages/{score}/commits/")]
    run.store.delete(first)
    assert status(run.uri).shards_done == 4


def test_status_hears_the_driver_while_it_beats(spec):
    run = begin(spec, at_most=1)
    stage = run.record().systems[0].count
    now = {"run_id": run.run_id, "in_flight": 2, "failed": 1, "rows_here": 10, "seconds": 2.0}
    with Heartbeat(run.store, [stage], describe=lambda: now):
        found = status(run.uri)
        assert (found.message, found.shards_in_flight, found.shards_failed) == ("running", 2, 1)
        assert (found.shards_done, found.rows_per_s, found.seconds_left) == (1, 5.0, 3.2)
    assert status(run.uri).message == "not running; the same command goes on"
    with Heartbeat(run.store, [stage], describe=lambda: now | {"run_id": "another"}):
        assert status(run.uri).message == "not running; the same command goes on"


def test_status_is_not_fooled_by_the_beat_of_the_dead(spec, monkeypatch):
    monkeypatch.setattr(looking, "PERIOD_S", 0.1)
    monkeypatch.setattr(heartbeat, "PERIOD_S", 0.1)
    run = begin(spec, at_most=1)
    stage = run.record().systems[0].count
    now = {"run_id": run.run_id, "in_flight": 2, "failed": 0, "rows_here": 10, "seconds": 2.0}
    beating = Heartbeat(run.store, [stage], describe=lambda: now)
    for owner in (replace(Owner.me(), started="1"), replace(Owner.me(), machine="another", started="1")):
        beating._owner = owner
        beating._beat()
        assert status(run.uri).message == "not running; the same command goes on"
    beating._owner = replace(Owner.me(), machine="another")
    with beating:
        assert status(run.uri).message == "running"


def test_reports_are_rebuilt_byte_for_byte(spec):
    run = begin(spec)
    found = []
    for _ in range(2):
        rebuild_report(run.uri)
        found.append([run.store.read(f"runs/{run.run_id}/{name}") for name in ("report.json", "counts.parquet")])
    assert found[0] == found[1]


def test_samples_by_their_outcome(spec):
    run = begin(spec)
    found = find_samples(run.uri, where="answer_mismatch = 'hallucinated'", limit=20)
    assert sorted(found["id"].to_pylist()) == ["q10", "q15", "q5"]
    assert find_samples(run.uri, where=None, limit=3).num_rows == 3


def test_nothing_reproducible_names_a_place(spec, tmp_path):
    run = begin(spec)
    rebuild_report(run.uri)
    for name in ("run.json", "report.json", "verdicts.json"):
        assert str(tmp_path).encode() not in run.store.read(f"runs/{run.run_id}/{name}"), name
    assert str(tmp_path) in json.dumps(run.telemetry())

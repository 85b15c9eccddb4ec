"""The tally of a run: outcomes as often as the run has them, tokens, memory and errors where they belong."""

import json
from pathlib import Path

from halluc_ray.engine.context import Measured, ShardReport
from halluc_ray.engine.tally import Tally
from halluc_ray.errors import ModelError, ObjectMissing, StoreUnavailable
from halluc_ray.evaluation.earlier import EarlierCounts
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.records import OUTCOMES
from halluc_ray.storage import open_store

from .whole import answers, begin, compute, plan_of, report_of, spec_of, write


def outcomes_of(report):
    return {
        (rate["system"], rate["indicator"]): [rate[outcome.label] for outcome in OUTCOMES]
        for rate in report["rates"]
        if not rate["slice"]
    }


def test_what_earlier_commands_counted_is_the_reports(tmp_path: Path):
    """Two equal files, one system by two names, and answers whose system a column names."""
    table = answers(range(40)) | {"who": [("x", "y", None)[k % 3] for k in range(40)]}
    for name in ("a", "b"):
        write(tmp_path / "c" / f"{name}.parquet", table)
    systems = [
        {"kind": "recorded", "name": "clerk"},
        {"kind": "recorded", "name": "double"},
        {"kind": "recorded", "name_from": "who"},
    ]
    spec = spec_of(tmp_path / "c", tmp_path / "out", systems=systems, engine={"shard_rows": 8})
    run, plan = begin(spec), plan_of(spec)
    tally = Tally(plan, [])
    with EarlierCounts(run.store, plan, done_shards(run.store, plan)) as earlier:
        earlier.add_rest(tally)
    assert tally.vitals.outcomes == outcomes_of(report_of(run))
    assert {system for system, _ in tally.vitals.outcomes} == {"clerk", "double", "x", "y", "(none)"}
    assert tally.vitals.unread == 0
    assert all(hallucinated <= defined for hallucinated, defined in tally.progress().rates.values())


def test_a_part_that_can_not_be_read_is_told_and_ends_nothing(tmp_path: Path):
    write(tmp_path / "c" / "a.parquet", answers(range(40)))
    spec = spec_of(tmp_path / "c", tmp_path / "out")
    run, plan = begin(spec), plan_of(spec)
    done = done_shards(run.store, plan)
    for part in sorted(Path(tmp_path / "out").glob("stages/count-*/parts/*.counts.parquet"))[:1]:
        part.write_bytes(b"rubbish")
    tally = Tally(plan, [])
    with EarlierCounts(run.store, plan, done) as earlier:
        earlier.add_rest(tally)
    assert tally.vitals.unread > 0


def test_finished_tasks_add_up(tmp_path: Path):
    write(tmp_path / "c" / "a.parquet", answers(range(8)))
    plan = plan_of(spec_of(tmp_path / "c", tmp_path / "out"))
    store = open_store(plan.context.spec.output)
    tasks = missing_tasks(plan, done_shards(store, plan))
    tally = Tally(plan, tasks)
    vitals = tally.vitals
    vitals.sit("actor-0")
    measured = Measured(7, 3, model_s=0.0, commit_s=(0.1, 0.2), memory_splits=2, gpu_memory_bytes=9)
    for task in tasks:
        report = ShardReport(task.key, {}, {("", 0): (1, 2, 0, 0, 1, 1)}, {}, {}, measured=measured)
        tally.finish(task, report, actor="actor-0")
    assert len(tasks) == 2
    assert vitals.outcomes == {("clerk", plan.record.indicators[0].name): [2, 4, 0, 0, 2, 2]}
    assert vitals.tokens == {("clerk", "input"): 14, ("clerk", "output"): 6}
    assert vitals.memory_splits == {"clerk": 4}
    assert vitals.take_commits() == [0.1, 0.2, 0.1, 0.2]
    assert vitals.take_commits() == []
    assert vitals.gpu_memory_bytes == {"actor-0": 9}
    vitals.leave("actor-0")
    assert vitals.gpu_memory_bytes == {}
    json.dumps(tally.describe())


def test_errors_of_the_store_are_counted_by_class(tmp_path: Path):
    write(tmp_path / "c" / "a.parquet", answers(range(10)))
    vitals = Tally(plan_of(spec_of(tmp_path / "c", tmp_path / "out")), []).vitals
    for error in (StoreUnavailable("a"), ModelError("b"), StoreUnavailable("c"), ObjectMissing("d")):
        vitals.stumble(error)
    assert vitals.store_errors == {"StoreUnavailable": 2, "ObjectMissing": 1}


def test_a_resumed_run_counts_what_is_left_once(tmp_path: Path):
    """Some shards by an earlier command, the rest now: together they are the report."""
    write(tmp_path / "c" / "a.parquet", answers(range(60)))
    spec = spec_of(tmp_path / "c", tmp_path / "out")
    run, plan = begin(spec, at_most=4), plan_of(spec)
    done = done_shards(run.store, plan)
    tally = Tally(plan, missing_tasks(plan, done))
    compute(plan, run.store)
    rest = {name: shards - done[name] for name, shards in done_shards(run.store, plan).items()}
    for part in (done, rest):
        with EarlierCounts(run.store, plan, part) as earlier:
            earlier.add_rest(tally)
    assert tally.vitals.outcomes == outcomes_of(report_of(run))

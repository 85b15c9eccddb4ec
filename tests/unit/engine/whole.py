"""A whole run in this process, without Ray: plan, every shard, report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray.config import RunSpec
from halluc_ray.engine.plan import Plan, build_plan
from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.wiring.indicators import wire_indicators

COLUMNS = {"id": "id", "prompt": "question", "reference": "truth", "response": "answer"}


def write(path: Path, table: pa.Table | dict[str, Any], *, group_rows: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table if isinstance(table, pa.Table) else pa.table(table)
    pq.write_table(table, path, row_group_size=group_rows)
    return path


def answers(rows: range) -> dict[str, Any]:
    """Sums, every fifth one wrong, every seventh declined, every eleventh without a truth."""
    return {
        "id": [f"q{k}" for k in rows],
        "question": [f"What is {k} plus 1?" for k in rows],
        "truth": [None if k % 11 == 0 else str(k + 1) for k in rows],
        "answer": ["I don't know." if k % 7 == 0 else str(k + 1 + (k % 5 == 0)) for k in rows],
        "topic": [("a", "b", None)[k % 3] for k in rows],
        "words": pa.array([k / 4 for k in rows], pa.float64()),
        "source": [f"s{k // 3}" for k in rows],
    }


def spec_of(uri: Path | str, output: Path | str, **changes: Any) -> dict[str, Any]:
    return {
        "corpus": {"uri": str(uri), "columns": COLUMNS, **changes.pop("corpus", {})},
        "systems": [{"kind": "recorded", "name": "clerk"}],
        "indicators": [{"kind": "answer_mismatch"}],
        "output": str(output),
        "engine": {"shard_rows": 5},
    } | changes


def plan_of(spec: Mapping[str, Any]) -> Plan:
    return build_plan(RunSpec.model_validate(spec), device="cpu")


def compute(plan: Plan, store: ObjectStore, *, at_most: int | None = None) -> int:
    """Commit what is missing; how many tasks that was."""
    runner = ShardRunner(
        plan.context,
        store=store,
        indicators=[wired.indicator for wired in wire_indicators(plan.context.spec.indicators)],
        generator_for=_no_model,
    )
    tasks = missing_tasks(plan, done_shards(store, plan))[:at_most]
    for task in tasks:
        runner.run(task)
    return len(tasks)


def _no_model(system: object) -> Any:
    raise AssertionError(f"{system} asks for a model")


def begin(spec: Mapping[str, Any], *, at_most: int | None = None) -> RunFolder:
    """Start a run as `halluc-ray run` does, and compute some or all of it."""
    plan = plan_of(spec)
    run = RunFolder(open_store(plan.context.spec.output), plan.run_id)
    run.begin(plan)
    compute(plan, run.store, at_most=at_most)
    return run


def report_of(run: RunFolder) -> dict[str, Any]:
    from halluc_ray.evaluation.looking import rebuild_report

    rebuild_report(run.uri)
    return dict(json.loads(run.store.read(f"runs/{run.run_id}/report.json")))

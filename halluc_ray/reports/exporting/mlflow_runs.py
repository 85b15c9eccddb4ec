"""A run in MLflow: one MLflow run per system, with its rates, what determined them, and the report.

Logging twice changes nothing: a run is found by its tags, and what a killed command left is completed. Knows
reports and MLflow's client; the library is an extra. Caller: `evaluation.exporting`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halluc_ray.config.digest import digest
from halluc_ray.errors import SpecError, StoreError
from halluc_ray.records import OUTCOMES
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.report import Rate, Report
from halluc_ray.reports.signature import corpus_digest

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_TAG, SYSTEM_TAG, SUITE_TAG = "halluc_ray.run_id", "halluc_ray.system", "halluc_ray.suite"
_SQLITE = re.compile(r"^sqlite:///(.+)$")
PAGE = 1_000
_MAX_PARAM = 6_000
_MAX_BATCH = 1_000
_NOT_IN_A_NAME = re.compile(r"[^\w.\- ]|^\.+")
_FINISHED = "FINISHED"


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """One system in MLflow; `new` where this call logged it."""

    system: str
    mlflow_run_id: str
    new: bool


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is logged beside the report.

    Attributes:
        record: the run.
        spec_digest: of the spec that it came from, where known.
        suite: that ran it, where known.
        finished_ms: when it ended, milliseconds since 1970; the time of its metrics.
        artifacts: file name -> text.
    """

    record: RunRecord
    spec_digest: str | None
    suite: str | None
    finished_ms: int
    artifacts: Mapping[str, str]


def log_runs(report: Report, facts: RunFacts, *, tracking_uri: str, experiment: str) -> list[LoggedRun]:
    """Log each system that is not logged yet.

    Args:
        report: of the run.
        facts: what else is logged.
        tracking_uri: `sqlite:///path.db`, `http(s)://…`, or what else MLflow takes.
        experiment: its name; made where it is missing.

    Raises:
        SpecError: the extra is not installed, or the experiment was deleted.
        StoreError: MLflow refuses.
    """
    client, refusal = _client(tracking_uri)
    try:
        place = _experiment(client, experiment, tracking_uri)
        known = _logged(client, place, report.run_id)
        return [
            _log(client, place, report, facts, system.system, found=known.get(system.system))
            for system in report.systems
        ]
    except refusal as error:
        raise StoreError(f"MLflow at {tracking_uri} refuses: {str(error).splitlines()[0]}") from error


def _client(tracking_uri: str) -> tuple[MlflowClient, type[Exception]]:
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise SpecError(
            "--format mlflow needs MLflow, which is not installed; pip install 'halluc-ray[mlflow]' (and sqlalchemy "
            "with alembic for sqlite:// and other databases)"
        ) from error
    try:
        return MlflowClient(tracking_uri=tracking_uri), MlflowException
    except (MlflowException, ImportError) as error:
        raise SpecError(f"MLflow can't use {tracking_uri!r}: {str(error).splitlines()[0]}") from error


def _experiment(client: MlflowClient, name: str, tracking_uri: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "active":
        raise SpecError(f"experiment {name!r} was deleted in MLflow; restore it, or name another with --experiment")
    if found is not None:
        return str(found.experiment_id)
    local = _SQLITE.match(tracking_uri)
    # by default MLflow puts the artifacts of a local database into the current directory
    beside = f"{local.group(1).rpartition('/')[0] or '.'}/mlartifacts/{_name(name)}" if local else None
    return str(client.create_experiment(name, artifact_location=beside))


def _log(
    client: MlflowClient, experiment: str, report: Report, facts: RunFacts, system: str, *, found: Any
) -> LoggedRun:
    tags = {RUN_TAG: report.run_id, SYSTEM_TAG: system} | ({SUITE_TAG: facts.suite} if facts.suite else {})
    if found is not None and found.info.status == _FINISHED:
        return LoggedRun(system, found.info.run_id, new=False)
    if found is None:
        found = client.create_run(experiment, start_time=facts.finished_ms, tags=tags, run_name=system)
    at = found.info.run_id
    _log_numbers(client, at, report, facts, system)
    for name, text in facts.artifacts.items():
        client.log_text(at, text, name)
    client.set_terminated(at, _FINISHED, end_time=facts.finished_ms)
    return LoggedRun(system, at, new=True)


def _logged(client: MlflowClient, experiment: str, run_id: str) -> dict[str, Any]:
    """System -> its MLflow run. Systems are told apart here: a filter can't quote every name."""
    found: dict[str, Any] = {}
    token = None
    while True:
        wanted = f"tags.`{RUN_TAG}` = '{run_id}'"
        page = client.search_runs([experiment], wanted, max_results=PAGE, page_token=token)
        found |= {run.data.tags[SYSTEM_TAG]: run for run in page if SYSTEM_TAG in run.data.tags}
        token = page.token
        if not token:
            return found


def _log_numbers(client: MlflowClient, at: str, report: Report, facts: RunFacts, system: str) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(key, value) for key, value in _params(report, facts, system).items()]
    metrics = [
        Metric(key, value, facts.finished_ms, 0)
        for rate in report.overall()
        if rate.system == system
        for key, value in _metrics(rate)
    ]
    client.log_batch(at, params=params)
    for start in range(0, len(metrics), _MAX_BATCH):
        client.log_batch(at, metrics=metrics[start : start + _MAX_BATCH])


def _params(report: Report, facts: RunFacts, system: str) -> dict[str, str]:
    position = next((s for s in facts.record.systems if s.name == system), None)
    entry = position or next(s for s in facts.record.systems if s.name is None)
    known = {
        "spec_digest": facts.spec_digest,
        "corpus_digest": corpus_digest(facts.record),
        "checkpoint_digest": entry.settings.get("checkpoint"),
        "adapter_digest": entry.settings.get("adapter"),
        "kind": entry.kind,
        "determinism": entry.determinism,
        "signature": report.signature,
    }
    return {key: _shortened(str(value)) for key, value in known.items() if value is not None}


def _metrics(rate: Rate) -> Iterable[tuple[str, float]]:
    name = _name(rate.indicator)
    numbers = {key: getattr(rate, key) for key in ("rate", "low", "high", "answered_share", "rows")}
    numbers |= {outcome.label: getattr(rate, outcome.label) for outcome in OUTCOMES}
    return [(f"{name}/{key}", float(value)) for key, value in numbers.items() if value is not None]


def _name(text: str) -> str:
    """A name that MLflow takes; another name never becomes the same one."""
    taken = _NOT_IN_A_NAME.sub("_", text)
    return taken if taken == text else f"{taken}_{digest(text, length=8)}"


def _shortened(text: str) -> str:
    """What MLflow takes; report.json has the whole."""
    return text if len(text) <= _MAX_PARAM else f"{text[: _MAX_PARAM - 1]}…"

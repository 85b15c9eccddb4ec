"""Export what a target names: find the run, read its report, and write one of the forms.

Knows how a run is found and what each form needs of it; the forms are `reports.exporting`. Caller: the
command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from halluc_ray.config import RunSpec
from halluc_ray.config.load import spec_digest
from halluc_ray.evaluation.looking import find_run
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.reports.exporting.datasets import DatasetForm, WrittenDataset, write_dataset
from halluc_ray.reports.exporting.markdown import markdown_table
from halluc_ray.reports.exporting.mlflow_runs import LoggedRun, RunFacts, log_runs
from halluc_ray.reports.exporting.model_index import CardDataset, model_index
from halluc_ray.reports.exporting.rates import rates_file
from halluc_ray.reports.exporting.single_files import write_file
from halluc_ray.reports.exporting.verdicts import VerdictTable
from halluc_ray.reports.files import read_report
from halluc_ray.storage import keys

Target = str | RunSpec | RunFolder


def export_verdicts(
    target: Target,
    out: str,
    *,
    form: DatasetForm,
    texts: bool = False,
    slices: bool = True,
    overwrite: bool = False,
    on_rows: Callable[[int, int], None] | None = None,
) -> WrittenDataset:
    """Every verdict of a finished run as a folder of files.

    Args:
        target: a run's URI, or its spec.
        out: the folder, or `s3://bucket/prefix`.
        form: of the files.
        texts: with prompt, context, reference, response, label and evidence.
        slices: with the columns of the run's slices.
        overwrite: replace an earlier export.
        on_rows: told now and then how many rows of how many are written.

    Raises:
        RunIncomplete: the run is not finished.
        InputError: OUT holds something, or a corpus file that is needed is gone.
        ConservationError: the verdicts do not add up to the report.
        StoreError: OUT can't be written.
    """
    run = find_run(target)
    record, report = run.record(), read_report(run.store, run.run_id)
    sources = run.sources() if texts or (slices and record.slices) else {}
    verdicts = VerdictTable(run.store, record, run.run_id, sources, texts=texts, slices=slices)
    total = sum(rate.rows for rate in report.overall())

    def tell(rows: int) -> None:
        if on_rows is not None:
            on_rows(rows, total)

    return write_dataset(verdicts, out, form=form, report=report, overwrite=overwrite, on_rows=tell)


def export_rates(target: Target, out: str, *, form: DatasetForm, overwrite: bool = False) -> str:
    """The rates of a finished run as one file; returns where it lies. Raises as `export_verdicts`."""
    run = find_run(target)
    return write_file(out, rates_file(read_report(run.store, run.run_id), form=form), overwrite=overwrite)


def export_markdown(target: Target, out: str, *, overwrite: bool = False) -> str:
    """A table for a model card; returns where it lies. Raises as `export_verdicts`."""
    run = find_run(target)
    return write_file(out, markdown_table(read_report(run.store, run.run_id)).encode(), overwrite=overwrite)


def export_model_index(
    target: Target, out: str, *, system: str | None, dataset: CardDataset, overwrite: bool = False
) -> tuple[str, tuple[str, ...]]:
    """Metadata of a model card.

    Returns:
        Where it lies, and the indicators that have no rate and so no entry.

    Raises:
        SpecError: no such system, or one of several must be named.
        InputError: no indicator has a rate, or OUT exists.
    """
    run = find_run(target)
    found = model_index(read_report(run.store, run.run_id), run.record(), system=system, dataset=dataset)
    return write_file(out, found.text.encode(), overwrite=overwrite), found.without_rate


def export_mlflow(target: Target, tracking_uri: str, *, experiment: str) -> list[LoggedRun]:
    """One MLflow run per system; those that are logged already are left alone. Raises as `log_runs`."""
    run = find_run(target)
    report, noted = read_report(run.store, run.run_id), run.telemetry()
    artifacts = {
        name: run.store.read(keys.run_key(run.run_id, name)).decode() for name in ("report.json", "report.html")
    }
    facts = RunFacts(
        record=run.record(),
        spec_digest=_digest_of_spec(noted),
        suite=_suite(run),
        finished_ms=int(1000 * max((work["finished"] for work in noted.get("work", ())), default=0.0)),
        artifacts=artifacts,
    )
    return log_runs(report, facts, tracking_uri=tracking_uri, experiment=experiment)


def _digest_of_spec(noted: dict[str, Any]) -> str | None:
    """None where what was noted is of another version, or gone."""
    try:
        return spec_digest(RunSpec.model_validate(noted["spec"]))
    except (KeyError, ValidationError):
        return None


def _suite(run: RunFolder) -> str | None:
    """The suites that recorded the run on a night."""
    night = re.compile(keys.night_key("([^/]+)", rf"\d{{4}}-\d\d-\d\d-{re.escape(run.run_id)}\.json"))
    found = {match.group(1) for info in run.store.list("suites/") if (match := night.fullmatch(info.key))}
    return ", ".join(sorted(found)) or None

"""`halluc-ray export`: a run for other tools.

Knows the command line and which options belong to which form; writes nothing itself. Registered in `app`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from halluc_ray.cli.exits import exits, interruptible
from halluc_ray.errors import SpecError

if TYPE_CHECKING:
    from halluc_ray.config import RunSpec
    from halluc_ray.reports.exporting.datasets import DatasetForm


class Form(StrEnum):
    """What is written."""

    PARQUET = "parquet"
    CSV = "csv"
    MARKDOWN = "markdown"
    MODEL_INDEX = "model-index"
    MLFLOW = "mlflow"


class What(StrEnum):
    """Of a run, in Parquet and CSV."""

    VERDICTS = "verdicts"
    RATES = "rates"


_TABLES = (Form.PARQUET, Form.CSV)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's URI, or the SPEC it came from.")]
Out = Annotated[
    str | None,
    typer.Argument(
        metavar="[OUT]",
        help="A new folder (verdicts) or file, local or s3://; for mlflow a tracking URI, else MLFLOW_TRACKING_URI.",
    ),
]
WhatOption = Annotated[
    What | None,
    typer.Option("--what", help="parquet, csv: every verdict (default), or the rates of report.json."),
]
Slices = Annotated[bool, typer.Option("--slices/--no-slices", help="Verdicts with the columns of the run's slices.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As the run was given it.")]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options, checked against the form.

    Attributes:
        target: the run.
        out: OUT; empty where the form needs none.
    """

    target: str | RunSpec
    out: str
    form: Form
    overwrite: bool


def export_command(
    run: RunArgument,
    out: Out = None,
    form: Annotated[Form, typer.Option("--format", help="What is written.")] = Form.PARQUET,
    what: WhatOption = None,
    texts: Annotated[bool, typer.Option("--texts", help="Verdicts with texts and evidence.")] = False,
    slices: Slices = True,
    system: Annotated[str | None, typer.Option(help="model-index: whose card it is.")] = None,
    dataset: Annotated[str | None, typer.Option(help="model-index: the dataset's name for people.")] = None,
    dataset_id: Annotated[str | None, typer.Option(help="model-index: the dataset's id on the hub.")] = None,
    split: Annotated[str | None, typer.Option(help="model-index: the dataset's split.")] = None,
    experiment: Annotated[str | None, typer.Option(help="mlflow: the experiment's name; default: halluc_ray.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    overrides: Overrides = None,
) -> None:
    """Write a finished run for other tools: verdicts or rates as Parquet or CSV, a model card, MLflow.

    [bold]Examples[/bold]

    halluc-ray export nightly.yaml verdicts/ --texts

    halluc-ray export ./out/runs/1f0c… rates.csv --format csv --what rates

    halluc-ray export nightly.yaml card.md --format model-index --system tuned --dataset "Our questions"

    halluc-ray export nightly.yaml sqlite:///mlflow.db --format mlflow
    """
    with exits():
        _refuse_strangers(form, _TABLES, what=what)
        _refuse_strangers(
            form, _TABLES if what is not What.RATES else (), texts=texts or None, no_slices=None if slices else True
        )
        _refuse_strangers(form, (Form.MODEL_INDEX,), system=system, dataset=dataset, dataset_id=dataset_id, split=split)
        _refuse_strangers(form, (Form.MLFLOW,), experiment=experiment)
        from halluc_ray.evaluation.reading import read_target

        place = out or (os.environ.get("MLFLOW_TRACKING_URI", "") if form is Form.MLFLOW else "")
        if not place:
            wanted = "a tracking URI, or MLFLOW_TRACKING_URI" if form is Form.MLFLOW else "a folder or file to write"
            raise SpecError(f"OUT is missing: {wanted}")
        asked = _Asked(read_target(run, overrides=overrides or ()), place, form, overwrite)
        with interruptible("Interrupted: nothing was exported; run it again."):
            if form is Form.MLFLOW:
                _log(asked, experiment or "halluc_ray")
            elif form is Form.MODEL_INDEX:
                _write_card(asked, system=system, name=dataset, hub_id=dataset_id, split=split)
            elif form is Form.MARKDOWN or what is What.RATES:
                _write_file(asked)
            else:
                _write_verdicts(asked, texts=texts, slices=slices)


def _refuse_strangers(form: Form, forms: tuple[Form, ...], **options: object) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given and form not in forms:
        belongs = f"to --format {' and '.join(forms)}" if forms else "to verdicts"
        raise SpecError(f"--{given[0].replace('_', '-')} belongs {belongs}; leave it out")


def _write_verdicts(asked: _Asked, *, texts: bool, slices: bool) -> None:
    from halluc_ray.evaluation.exporting import export_verdicts

    console = Console(stderr=True)
    with _progress(console) as show:
        done = export_verdicts(
            asked.target,
            asked.out,
            form=_form(asked),
            texts=texts,
            slices=slices,
            overwrite=asked.overwrite,
            on_rows=show,
        )
    files = "1 file" if len(done.files) == 1 else f"{len(done.files)} files"
    typer.echo(f"{done.rows:,} verdicts in {files}: {done.uri}")
    if done.guarded_cells:
        typer.echo(
            f"{done.guarded_cells:,} texts begin as formulas do and have an apostrophe before them; Parquet keeps them "
            "as they are",
            err=True,
        )


def _form(asked: _Asked) -> DatasetForm:
    return "csv" if asked.form is Form.CSV else "parquet"


def _write_file(asked: _Asked) -> None:
    from halluc_ray.evaluation.exporting import export_markdown, export_rates

    if asked.form is Form.MARKDOWN:
        where = export_markdown(asked.target, asked.out, overwrite=asked.overwrite)
    else:
        where = export_rates(asked.target, asked.out, form=_form(asked), overwrite=asked.overwrite)
    typer.echo(where)


def _write_card(asked: _Asked, *, system: str | None, name: str | None, hub_id: str | None, split: str | None) -> None:
    from halluc_ray.evaluation.exporting import export_model_index
    from halluc_ray.reports.exporting.model_index import CardDataset

    dataset = CardDataset(name, hub_id, split)
    where, missing = export_model_index(
        asked.target, asked.out, system=system, dataset=dataset, overwrite=asked.overwrite
    )
    typer.echo(where)
    for indicator in missing:
        typer.echo(f"warning: {indicator} has no rate, and so no entry", err=True)


def _log(asked: _Asked, experiment: str) -> None:
    from halluc_ray.evaluation.exporting import export_mlflow

    if asked.overwrite:
        raise SpecError("--overwrite: what MLflow holds is left alone; delete its run there to log it anew")
    for logged in export_mlflow(asked.target, asked.out, experiment=experiment):
        typer.echo(f"{logged.mlflow_run_id}  {logged.system}{'' if logged.new else '  (was logged before)'}")


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("verdicts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda rows, total: bar.update(task, completed=rows, total=total)

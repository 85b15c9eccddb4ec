"""The commands of `halluc-ray`.

Only the shape of the command line is known here; whatever is heavy is imported by the command that
needs it, so that `--help` answers at once. Called by the entry point and `python -m`.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from halluc_ray.cli.compare import compare_command
from halluc_ray.cli.convert import convert
from halluc_ray.cli.exits import BAD_INPUT, DONE, TOO_MANY_FAILED, exits, report_unexpected, resumable
from halluc_ray.cli.export import export_command
from halluc_ray.cli.exporter import exporter
from halluc_ray.cli.gate import gate_command
from halluc_ray.cli.gc import gc
from halluc_ray.cli.importing import import_command
from halluc_ray.cli.logs import logs
from halluc_ray.cli.nightly import cancel, nightly, release
from halluc_ray.cli.preview import preview
from halluc_ray.cli.site import site

if TYPE_CHECKING:
    from halluc_ray.config import RunSpec
    from halluc_ray.engine.progress import Progress
    from halluc_ray.evaluation import Evaluation

app = typer.Typer(
    name="halluc-ray",
    help="How often does a language model state what is not so? One YAML spec, one report.",
    epilog="Exit codes: 0 done; 2 bad spec or input; 3 more failed rows than max_failed; 4 incomplete, run it again; "
    "`gate`, `nightly`: 1 fail, 5 inconclusive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

SpecArgument = Annotated[str, typer.Argument(metavar="SPEC", help="YAML file: a path or an s3:// URI.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's URI (./out/runs/ID, s3://…/runs/ID), or the SPEC it came from.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the spec, such as engine.actors=2; may be repeated."),
]


_WIDTH_OF_NO_TERMINAL = 120


def main() -> None:
    """Entry point."""
    sys.excepthook = report_unexpected
    typer.main.get_command(app)()


def run_spec(spec: RunSpec) -> int:
    """Evaluate with progress on the terminal, print the result, and return the exit code."""
    from halluc_ray.cli.progress import progress_view
    from halluc_ray.evaluation import evaluate

    console = _console()
    with logs(), resumable() as hold, progress_view(console) as view:

        def show(progress: Progress) -> None:
            hold()
            view(progress)

        done = evaluate(spec, on_progress=show)
    return _printed(done)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """How often does a language model state what is not so? One YAML spec, one report."""
    if version:
        typer.echo(f"halluc-ray {metadata.version('halluc-ray')} (Python {sys.version.split()[0]})")
        raise typer.Exit(DONE)


@app.command()
def run(spec: SpecArgument, overrides: Overrides = None) -> None:
    """Evaluate: compute what is missing and write the report.

    What was committed before, by this run or any other under the same output, is not computed again.

    [bold]Examples[/bold]

    halluc-ray run nightly.yaml

    halluc-ray run nightly.yaml --set engine.actors=2 --set corpus.limit=1000

    halluc-ray run s3://evals/specs/nightly.yaml
    """
    with exits():
        from halluc_ray.evaluation.reading import read_spec

        raise typer.Exit(run_spec(read_spec(spec, overrides=overrides or ())))


@app.command()
def plan(spec: SpecArgument, overrides: Overrides = None) -> None:
    """Show what a run would do: stages done and to do, rows, estimated tokens.

    [bold]Example[/bold]

    halluc-ray plan nightly.yaml
    """
    from halluc_ray.cli.tables import print_plan

    with exits():
        from halluc_ray.evaluation import prepare
        from halluc_ray.evaluation.reading import read_spec

        read = read_spec(spec, overrides=overrides or ())
        print_plan(_console(), prepare(read))


@app.command()
def status(run: RunArgument, overrides: Overrides = None) -> None:
    """Show how far a run is; from any shell or machine that sees its output.

    [bold]Examples[/bold]

    halluc-ray status nightly.yaml

    halluc-ray status s3://evals/out/runs/1f0c…
    """
    from halluc_ray.cli.progress import progress_line

    with exits():
        from halluc_ray.evaluation import status as status_of
        from halluc_ray.evaluation.reading import read_target

        target = read_target(run, overrides=overrides or ())
        progress = status_of(target)
        typer.echo(f"{progress.run_id}  {progress_line(progress)}")


@app.command()
def report(run: RunArgument, overrides: Overrides = None) -> None:
    """Rebuild a run's report from what was committed; needs neither Ray nor a GPU.

    [bold]Example[/bold]

    halluc-ray report ./out/runs/1f0c…
    """
    with exits():
        from halluc_ray.evaluation import rebuild_report
        from halluc_ray.evaluation.reading import read_target

        target = read_target(run, overrides=overrides or ())
        raise typer.Exit(_printed(rebuild_report(target)))


@app.command()
def samples(
    run: RunArgument,
    where: Annotated[str | None, typer.Option(help="SQL condition on outcomes, evidence and texts.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    overrides: Overrides = None,
) -> None:
    """Look at rows of a run.

    [bold]Example[/bold]

    halluc-ray samples nightly.yaml --where "answer_mismatch = 'hallucinated'" --limit 5
    """
    with exits():
        from halluc_ray.cli.tables import print_samples
        from halluc_ray.evaluation import find_samples
        from halluc_ray.evaluation.reading import read_target

        target = read_target(run, overrides=overrides or ())
        rows = find_samples(target, where=where, limit=limit)
        if not as_json:
            print_samples(_console(), rows, limit=limit)
            return
        for row in rows.to_pylist():
            typer.echo(json.dumps(row, ensure_ascii=False, default=str))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors.

    [bold]Example[/bold]

    halluc-ray schema > halluc-ray.schema.json
    """
    with exits():
        from halluc_ray.config.schema import spec_schema
        from halluc_ray.indicators.registry import json_schema

        typer.echo(json.dumps(spec_schema(json_schema()), indent=2, ensure_ascii=False))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", help="Where corpus, spec and runs are written.")] = Path(
        "out/demo"
    ),
    limit: Annotated[int, typer.Option(min=1, help="Questions to ask.")] = 600,
) -> None:
    """Ask a small real language model facts, and report how often it is wrong.

    Two to three minutes on two cores the first time; seconds the second time.

    [bold]Example[/bold]

    halluc-ray demo
    """
    with exits():
        from halluc_ray.cli.demo import prepare_demo
        from halluc_ray.evaluation.reading import read_spec

        typer.echo(
            f"Asking SmolLM2-135M-Instruct {limit} facts in English and Chinese; it knows little but English, "
            "so expect the Chinese half to fail. Its weights are unpacked once, which takes half a minute."
        )
        spec_path = prepare_demo(folder, limit=limit)
        typer.echo(f"Spec    {spec_path}  (the same as: halluc-ray run {spec_path})")
        raise typer.Exit(run_spec(read_spec(str(spec_path))))


app.command(name="compare")(compare_command)
app.command(name="gate")(gate_command)
app.command()(convert)
app.command(name="import")(import_command)
app.command()(preview)
app.command()(nightly)
app.command()(release)
app.command()(site)
app.command()(cancel)
app.command(name="export")(export_command)
app.command()(exporter)
app.command()(gc)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_NO_TERMINAL)


def _printed(done: Evaluation) -> int:
    from halluc_ray.cli.tables import no_rows_message, print_evaluation, too_many_failed_message

    print_evaluation(_console(), done)
    if not done.result.corpus.selected:
        typer.echo(f"error: {no_rows_message(done)}", err=True)
        return BAD_INPUT
    if done.too_many_failed:
        typer.echo(f"error: {too_many_failed_message(done)}", err=True)
        return TOO_MANY_FAILED
    return DONE


if __name__ == "__main__":
    main()

"""`halluc-ray nightly`, `release` and `cancel`.

Called by `app`, and `nightly` by `jobs.nightly`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from halluc_ray.cli.exits import (
    BAD_INPUT,
    DONE,
    GATE_FAILED,
    GATE_INCONCLUSIVE,
    INCOMPLETE,
    TOO_MANY_FAILED,
    exit_code,
    exits,
    resumable,
)
from halluc_ray.cli.logs import logs
from halluc_ray.cli.saving import save_files
from halluc_ray.cli.site import render_after_night

if TYPE_CHECKING:
    from halluc_ray.config import RunSpec
    from halluc_ray.engine.progress import Progress
    from halluc_ray.suites.nightly import SuiteNight
    from halluc_ray.suites.suite import Suite

_WIDTH_OF_NO_TERMINAL = 120
_MISSED_SHOWN = 10

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the suite, such as output=./out2; may be repeated."),
]
SuiteArgument = Annotated[str, typer.Argument(metavar="SUITE", help="YAML file: a path or an s3:// URI.")]


def nightly(
    suite: SuiteArgument,
    date: Annotated[str | None, typer.Option(help="Scheduled date, YYYY-MM-DD; default: today in UTC.")] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write SPEC.gate.json, SPEC.gate.xml (JUnit), SPEC.gate.md.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Run a suite's night: compute what is new, record it, tell.

    Safe to run again at any time: what was committed, recorded or told is not done twice.

    [bold]Examples[/bold]

    halluc-ray nightly examples/nightly.yaml

    halluc-ray nightly s3://evals/suites/qa.yaml --date 2026-11-24
    """
    with exits():
        raise typer.Exit(run_suite(suite, date=date, save=save, overrides=overrides or ()))


def run_suite(
    location: str,
    *,
    date: str | None,
    save: Path | None = None,
    overrides: Sequence[str] = (),
    check: Callable[[RunSpec], None] | None = None,
) -> int:
    """Run a night with progress on the terminal, print what became of it, and return the exit code.

    Args:
        location: of the suite: a path or s3:// URI.
        date: scheduled date; default: today in UTC.
        save: folder for the files of the gates.
        overrides: of the suite, `path=value`.
        check: called with each spec before it runs; raises to refuse it.
    """
    from halluc_ray.cli.progress import progress_view
    from halluc_ray.suites.nightly import run_night
    from halluc_ray.suites.reading import read_suite

    suite = read_suite(location, overrides=overrides)
    date = date or str(datetime.datetime.now(datetime.UTC).date())
    console = _console()
    with logs(), resumable() as hold, progress_view(console) as view:

        def show(entry: str, progress: Progress) -> None:
            hold()
            view(progress)

        night = run_night(suite, date=date, on_progress=show, check=check)
    with resumable():
        _print_night(console, night)
        _show_and_tell(suite, night, console=console, save=save)
    return night_exit_code(night)


def _show_and_tell(suite: Suite, night: SuiteNight, *, console: Console, save: Path | None) -> None:
    """Keep the gates' files, bring the site up to date, and tell who wants to know."""
    from halluc_ray.suites.gating import read_gate
    from halluc_ray.suites.notify import tell
    from halluc_ray.suites.tonight import suite_store

    store = suite_store(suite)
    if save is not None:
        for spec in night.specs:
            found = read_gate(store, spec.night) if spec.night else {}
            save_files(save, {f"{spec.entry}.{name}": data for name, data in found.items()})
    page = render_after_night(suite, [spec.night for spec in night.specs if spec.night is not None])
    if page is not None:
        console.print(Text(f"Site  {page}"), soft_wrap=True)
    with logs():
        troubles = tell(store, night, suite.notify, site=page)
    for trouble in troubles:
        typer.echo(f"warning: {trouble}", err=True)


def night_exit_code(night: SuiteNight) -> int:
    """What a night ends with: its worst spec's code.

    In this order: 2 bad spec or input, 4 incomplete, 1 the gate failed, 3 too many failed rows, 5 the gate
    can't say, 0.
    """
    codes = [exit_code(spec.error) for spec in night.specs if spec.error is not None]
    recorded = [spec.night for spec in night.specs if spec.night is not None]
    codes += [TOO_MANY_FAILED for each in recorded if each.too_many_failed]
    verdicts = [each.gate.verdict for each in recorded if each.gate is not None]
    codes += [{"PASS": DONE, "FAIL": GATE_FAILED}.get(verdict, GATE_INCONCLUSIVE) for verdict in verdicts]
    ranked = (BAD_INPUT, INCOMPLETE, GATE_FAILED, TOO_MANY_FAILED, GATE_INCONCLUSIVE)
    return next((code for code in ranked if code in codes), DONE)


def _print_night(console: Console, night: SuiteNight) -> None:
    from halluc_ray.cli.tables import no_rows_message

    table = Table(title=f"{night.suite}, night of {night.date}", title_justify="left", box=None)
    for heading in ("spec", "system", "indicator"):
        table.add_column(heading)
    for heading in ("rate", "interval", "answered"):
        table.add_column(heading, justify="right")
    for spec in night.specs:
        for rate in spec.night.rates if spec.night else ():
            names = (Text(spec.entry), Text(rate.system), Text(rate.indicator))
            table.add_row(*names, _share(rate.rate), _interval(rate.low, rate.high), _share(rate.answered_share))
    if table.rows:
        console.print(table)
    for spec in night.specs:
        if spec.error is not None:
            typer.echo(f"error: {spec.entry}: {spec.error}", err=True)
        if spec.done is None:
            continue
        if not spec.done.result.corpus.selected:
            typer.echo(f"warning: {spec.entry}: {no_rows_message(spec.done)}", err=True)
        computed = f"{spec.done.shards_computed:,} of {spec.done.shards:,} shards computed"
        console.print(Text(f"{spec.entry}  {computed}{cost_words(spec.cost.seconds, spec.cost.money)}"))
        console.print(Text(f"  Report  {spec.done.report_html_uri}"), soft_wrap=True)
    for spec in night.specs:
        if spec.night is not None and spec.night.gate is not None:
            gate = spec.night.gate
            console.print(Text(f"{spec.entry}  {gate.verdict}: {gate.reason}"), soft_wrap=True)
        if spec.trouble:
            console.print(Text(f"note: {spec.entry}: {spec.trouble}", style="yellow"), soft_wrap=True)
    if night.missed:
        more = f" and {len(night.missed) - _MISSED_SHOWN:,} earlier" if len(night.missed) > _MISSED_SHOWN else ""
        console.print(Text(f"missed nights: {', '.join(night.missed[-_MISSED_SHOWN:])}{more}", style="yellow"))


def cost_words(seconds: Mapping[str, float], money: float | None) -> str:
    """What all commands on a spec's run held and cost, to stand behind other words; money to the hundredth."""
    held = "".join(f"; so far the run held {kind} for {s:,.1f} device-seconds" for kind, s in seconds.items())
    return held + ("" if money is None else f"; {_money(money)} by the suite's prices")


def _money(value: float) -> str:
    return "less than 0.01" if 0 < value < 0.01 else f"{value:,.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.1%} to {high:.1%}"


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_NO_TERMINAL)


def release(
    suite: SuiteArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as v1.2; stands for these runs from now on.")],
    date: Annotated[str, typer.Option(help="The night that is released, YYYY-MM-DD.")],
    overrides: Overrides = None,
) -> None:
    """Name a night, so that others can be held against it: `baseline: {release: NAME}`.

    [bold]Example[/bold]

    halluc-ray release examples/nightly.yaml v1.2 --date 2026-11-24
    """
    with exits():
        from halluc_ray.suites.nights import check_date
        from halluc_ray.suites.reading import read_suite
        from halluc_ray.suites.releases import name_release
        from halluc_ray.suites.tonight import suite_store

        read = read_suite(suite, overrides=overrides or ())
        runs = name_release(suite_store(read), suite=read.name, release=name, date=check_date(date))
        for entry, run_id in runs.items():
            typer.echo(f"{name}  {entry}  {run_id}")


def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's URI (./out/runs/ID), or the SPEC it came from.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As the run was started with.")
    ] = None,
) -> None:
    """Stop a run that is going on, from any shell or machine that sees its output.

    What was committed stays; the same command that ran it goes on.

    [bold]Example[/bold]

    halluc-ray cancel s3://evals/out/runs/1f0c…
    """
    with exits():
        from halluc_ray.evaluation.cancelling import cancel as cancel_run
        from halluc_ray.evaluation.reading import read_target

        match cancel_run(read_target(run, overrides=overrides or ())):
            case "stopped":
                typer.echo("Stopped; what was committed stays.")
            case "idle":
                typer.echo("Nobody works on this run; there is nothing to stop.")
            case _:
                typer.echo("error: the driver has not stopped yet; it was asked to, and status shows it", err=True)
                raise typer.Exit(INCOMPLETE)

"""`halluc-ray gate`: hold a run against a policy.

Knows the command line and how a verdict is printed; decides nothing. Registered in `app`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from halluc_ray.cli.exits import DONE, GATE_FAILED, GATE_INCONCLUSIVE, exits
from halluc_ray.cli.saving import save_files

if TYPE_CHECKING:
    from halluc_ray.suites.verdicts import Check, GateResult

_MAX_CHECKS = 40
_WIDTH_OF_NO_TERMINAL = 140
_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}


def gate_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's URI or SPEC, or RUN#SYSTEM.")],
    policy: Annotated[str, typer.Option(metavar="POLICY", help="YAML file: a path or an s3:// URI.")],
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN", help="What increases are measured from; RUN or RUN#SYSTEM.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Pair by `row`, `id` or a corpus column; default: row, else id.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write gate.json, gate.xml (JUnit) and gate.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print gate.json.")] = False,
) -> None:
    """Hold a run against a policy: PASS (exit code 0), FAIL (1) or INCONCLUSIVE (5), with the reason.

    [bold]Example[/bold]

    halluc-ray gate tonight.yaml --policy gate.yaml --baseline ./out/runs/1f0c… --save out/gate
    """
    with exits():
        from halluc_ray.evaluation.comparing import read_side
        from halluc_ray.evaluation.reading import read_text
        from halluc_ray.suites.gate import gate
        from halluc_ray.suites.gate_files import gate_files
        from halluc_ray.suites.policy import load_policy

        target, system = read_side(run)
        held, held_system = read_side(baseline) if baseline is not None else (None, None)
        rules = load_policy(read_text(policy, what="policy"), source=policy)
        result = gate(target, policy=rules, system=system, baseline=held, baseline_system=held_system, by=by)
        if save is not None:
            save_files(save, gate_files(result))
        if as_json:
            typer.echo(result.to_json().decode(), nl=False)
        else:
            print_gate(_console(), result)
        raise typer.Exit({"PASS": DONE, "FAIL": GATE_FAILED}.get(result.verdict, GATE_INCONCLUSIVE))


def print_gate(console: Console, result: GateResult) -> None:
    """What the corpus can show, each check, and the verdict with its reason."""
    from halluc_ray.suites.verdicts import Verdict

    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    ranked = sorted(result.checks, key=lambda check: (order.index(check.verdict), -check.excess))
    console.print(_table(result, ranked[:_MAX_CHECKS]))
    if len(ranked) > _MAX_CHECKS:
        console.print(f"{len(ranked) - _MAX_CHECKS:,} more checks are in gate.json (--save, --json).")
    console.print(f"detectable: the smallest that this corpus would show with {result.power:.0%} power.")
    for note in result.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    if result.not_judged:
        few = f"note: {result.not_judged:,} cells have fewer rows than min_rows; not judged"
        console.print(Text(few, style="yellow"))
    console.print()
    console.print(Text(result.verdict, style=_STYLES[result.verdict]), Text(result.reason), sep=": ", soft_wrap=True)


def _table(result: GateResult, checks: list[Check]) -> Table:
    from halluc_ray.suites.verdicts import cell_name, percent

    table = Table(title="Gate", title_justify="left", box=None)
    table.add_column("verdict", no_wrap=True)
    for heading in ("limit", "indicator", "system", "slice"):
        table.add_column(heading, overflow="fold")
    interval = f"{result.confidence * 100:g} % interval"
    for heading in ("rows", "allowed", "detectable", "measured", interval):
        table.add_column(heading, justify="right", no_wrap=True)
    for check in checks:
        names = (check.limit, check.indicator, check.system, cell_name(check.slice))
        ends = f"{percent(check.low)} to {percent(check.high)}" if check.rows else ""
        numbers = (f"{check.rows:,}", percent(check.allowed), percent(check.detectable), percent(check.value), ends)
        table.add_row(Text(check.verdict, style=_STYLES[check.verdict]), *map(Text, names), *numbers)
    return table


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_NO_TERMINAL)

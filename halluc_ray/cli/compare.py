"""`halluc-ray compare`: two systems on the same samples.

Knows the command line and how a comparison is printed; computes nothing. Registered in `app`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from halluc_ray.cli.exits import DONE, exits
from halluc_ray.cli.saving import save_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from halluc_ray.reports.comparison import Comparison, Difference, Flip

_MAX_CELLS = 20
_MAX_CHARACTERS = 220
_WIDTH_OF_NO_TERMINAL = 140


def compare_command(
    a: Annotated[str, typer.Argument(metavar="A", help="A run's URI or SPEC, or RUN#SYSTEM.")],
    b: Annotated[str | None, typer.Argument(metavar="[B]", help="Another; leave out for two systems of A.")] = None,
    systems: Annotated[
        tuple[str, str] | None, typer.Option("--systems", metavar="NAME_A NAME_B", help="A system of each run.")
    ] = None,
    by: Annotated[str, typer.Option(help="Pair by `row`, by `id`, or by a corpus column.")] = "row",
    flips: Annotated[int, typer.Option(min=0, help="Flips to print, each way.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json.")] = False,
    save: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write comparison.json and its page.")] = None,
) -> None:
    """Compare two systems on the same samples: differences, exact tests, what flipped.

    [bold]Examples[/bold]

    halluc-ray compare ./out/runs/1f0c… ./out/runs/77ab…

    halluc-ray compare nightly.yaml --systems base tuned

    halluc-ray compare old.yaml new.yaml --by id --save out/comparison
    """
    with exits():
        from halluc_ray.evaluation.comparing import compare, read_side
        from halluc_ray.reports.comparison_page import render_comparison

        target_a, name_a = read_side(a)
        target_b, name_b = read_side(b) if b is not None else (None, None)
        found = compare(target_a, target_b, systems=systems or (name_a, name_b), by=by)
        if save is not None:
            page = render_comparison(found)
            save_files(save, {"comparison.json": found.to_json(), "comparison.html": page.encode()})
        if as_json:
            typer.echo(found.to_json().decode(), nl=False)
        else:
            print_comparison(_console(), found, flips=flips)
        raise typer.Exit(DONE)


def print_comparison(console: Console, found: Comparison, *, flips: int) -> None:
    """Differences over all pairs, the surest cells, notes, and some flips with both answers."""
    console.print(_table("Difference, B minus A", found, found.overall()))
    cells = list(found.cells())
    if cells:
        console.print()
        console.print(_table("In slices, the surest first", found, cells[:_MAX_CELLS]))
        if len(cells) > _MAX_CELLS:
            console.print(f"{len(cells) - _MAX_CELLS:,} more are in comparison.json (--save, --json).")
    console.print()
    counted = "1 comparison" if found.family == 1 else f"{found.family:,} comparisons"
    console.print(f"p is of no difference; Holm's adjustment is over {counted}.")
    for note in (*found.notes, *_undefined(found)):
        console.print(Text(f"note: {note}", style="yellow"))
    for direction, heading in (("worse", "Got worse"), ("better", "Got better")):
        for flip in _first_of_each(found, direction, flips):
            console.print()
            console.print(Text(f"{heading}: {flip.indicator}, {flip.id}", style="bold"))
            console.print(_flip_grid(flip))


def _table(title: str, found: Comparison, rows: Iterable[Difference]) -> Table:
    several = len(found.pairings) > 1
    table = Table(title=title, title_justify="left", box=None)
    for heading in (*(("systems",) if several else ()), "indicator", "slice"):
        table.add_column(heading, overflow="fold")
    for heading in (
        "pairs",
        "A",
        "B",
        "B - A",
        f"{found.confidence * 100:g} % interval",
        "worse",
        "better",
        "p",
        "Holm",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        names = ([_systems(row)] if several else []) + [row.indicator, _cell(row)]
        numbers = [f"{row.pairs:,}", _percent(row.rate_a), _percent(row.rate_b), _points(row.difference)]
        numbers.append(f"{_points(row.low)} to {_points(row.high)}" if row.low is not None else "")
        numbers += [f"{row.worse:,}", f"{row.better:,}", _p(row.p_value), _p(row.p_holm)]
        table.add_row(*map(Text, names), *numbers)
    return table


def _undefined(found: Comparison) -> Iterable[str]:
    """Why pairs do not count: the largest of the outcomes that are not defined on both sides."""
    defined = ("hallucinated", "supported")
    for pairing in found.pairings:
        for row in found.overall():
            if (row.system_a, row.system_b) != (pairing.system_a, pairing.system_b) or row.units == row.pairs:
                continue
            why = [entry for entry in pairing.crossed if entry.indicator == row.indicator]
            why = [entry for entry in why if not (entry.outcome_a in defined and entry.outcome_b in defined)]
            why.sort(key=lambda entry: -entry.units)
            shown = ", ".join(f"{entry.outcome_a} then {entry.outcome_b} {entry.units:,}" for entry in why[:4])
            number = f"{row.units - row.pairs:,} of {row.units:,}"
            yield f"{row.indicator}: {number} pairs are not defined on both sides ({shown})"


def _first_of_each(found: Comparison, direction: str, number: int) -> Iterable[Flip]:
    seen: dict[Any, int] = {}
    for flip in found.flips:
        key = (flip.system_a, flip.system_b, flip.indicator)
        if flip.direction == direction and seen.get(key, 0) < number:
            seen[key] = seen.get(key, 0) + 1
            yield flip


def _flip_grid(flip: Flip) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    entries = [("prompt", flip.prompt), ("reference", flip.reference)]
    entries += [(f"A {flip.system_a}", flip.a.response), (f"B {flip.system_b}", flip.b.response)]
    for name, text in entries:
        if text is not None:
            table.add_row(Text(name), Text(_shortened(text)))
    return table


def _systems(row: Difference) -> str:
    return row.system_a if row.system_a == row.system_b else f"{row.system_a} / {row.system_b}"


def _cell(row: Difference) -> str:
    return ", ".join(f"{column}={value}" for column, value in row.slice.items()) or "all"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def _points(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:+.2f}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_CHARACTERS else f"{flat[: _MAX_CHARACTERS - 1]}…"


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_NO_TERMINAL)

"""`halluc-ray gc`: free what of a store nobody needs any more.

Knows the command line and how a collection is printed; decides nothing. Registered in `app`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from halluc_ray.cli.exits import DONE, exits, resumable
from halluc_ray.errors import SpecError

if TYPE_CHECKING:
    from halluc_ray.retention import Collected

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_MAX_RUNS = 20
_WIDTH_OF_NO_TERMINAL = 120


def gc(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Output root of runs: a folder or an s3:// URI.")],
    keep: Annotated[str, typer.Option(metavar="AGE", help="Keep runs this long after their last sign: 30d, 12h.")],
    nights: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Nights keep their runs this long, the last one always; default: for good."),
    ] = None,
    wait: Annotated[str, typer.Option(metavar="AGE", help="Free what was marked this long ago.")] = "24h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was found as JSON.")] = False,
) -> None:
    """Free lost attempts, and stages and runs that nobody needs; runs of nights and releases are kept.

    The first call marks. One that comes a day later frees what is still garbage, and marks what is new.

    [bold]Examples[/bold]

    halluc-ray gc s3://evals/out --keep 30d --dry-run

    halluc-ray gc s3://evals/out --keep 30d

    halluc-ray gc s3://evals/out --keep 30d --nights 400d
    """
    with exits():
        keep_s, wait_s = seconds("--keep", keep), seconds("--wait", wait)
        nights_s = None if nights is None else seconds("--nights", nights)
        from halluc_ray.retention import collect
        from halluc_ray.storage import open_store

        with resumable() as hold, _progress() as tell:

            def show(what: str, done: int, total: int) -> None:
                hold()
                tell(what, done, total)

            found = collect(
                open_store(store),
                keep_s=keep_s,
                wait_s=wait_s,
                nights_s=nights_s,
                dry_run=dry_run,
                on_progress=show,
            )
        if as_json:
            typer.echo(found.to_json())
        else:
            print_collected(_console(), found)
        raise typer.Exit(DONE)


def seconds(option: str, text: str) -> float:
    """A length of time as people write it.

    Raises:
        SpecError: it is none.

    >>> [seconds("--keep", text) for text in ("30d", "12h", "45m", "0")]
    [2592000, 43200, 2700, 0]
    """
    match = re.fullmatch(r"(\d{1,6})([dhms])", text.strip())
    if match is None and text.strip() != "0":
        raise SpecError(f"{option} {text!r} is no length of time; write 30d, 12h or 45m")
    return int(match[1]) * _UNITS[match[2]] if match else 0


def print_collected(console: Console, found: Collected) -> None:
    """What became of garbage, by reason; which runs are kept, and why; and when to come again."""
    from halluc_ray.retention import State

    would = {State.MARKED: "would be marked", State.FREED: "would be freed"} if found.dry_run else {}
    table = Table(title=f"Garbage in {found.store}", title_justify="left", box=None)
    for heading in ("state", "reason"):
        table.add_column(heading, no_wrap=True)
    for heading in ("stages or runs", "attempts", "objects", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    totals = found.totals()
    for total in totals:
        numbers = (f"{total.items:,}", f"{total.attempts:,}" if total.attempts else "", f"{total.objects:,}")
        table.add_row(would.get(total.state, total.state), total.reason, *numbers, decimal(total.num_bytes))
    if totals:
        console.print(table)
    else:
        console.print(
            f"No garbage in {found.store}: {found.stages:,} stages, {len(found.kept):,} runs.", soft_wrap=True
        )
    if found.kept:
        console.print()
        console.print(_kept_table(found))
    if len(found.kept) > _MAX_RUNS:
        console.print(f"{len(found.kept) - _MAX_RUNS:,} more runs are kept (--json).")
    if found.next_at is not None:
        again = "would be" if found.dry_run else "is"
        console.print(f"\nWhat waits {again} freed by a call after {_minute(found.next_at)}, if nobody needs it then.")


def _kept_table(found: Collected) -> Table:
    table = Table(title="Kept runs, the largest first", title_justify="left", box=None)
    table.add_column("run", no_wrap=True)
    table.add_column("why", overflow="fold")
    for heading in ("stages", "their size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in sorted(found.kept, key=lambda run: (-run.num_bytes, run.run_id))[:_MAX_RUNS]:
        table.add_row(run.run_id, ", ".join(run.why), f"{run.stages:,}", decimal(run.num_bytes))
    return table


def _minute(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per kind of work on stderr's terminal; nothing where there is none."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)

        yield tell


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_NO_TERMINAL)

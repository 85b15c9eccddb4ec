"""What `halluc-ray import` shows: a source's fields, progress, and the account of every record at the end.

Knows tables; not how anything is imported. Called by `importing`.
"""

from __future__ import annotations

import difflib
import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from halluc_ray.corpora.importing import ImportProgress, ImportResult, SourceLook

_LINE_EVERY_S = 5.0
_MAX_REASONS = 20
_MAX_EXAMPLE = 60
_NEAR = 0.85
"""How like a role's name a column's is before it is taken for a slip: `promt` is, `text` is not."""
_ROLES = ("id", "prompt", "messages", "context", "image", "reference", "options", "response", "label")


def print_look(console: Console, look: SourceLook, *, command: str) -> None:
    """Fields with types and examples, and how to go on."""
    table = Table(title=f"Fields of the first {look.records:,} records", title_justify="left", box=None)
    table.add_column("path", overflow="fold")
    table.add_column("holds")
    table.add_column("filled", justify="right", no_wrap=True)
    table.add_column("example")
    for field in look.fields:
        cells = (field.path, ", ".join(field.kinds), f"{field.share * 100:.0f} %", field.example[:_MAX_EXAMPLE])
        table.add_row(*(_shown(cell) for cell in cells))
    console.print(table)
    if look.rejected:
        console.print(f"{look.rejected:,} more of the first records can't be read; an import says why.")
    if look.preset:
        proposal = f"--preset {look.preset}"
        console.print(f"\nThese look like samples of {look.preset}.")
    else:
        proposal = f"--map {shlex.quote(look.mapping or 'id=…,prompt=…')}"
        console.print("\nNothing was imported: say what is what. By the names of the fields, a start may be:")
    has_id = look.preset or look.mapping.startswith("id=")
    console.print(_shown(f"  {command} {proposal}{'' if has_id else ' --id row'}"), soft_wrap=True)


def print_result(console: Console, result: ImportResult) -> None:
    """The account of every record, the columns, what to know, and the lines for a spec."""
    if result.rejected:
        table = Table(title="Rejected", title_justify="left", box=None)
        table.add_column("records", justify="right")
        table.add_column("reason")
        table.add_column("first", overflow="fold")
        for reason, count in list(result.rejected.items())[:_MAX_REASONS]:
            example = result.examples[reason]
            table.add_row(f"{count:,}", _shown(reason), _shown(f"{example.place}: {example.detail}"))
        console.print(table)
        console.print()
    columns = Table(title="Columns", title_justify="left", box=None)
    for heading in ("column", "holds"):
        columns.add_column(heading)
    columns.add_column("null rows", justify="right")
    for name, kind in result.columns.items():
        columns.add_row(_shown(name), kind.value, f"{result.nulls[name]:,}" if result.nulls[name] else "")
    console.print(columns)
    console.print()
    for note in _notes(result):
        console.print(_shown(f"note: {note}", style="yellow"), soft_wrap=True)
    rejected = sum(result.rejected.values())
    became = f", as {result.rows:,} rows" if result.rows != result.imported else ""
    console.print(
        f"{result.records:,} records = {result.imported:,} imported{became} + {rejected:,} rejected; "
        f"{result.files:,} Parquet {'file' if result.files == 1 else 'files'}"
    )
    corpus = {"uri": result.uri, "columns": {role: role for role in _ROLES if role in result.columns}}
    flow = yaml.safe_dump(corpus, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    console.print(Text(f"Corpus  {result.uri}\nSpec    corpus: {flow.strip()}"), soft_wrap=True)


def _shown(text: str, style: str = "") -> Text:
    """Text of unknown origin without what would move the cursor, or what no terminal can print."""
    letters = (letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return Text("".join(letters), style=style)


def _notes(result: ImportResult) -> Iterator[str]:
    free = [role for role in _ROLES if role not in result.columns]
    for name in result.columns:
        if near := difflib.get_close_matches(name.lower(), free, n=1, cutoff=_NEAR):
            yield f"column {name}: did you mean {near[0]}? A spec finds a column of another name by its `columns`"
    if result.duplicates.rows:
        examples = ", ".join(result.duplicates.examples)
        who = "1 row has an id that a row before it"
        if result.duplicates.rows > 1:
            who = f"{result.duplicates.rows:,} rows have an id that a row before them"
        yield (
            f"{who} has (such as {examples}); comparing runs row by row needs ids that differ: map another path, or "
            "say --id row"
        )
    if result.left_out:
        shown = ", ".join(result.left_out[:10])
        yield f"nested fields were left out: {shown}; --keep all keeps them as JSON text"
    if result.renamed:
        yield "renamed, as the name was taken: " + ", ".join(f"{old} to {new}" for old, new in result.renamed.items())
    if result.nan_as_null:
        yield f"{result.nan_as_null:,} NaN or infinite numbers were read as null"


@contextmanager
def shown_progress(console: Console) -> Iterator[Callable[[ImportProgress], None]]:
    """A bar on a terminal, timed lines elsewhere."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def show(progress: ImportProgress) -> None:
            words = f"{progress.records:,} records, {progress.rejected:,} rejected"
            bar.update(task, completed=progress.bytes_read, total=progress.bytes_total or None, description=words)

        yield show


def _lines(console: Console) -> Callable[[ImportProgress], None]:
    last = time.monotonic()

    def show(progress: ImportProgress) -> None:
        nonlocal last
        if time.monotonic() - last < _LINE_EVERY_S:
            return
        last = time.monotonic()
        share = f"  {progress.bytes_read / progress.bytes_total:.0%}" if progress.bytes_total else ""
        console.print(f"{progress.records:,} records  {progress.rejected:,} rejected{share}")

    return show

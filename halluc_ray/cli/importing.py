"""`halluc-ray import`: the options, the progress, and what is printed at the end.

Knows the command line and tables; the import itself is `halluc_ray.corpora.importing`. Registered by `app`.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from halluc_ray.cli.exits import BAD_INPUT, DONE, TOO_MANY_FAILED, exits
from halluc_ray.errors import SpecError

if TYPE_CHECKING:
    from halluc_ray.corpora.importing import ImportOptions, ImportResult, SourceLook
    from halluc_ray.corpora.importing.importing import ImportProgress
    from halluc_ray.corpora.importing.reading import ReadingOptions

_LINE_EVERY_S = 5.0
_WIDTH_OF_NO_TERMINAL = 120
_MAX_REASONS = 20
_ROLES = ("id", "prompt", "messages", "context", "image", "reference", "options", "response", "label")


def import_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A file, folder, glob, s3:// URI, saved dataset or hub id (hf://owner/name)."
        ),
    ],
    out: Annotated[
        str | None, typer.Argument(metavar="[OUT]", help="A new folder or s3://bucket/prefix for the corpus.")
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=EXPR,...", help="What becomes which column; may be repeated."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Samples of another harness: lm-eval or lighteval.")] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="row", help="row: ids from file name and row number.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            help="Unmapped fields to keep: scalars (default), all (nested ones as JSON text), none, or a,b,c."
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="jsonl, json, csv, tsv, parquet or arrow, where names do not tell.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of CSV; detected by default.")] = None,
    encoding: Annotated[str, typer.Option(help="Of text files, such as cp1252, gb18030 or utf-16.")] = "utf-8",
    records: Annotated[str | None, typer.Option(help="Where a JSON object holds its list of records.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of a saved or hub dataset.")] = None,
    config: Annotated[str | None, typer.Option(help="Configuration of a hub dataset.")] = None,
    nan: Annotated[str | None, typer.Option(help="NaN in JSON: reject (default) or null.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Records to read.")] = None,
    max_rejected: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of rejected records above which the exit code is 3.")
    ] = 0.01,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier import.")] = False,
) -> None:
    r"""Make a Parquet corpus of JSON Lines, JSON, CSV, Parquet, Arrow, hub or harness data.

    Without --map and --preset, shows the source's fields and a mapping to start from. An expression is a path
    (question.text, passages\[].text, choices\[0], \['a key, with signs']), a literal ('en', 1), or join(PATH, ' '),
    first(A, B), explode(PATH), text(X), int(X), float(X), bool(X), json(X).

    [bold]Examples[/bold]

    halluc-ray import qa.jsonl

    halluc-ray import qa.jsonl corpus/ --map "id=qid,prompt=question.text,reference=answers\[],lang='en'"

    halluc-ray import s3://evals/raw/ s3://evals/qa --map "id=qid,context=join(passages\[].text)"

    halluc-ray import "out/samples_gsm8k_*.jsonl" gsm8k/ --preset lm-eval
    """
    with exits():
        from halluc_ray.corpora.importing import import_corpus, look_at
        from halluc_ray.corpora.importing.reading import ReadingOptions

        if id not in (None, "row"):
            raise SpecError(f"--id {id!r}: only `row` is known; a path is mapped with --map id={id}")
        reading = ReadingOptions(
            format=_format(format),
            delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter),
            encoding=encoding,
            records=records,
            split=split,
            config=config,
            nan_as_null=_nan_as_null(nan, preset),
        )
        console = _console()
        if not mapping and preset is None:
            print_look(console, look_at(source, reading), command=_command(source, out))
            raise typer.Exit(BAD_INPUT)
        if out is None:
            raise SpecError("OUT is missing: a new folder or s3://bucket/prefix for the corpus")
        options = _options(
            mapping or [], preset, reading, id_from_row=id == "row", keep=keep, limit=limit, overwrite=overwrite
        )
        with _shown_progress(console) as show:
            result = import_corpus(source, out, options, on_progress=show)
        print_result(console, result)
        if result.rejected_share > max_rejected:
            typer.echo(
                f"error: {result.rejected_share * 100:.3g} % of the records were rejected, --max-rejected allows "
                f"{max_rejected * 100:.3g} %; the corpus was written, and {result.uri}/rejected.jsonl says why",
                err=True,
            )
            raise typer.Exit(TOO_MANY_FAILED)
        raise typer.Exit(DONE)


def print_look(console: Console, look: SourceLook, *, command: str) -> None:
    """Fields with types and examples, and how to go on."""
    table = Table(title=f"Fields of the first {look.records:,} records", title_justify="left", box=None)
    table.add_column("path", overflow="fold")
    table.add_column("holds")
    table.add_column("filled", justify="right", no_wrap=True)
    table.add_column("example", overflow="ellipsis", no_wrap=True)
    for field in look.fields:
        cells = (field.path, ", ".join(field.kinds), f"{field.share * 100:.0f} %", field.example)
        table.add_row(*(Text(cell) for cell in cells))
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
    console.print(Text(f"  {command} {proposal}{'' if has_id else ' --id row'}"), soft_wrap=True)


def print_result(console: Console, result: ImportResult) -> None:
    """The account of every record, the columns, what to know, and the lines for a spec."""
    if result.rejected:
        table = Table(title="Rejected", title_justify="left", box=None)
        table.add_column("records", justify="right")
        table.add_column("reason")
        table.add_column("first", overflow="fold")
        for reason, count in list(result.rejected.items())[:_MAX_REASONS]:
            example = result.examples[reason]
            table.add_row(f"{count:,}", Text(reason), Text(f"{example.place}: {example.detail}"))
        console.print(table)
        console.print()
    columns = Table(title="Columns", title_justify="left", box=None)
    for heading in ("column", "holds"):
        columns.add_column(heading)
    columns.add_column("null rows", justify="right")
    for name, kind in result.columns.items():
        columns.add_row(Text(name), kind.value, f"{result.nulls[name]:,}" if result.nulls[name] else "")
    console.print(columns)
    console.print()
    for note in _notes(result):
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    rejected = sum(result.rejected.values())
    became = f", as {result.rows:,} rows" if result.rows != result.imported else ""
    console.print(
        f"{result.records:,} records = {result.imported:,} imported{became} + {rejected:,} rejected; "
        f"{result.files:,} Parquet {'file' if result.files == 1 else 'files'}"
    )
    roles = ", ".join(f"{role}: {role}" for role in _ROLES if role in result.columns)
    console.print(
        Text(f"Corpus  {result.uri}\nSpec    corpus: {{uri: {result.uri}, columns: {{{roles}}}}}"), soft_wrap=True
    )


def _notes(result: ImportResult) -> Iterator[str]:
    if result.duplicates.rows:
        examples = ", ".join(result.duplicates.examples)
        yield (
            f"{result.duplicates.rows:,} rows have an id that a row before them has (such as {examples}); comparing "
            "runs row by row needs ids that differ: map another path, or say --id row"
        )
    if result.left_out:
        shown = ", ".join(result.left_out[:10])
        yield f"nested fields were left out: {shown}; --keep all keeps them as JSON text"
    if result.renamed:
        yield "renamed, as the name was taken: " + ", ".join(f"{old} to {new}" for old, new in result.renamed.items())
    if result.nan_as_null:
        yield f"{result.nan_as_null:,} NaN or infinite numbers were read as null"


def _options(
    mapping: list[str],
    preset: str | None,
    reading: ReadingOptions,
    *,
    keep: str | None,
    **others: Any,
) -> ImportOptions:
    from halluc_ray.corpora.importing import ImportOptions
    from halluc_ray.corpora.importing.mapping import parse_mapping
    from halluc_ray.corpora.importing.presets import preset as preset_of

    if mapping and preset:
        raise SpecError("--map and --preset exclude each other; leave one out")
    mapper = preset_of(preset) if preset else parse_mapping(mapping)
    described = f"preset {preset}" if preset else ",".join(mapping)
    chosen: Any = keep or ("none" if preset else "scalars")
    if chosen not in ("scalars", "all", "none"):
        chosen = frozenset(name.strip() for name in chosen.split(",") if name.strip())
    return ImportOptions(mapper, described, reading, keep=chosen, **others)


def _format(name: str | None) -> Any:
    from halluc_ray.corpora.importing.sources import FORMATS

    if name is not None and name not in FORMATS:
        raise SpecError(f"--format {name!r} is not known; there are {', '.join(FORMATS)}")
    return name


def _nan_as_null(nan: str | None, preset: str | None) -> bool:
    if nan not in (None, "reject", "null"):
        raise SpecError(f"--nan {nan!r} is not known; there are reject and null")
    return nan == "null" or (nan is None and preset is not None)


def _command(source: str, out: str | None) -> str:
    return f"halluc-ray import {shlex.quote(source)} {shlex.quote(out) if out else 'OUT'}"


@contextmanager
def _shown_progress(console: Console) -> Iterator[Callable[[ImportProgress], None]]:
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


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_NO_TERMINAL)

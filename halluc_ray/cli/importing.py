"""`halluc-ray import`: its options, and what they mean to the import.

Knows the command line; the import itself is `halluc_ray.corpora.importing`, what is shown `import_tables`.
Registered by `app`.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from halluc_ray.cli.exits import BAD_INPUT, DONE, TOO_MANY_FAILED, exits, interruptible
from halluc_ray.cli.import_tables import print_look, print_result, shown_progress
from halluc_ray.errors import SpecError

if TYPE_CHECKING:
    from halluc_ray.corpora.importing import ImportOptions, ImportResult
    from halluc_ray.corpora.importing.reading import ReadingOptions

_WIDTH_OF_NO_TERMINAL = 120

Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="File, folder, glob, s3:// URI, saved dataset or hub id (hf://owner/name)."),
]
Out = Annotated[str | None, typer.Argument(metavar="[OUT]", help="A new folder or s3://bucket/prefix for the corpus.")]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=EXPR,...", help="What becomes which column; may be repeated."),
]
Preset = Annotated[str | None, typer.Option(help="Samples of another harness: lm-eval or lighteval.")]
Id = Annotated[str | None, typer.Option("--id", metavar="row", help="row: ids from file name and row number.")]
Keep = Annotated[
    str | None,
    typer.Option(help="Unmapped fields to keep: scalars (default), all (nested ones as JSON text), none, or a,b,c."),
]
Format = Annotated[str | None, typer.Option(help="jsonl, json, csv, tsv, parquet or arrow, where names do not tell.")]
Delimiter = Annotated[str | None, typer.Option(help="Of CSV; detected by default.")]
Encoding = Annotated[str, typer.Option(help="Of text files, such as cp1252, gb18030 or utf-16.")]
Records = Annotated[str | None, typer.Option(help="Where a JSON object holds its list of records, such as data.items.")]
Split = Annotated[str | None, typer.Option(help="Split of a saved or hub dataset.")]
Config = Annotated[str | None, typer.Option(help="Configuration of a hub dataset.")]
Nan = Annotated[str | None, typer.Option(help="NaN in JSON: reject (default; null with a preset) or null.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Records to read.")]
MaxRejected = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share of rejected records above which the exit code is 3.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier import.")]


def import_command(
    source: Source,
    out: Out = None,
    mapping: Map = None,
    preset: Preset = None,
    id: Id = None,
    keep: Keep = None,
    format: Format = None,
    delimiter: Delimiter = None,
    encoding: Encoding = "utf-8",
    records: Records = None,
    split: Split = None,
    config: Config = None,
    nan: Nan = None,
    limit: Limit = None,
    max_rejected: MaxRejected = 0.01,
    overwrite: Overwrite = False,
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

        reading = ReadingOptions(
            format=_format(format),
            delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter),
            encoding=encoding,
            records=records,
            split=split,
            config=config,
            nan_as_null=_nan_as_null(nan, preset),
        )
        if not mapping and preset is None:
            print_look(_console(), look_at(source, reading), command=_command(source, out))
            raise typer.Exit(BAD_INPUT)
        if out is None:
            raise SpecError("OUT is missing: a new folder or s3://bucket/prefix for the corpus")
        options = _options(mapping or [], preset, reading, id=id, keep=keep, limit=limit, overwrite=overwrite)
        with interruptible("Interrupted: no corpus was written; run it again."), shown_progress(_console()) as show:
            result = import_corpus(source, out, options, on_progress=show)
        print_result(_console(), result)
        raise typer.Exit(_code(result, max_rejected))


def _code(result: ImportResult, max_rejected: float) -> int:
    if result.rejected_share <= max_rejected:
        return DONE
    typer.echo(
        f"error: {result.rejected_share * 100:.3g} % of the records were rejected, --max-rejected allows "
        f"{max_rejected * 100:.3g} %; the corpus was written, and {result.uri}/_rejected.jsonl says why",
        err=True,
    )
    return TOO_MANY_FAILED


def _options(
    mapping: list[str],
    preset: str | None,
    reading: ReadingOptions,
    *,
    id: str | None,
    keep: str | None,
    **others: Any,
) -> ImportOptions:
    from halluc_ray.corpora.importing import ImportOptions
    from halluc_ray.corpora.importing.mapping import parse_mapping
    from halluc_ray.corpora.importing.presets import preset as preset_of

    if id not in (None, "row"):
        raise SpecError(f"--id {id!r}: only `row` is known; a path is mapped with --map id={id}")
    if mapping and preset:
        raise SpecError("--map and --preset exclude each other; leave one out")
    mapper = preset_of(preset) if preset else parse_mapping(mapping)
    described = f"preset {preset}" if preset else ",".join(mapping)
    chosen: Any = keep or ("none" if preset else "scalars")
    if chosen not in ("scalars", "all", "none"):
        chosen = frozenset(name.strip() for name in chosen.split(",") if name.strip())
    return ImportOptions(mapper, described, reading, id_from_row=id == "row", keep=chosen, **others)


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


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_NO_TERMINAL)

"""What a run, a plan or a look at samples prints.

Knows report.json's and the plan's fields; computes nothing that is not in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pyarrow as pa

    from halluc_ray.evaluation import Evaluation, Planned

_MAX_CELLS = 30
_MAX_CHARACTERS = 160


def print_evaluation(console: Console, done: Evaluation) -> None:
    """Rates overall and by the first slice, warnings, and where the report lies."""
    report = done.report
    rates: list[Mapping[str, Any]] = report["rates"]
    console.print(_rate_table("Hallucination rate", [rate for rate in rates if not rate["slice"]]))
    sliced = next((tuple(rate["slice"]) for rate in rates if rate["slice"]), None)
    if sliced is not None:
        cells = [rate for rate in rates if tuple(rate["slice"]) == sliced]
        console.print(_rate_table(f"By {', '.join(sliced)}", cells[:_MAX_CELLS]))
        if len(cells) > _MAX_CELLS:
            console.print(f"{len(cells) - _MAX_CELLS} more cells are in the report.")
    for warning in report.get("warnings", ()):
        console.print(Text(f"note: {warning}", style="yellow"))
    if not done.shards_computed:
        console.print(f"Nothing to compute: all {done.shards:,} shards were committed before.")
    else:
        before = done.shards - done.shards_computed
        kept = f"; {before:,} were committed before" if before else ""
        console.print(f"{done.shards_computed:,} of {done.shards:,} shards computed{kept}.")
    console.print(Text(f"Run     {done.run_uri}\nReport  {done.report_html_uri}"), soft_wrap=True)


def print_plan(console: Console, planned: Planned) -> None:
    """Stages with what is done and what is to do, and how the corpus will be read."""
    table = Table(title="Plan", title_justify="left", box=None)
    for heading in ("system", "stage", "what"):
        table.add_column(heading)
    for heading in ("shards", "done", "rows to do", "tokens to do"):
        table.add_column(heading, justify="right")
    for stage in planned.stages:
        numbers = (stage.shards, stage.done, stage.rows_to_do, stage.estimated_tokens)
        names = (stage.system, stage.stage.split("-")[0], stage.what)
        table.add_row(*(Text(name) for name in names), *(f"{number:,}" for number in numbers))
    console.print(table)
    console.print(
        f"{planned.files:,} files, {planned.corpus_rows:,} rows; read amplification {planned.read_amplification:.2f}"
    )
    for note in planned.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    console.print(Text(f"Run     {planned.run_uri}"), soft_wrap=True)


def print_samples(console: Console, rows: pa.Table) -> None:
    """One block per row: names and values, long texts cut."""
    for position, row in enumerate(rows.to_pylist()):
        if position:
            console.print()
        table = Table.grid(padding=(0, 2))
        for name, value in row.items():
            if value is not None:
                table.add_row(Text(name, style="bold"), Text(_shortened(str(value))))
        console.print(table)
    console.print(f"{rows.num_rows} rows" if rows.num_rows != 1 else "1 row")


def _rate_table(title: str, rates: Sequence[Mapping[str, Any]]) -> Table:
    confidence = f"{rates[0]['confidence'] * 100:g} % interval" if rates else "interval"
    columns = tuple(rates[0]["slice"]) if rates else ()
    table = Table(title=title, title_justify="left", box=None)
    for heading in (*columns, "system", "indicator"):
        table.add_column(heading, overflow="fold")
    for heading in ("rows", "rate", confidence, "answered"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rate in rates:
        names = (*(str(rate["slice"][column]) for column in columns), rate["system"], rate["indicator"])
        interval = f"{_percent(rate['low'])} to {_percent(rate['high'])}" if rate["rate"] is not None else ""
        numbers = (f"{rate['rows']:,}", _percent(rate["rate"]), interval, _percent(rate["answered_share"]))
        table.add_row(*(Text(name) for name in names), *numbers)
    return table


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{share * 100:.1f} %"


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_CHARACTERS else f"{flat[: _MAX_CHARACTERS - 1]}…"

"""What a run, a plan or a look at samples prints.

Knows report.json's and the plan's fields; computes nothing that is not in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from halluc_ray.records import OUTCOMES

if TYPE_CHECKING:
    import pyarrow as pa

    from halluc_ray.evaluation import Evaluation, Planned

_LEFT_OUT_BY = {"where": "where", "where_null": "where (it is null)", "sample": "sample", "limit": "limit"}
_MAX_CELLS = 30
_MAX_REASONS = 5
_MAX_CHARACTERS = 160
_PLACE = frozenset({"file", "row", "draw"})
_OFFSETS = ("_span_start", "_span_stop")
_TEXTS_FIRST = ("system", "id", "prompt", "context", "reference", "response")


def print_evaluation(console: Console, done: Evaluation) -> None:
    """Rates and means overall, rates by the first slice, warnings, and where the report lies."""
    report = done.report
    rates: list[Mapping[str, Any]] = report["rates"]
    console.print(_rate_table(_measure(report), [rate for rate in rates if not rate["slice"]]))
    if means := [mean for mean in report["summaries"] if not mean["slice"]]:
        console.print()
        console.print(_mean_table(means))
    slices = list(dict.fromkeys(tuple(rate["slice"]) for rate in rates if rate["slice"]))
    if slices:
        cells = _by_cell([rate for rate in rates if tuple(rate["slice"]) == slices[0]])
        console.print()
        console.print(_rate_table(f"By {', '.join(slices[0])}", cells[:_MAX_CELLS]))
        if len(cells) > _MAX_CELLS:
            console.print(f"{len(cells) - _MAX_CELLS} more cells are in the report.")
    if others := slices[1:]:
        console.print(f"Also in the report: by {'; by '.join(', '.join(names) for names in others)}.")
    console.print()
    for warning in report.get("warnings", ()):
        console.print(Text(f"note: {warning}", style="yellow"))
    if not done.shards_computed:
        which = "the one shard was" if done.shards == 1 else f"all {done.shards:,} shards were"
        console.print(f"Nothing to compute: {which} committed before.")
    else:
        before = done.shards - done.shards_computed
        kept = f"; {before:,} were committed before" if before else ""
        console.print(f"{done.shards_computed:,} of {_counted(done.shards, 'shard')} computed{kept}.")
    for system, cost in done.cost.items():
        console.print(Text(f"{system} cost {cost:,.6g} by its prices per token."))
    console.print(Text(f"Run     {done.run_uri}\nReport  {done.report_html_uri}"), soft_wrap=True)


def too_many_failed_message(done: Evaluation) -> str:
    """How many rows failed and why, what was allowed, and how to look at them."""
    reasons: Counter[str] = Counter()
    for system in done.result.systems:
        reasons.update(system.failures)
    why = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons.most_common(_MAX_REASONS))
    share, allowed = (f"{value * 100:.4g} %" for value in (done.result.failed_share, done.result.max_failed))
    return (
        f"{share} of the rows failed, max_failed allows {allowed}; reasons: {why or 'see the report'}; look at them "
        f"with: halluc-ray samples {done.run_uri} --where 'failure IS NOT NULL'; where they may fail, "
        "raise max_failed, or leave them out by corpus.where"
    )


def no_rows_message(done: Evaluation) -> str:
    """That nothing was evaluated, and what left the rows out."""
    corpus = done.result.corpus
    why = "; ".join(
        f"{_counted(rows, 'row')} by corpus.{_LEFT_OUT_BY[name]}" for name, rows in corpus.left_out.items() if rows
    )
    return (
        f"no row was evaluated: the corpus has {_counted(corpus.rows, 'row')}{f', left out are {why}' if why else ''}; "
        "the report says nothing about the systems; look at the conditions of the corpus"
    )


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
    corpus = f"{_counted(planned.files, 'file')}, {_counted(planned.corpus_rows, 'row')}"
    console.print(f"{corpus}; read amplification {planned.read_amplification:.2f}")
    for note in planned.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    console.print(Text(f"Run     {planned.run_uri}"), soft_wrap=True)


def print_samples(console: Console, rows: pa.Table, *, limit: int) -> None:
    """One block per row: where it is, texts, then outcomes with their evidence; long texts cut."""
    names = [name for name in rows.column_names if not name.endswith(_OFFSETS) and name not in _PLACE]
    shown = [name for name in _TEXTS_FIRST if name in names] + [name for name in names if name not in _TEXTS_FIRST]
    for row in rows.to_pylist():
        console.print(Text(f"row {row['row']:,} of file {row['file'][:12]}, draw {row['draw']}", style="dim"))
        table = Table.grid(padding=(0, 2))
        for name in shown:
            if row[name] is not None:
                table.add_row(Text(name, style="bold"), Text(_shortened(str(row[name]))))
        console.print(table)
        console.print()
    more = "; there may be more: raise --limit" if rows.num_rows == limit else ""
    if not rows.num_rows:
        more = f"; an outcome is one of {', '.join(outcome.label for outcome in OUTCOMES)}"
    console.print(f"{_counted(rows.num_rows, 'row')}{more}", soft_wrap=True)


def _measure(report: Mapping[str, Any]) -> str:
    """What the rate is of, as the page says it: a plain classifier's is an error rate."""
    classifiers = all(system["kind"] == "sequence-classification" for system in report["systems"])
    labels = all(indicator["kind"] == "label_mismatch" for indicator in report["indicators"])
    return "Error rate" if classifiers and labels else "Hallucination rate"


def _by_cell(rates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Cell by cell, so that the systems to compare stand below each other."""
    cells = [tuple(rate["slice"].values()) for rate in rates]
    place = {cell: position for position, cell in reversed(list(enumerate(cells)))}
    return sorted(rates, key=lambda rate: (place[tuple(rate["slice"].values())], rate["indicator"]))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _rate_table(title: str, rates: Sequence[Mapping[str, Any]]) -> Table:
    confidence = f"{rates[0]['confidence'] * 100:g} % interval" if rates else "interval"
    columns = tuple(rates[0]["slice"]) if rates else ()
    table = Table(title=title, title_justify="left", box=None)
    for heading in (*columns, "system", "indicator"):
        table.add_column(heading, overflow="fold")
    for heading in ("rows", "rate", confidence, "answered"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rate in rates:
        names = (*(_cell(rate["slice"][column]) for column in columns), rate["system"], rate["indicator"])
        interval = f"{_percent(rate['low'])} to {_percent(rate['high'])}" if rate["rate"] is not None else ""
        numbers = (f"{rate['rows']:,}", _percent(rate["rate"]), interval, _percent(rate["answered_share"]))
        table.add_row(*(Text(name) for name in names), *numbers)
    return table


def _mean_table(means: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Means", title_justify="left", box=None)
    for heading in ("system", "summary"):
        table.add_column(heading, overflow="fold")
    for heading in ("rows", "mean"):
        table.add_column(heading, justify="right", no_wrap=True)
    for mean in means:
        value = "undefined" if mean["mean"] is None else f"{mean['mean']:.4g}"
        table.add_row(Text(mean["system"]), Text(mean["name"]), f"{mean['rows']:,}", value)
    return table


def _cell(value: Any) -> str:
    return "(null)" if value is None else str(value)


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{share * 100:.1f} %"


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_CHARACTERS else f"{flat[: _MAX_CHARACTERS - 1]}…"

"""The dashboard of a living run: how far it is, what it finds, what holds it up.

Reads what a run shows through Ray. Called by the script of the dashboards.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models import units

from infra.monitoring.dashboards.frame import begin, choice
from infra.monitoring.dashboards.panels import Look, Query, lines, number

_SYSTEM = 'system=~"$system"'
_RATE = f'{_SYSTEM}, indicator=~"$indicator"'
_SMALL = 4
_DRIVER = "max by (run_id)"
"""A resumed run has one run_id and, for a while, the series of two drivers."""


def run_dashboard(*, runbook: str) -> Dashboard:
    """The dashboard.

    Args:
        runbook: address of the published docs/operations.md.
    """
    about = "One evaluation while it runs. The numbers to quote are in its report."
    board = begin("halluc-ray-run", "halluc_ray / run", about, since="now-1h", refresh="10s", runbook=runbook)
    runs = "label_values(ray_halluc_ray_rows_planned, run_id)"
    board = board.with_variable(choice("run_id", "The run; `halluc-ray status` names it", values=runs, many=False))
    for label in ("system", "indicator"):
        values = f'label_values(ray_halluc_ray_units{{run_id="$run_id"}}, {label})'
        board = board.with_variable(choice(label, f"Each {label} of the run", values=values, many=True))
    _progress(board.with_row(Row("Progress")))
    _findings(board.with_row(Row("What it finds")))
    _engine(board.with_row(Row("Models and queue")))
    _trouble(board.with_row(Row("Trouble")))
    return board


def _series(name: str, labels: str = "") -> str:
    return f'ray_halluc_ray_{name}{{run_id="$run_id"{", " if labels else ""}{labels}}}'


def _latest(name: str) -> str:
    return f"{_DRIVER} ({_series(name)})"


def _units(outcomes: str = "", *, by: str = "") -> str:
    """Units by the labels, or all of them, of one driver."""
    labels = f'{_RATE}, outcome=~"{outcomes}"' if outcomes else _RATE
    return f"sum {f'by ({by}) ' if by else ''}(max by (system, indicator, outcome) ({_series('units', labels)}))"


def _progress(board: Dashboard) -> None:
    done = f"{_latest('rows_done')} / {_latest('rows_planned')}"
    left = f"({_latest('rows_planned')} - {_latest('rows_done')}) / ({_latest('rows_per_second')} > 0)"
    share = Look(units.PercentUnit, _SMALL, 5, decimals=1)
    board.with_panel(number("Done", "Share of the corpus rows that are done in all stages", Query(done), look=share))
    text = "Rows that are left over the pace of this command; nothing where it stands still"
    board.with_panel(number("Time left", text, Query(left), look=Look(units.DurationSeconds, _SMALL, 5)))
    pace = Look(units.RowsPerSecond, _SMALL, 5, alert="EvaluationStalled")
    board.with_panel(number("Pace", "Rows per second of this command", Query(_latest("rows_per_second")), look=pace))
    few = Look(units.Short, _SMALL, 5)
    board.with_panel(number("Actors", "Actors that sit and take work", Query(_latest("actors")), look=few))
    up = Look(units.Short, _SMALL, 5, red_from=1, alert="EvaluationGaveUpShards")
    text = "Shards given up; the run has no report until they are done"
    board.with_panel(number("Shards given up", text, Query(_latest("shards_failed")), look=up))
    lost = f"{_units('failed')} / ({_units()} > 0)"
    text = "Units that failed, over all units so far"
    bad = Look(units.PercentUnit, _SMALL, 5, red_from=0.01, decimals=2, alert="EvaluationFailedRows")
    board.with_panel(number("Failed", text, Query(lost), look=bad))
    rows = (Query(_latest("rows_done"), "done"), Query(_latest("rows_planned"), "planned"))
    board.with_panel(lines("Rows", "Corpus rows done, and planned", *rows, look=Look(width=12)))
    shards = (Query(_latest("shards_done"), "done"), Query(_latest("shards_failed"), "given up"))
    text = "Shards committed in all their stages, and given up"
    board.with_panel(lines("Shards", text, *shards, look=Look(width=12, alert="EvaluationStalled")))


def _findings(board: Dashboard) -> None:
    pairs = "system, indicator"
    rate = f"{_units('hallucinated', by=pairs)} / ({_units('hallucinated|supported', by=pairs)} > 0)"
    name = "{{system}} · {{indicator}}"
    text = "Hallucinated over defined units so far. It settles as shards come in; early shards may not be like the rest"
    look = Look(units.PercentUnit, 12)
    board.with_panel(lines("Hallucination rate so far", text, Query(rate, name), look=look))
    text = "Units so far: the six outcomes add up to the rows"
    by_outcome = Query(_units(by="outcome"), "{{outcome}}")
    board.with_panel(lines("Outcomes", text, by_outcome, look=look, stacked=True, share=True))


def _engine(board: Dashboard) -> None:
    tokens = f"sum by (system, direction) (rate({_series('tokens_total', _SYSTEM)}[$__rate_interval]))"
    text = "Tokens read (input) and written (output) per second, of answers that were committed"
    board.with_panel(
        lines(
            "Tokens",
            text,
            Query(tokens, "{{system}} {{direction}}"),
            look=Look(units.CountsPerSecond, nothing="No tokens: answers that were recorded, or classes"),
        )
    )
    text = (
        "Share of the actors' last minute that was inside the model; the rest is reading, scoring, publishing, waiting"
    )
    busy = Query(_latest("model_busy_share"), "busy")
    board.with_panel(lines("Model busy", text, busy, look=Look(units.PercentUnit), share=True))
    queue = (Query(_latest("queue_depth"), "waiting"), Query(_latest("tasks_in_flight"), "with an actor"))
    text = "Tasks that no actor holds, and that one holds. Nothing waiting and few held: more actors would not help"
    board.with_panel(lines("Queue", text, *queue, look=Look(), stacked=True))


def _trouble(board: Dashboard) -> None:
    retries = Query(f"sum by (budget) ({_series('retries_total')})", "{{budget}}")
    text = (
        "Tasks tried again by this command: `task` is the shard's own fault, `infra` that of actors, nodes and stores"
    )
    board.with_panel(
        lines("Retries", text, retries, look=Look(alert="EvaluationRetryStorm", nothing="None"), steps=True)
    )
    errors = Query(f"sum by (kind) ({_series('store_errors_total')})", "{{kind}}")
    text = "Tasks of this command that failed at the store, by kind of error"
    board.with_panel(
        lines("Store errors", text, errors, look=Look(alert="EvaluationStoreErrors", nothing="None"), steps=True)
    )
    splits = Query(f"sum by (system) ({_series('memory_splits_total')})", "{{system}}")
    text = (
        "Batches halved because memory ran out; a lower token budget avoids them, and the same batches come each night"
    )
    board.with_panel(lines("Memory splits", text, splits, look=Look(nothing="None"), steps=True))
    buckets = f"sum by (le) (rate({_series('commit_seconds_bucket')}[$__rate_interval]))"
    quantiles = [
        Query(f"histogram_quantile({q}, {buckets})", name)
        for q, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
    ]
    text = "Seconds to publish one stage of a shard, parts and marker: the store's speed"
    board.with_panel(lines("Commit latency", text, *quantiles, look=Look(units.Seconds, 10)))
    memory = Query(f"max by (actor) ({_series('gpu_memory_bytes')})", "{{actor}}")
    text = "Most GPU memory that each actor's model has held; nothing on CPUs"
    board.with_panel(lines("GPU memory", text, memory, look=Look(units.BytesIEC, 10, nothing="No GPU")))
    left_out = Query(f"max by (what) ({_series('left_out')})", "{{what}}")
    text = "Things that have no series because there are too many"
    board.with_panel(number("Left out", text, left_out, look=Look(width=_SMALL, orange_from=1)))

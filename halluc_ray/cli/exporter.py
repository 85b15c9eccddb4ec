"""`halluc-ray exporter`: serve or write what a store's nights and runs say, for Prometheus.

Called by `app`.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from halluc_ray.cli.exits import DONE, INCOMPLETE, exits
from halluc_ray.errors import InputError, SpecError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from halluc_ray.suites.exporter import Exporter


def exporter(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Root of runs and suites: a folder or an s3:// URI.")],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve /metrics here until stopped; 0: a free port.")
    ] = None,
    textfile: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write OpenMetrics once, for a node exporter: a .prom file.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to serve on; 0.0.0.0: all of this machine's.")] = "127.0.0.1",
    every: Annotated[float, typer.Option(min=1, help="Read the store at most once in so many seconds.")] = 60.0,
    runs: Annotated[int, typer.Option(min=0, max=500, help="Last finished runs to show, beside the nights.")] = 20,
    suite: Annotated[
        list[str] | None, typer.Option(metavar="SUITE", help="Suite file: its schedule and prices; may be repeated.")
    ] = None,
) -> None:
    """Show nights and runs of a store to Prometheus: rates, outcomes, gates, times, cost. Reads only.

    [bold]Examples[/bold]

    halluc-ray exporter s3://evals/out --port 9750 --suite s3://evals/suites/qa.yaml

    halluc-ray exporter ./out --textfile /var/lib/node_exporter/halluc_ray.prom
    """
    with exits():
        if (port is None) == (textfile is None):
            raise SpecError("give one of --port (serve) and --textfile (write once)")
        from prometheus_client import CollectorRegistry

        from halluc_ray.storage import open_store
        from halluc_ray.suites.exporter import Exporter
        from halluc_ray.suites.reading import read_suite

        suites = [read_suite(location) for location in suite or ()]
        shown = Exporter(open_store(store), suites=suites, runs=runs)
        registry = CollectorRegistry()
        registry.register(shown)
        if textfile is not None:
            raise typer.Exit(_write(shown, registry, textfile, store=store))
        _serve(shown, registry, host=host, port=port or 0, every=every, store=store)


def _write(shown: Exporter, registry: CollectorRegistry, path: Path, *, store: str) -> int:
    """Write the file, also where the store could not be listed: it then says so."""
    from prometheus_client.openmetrics.exposition import generate_latest

    trouble = shown.refresh()
    beside = path.with_name(f".{path.name}.tmp")
    try:
        beside.write_bytes(generate_latest(registry))  # type: ignore[no-untyped-call]
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path} can't be written ({error.strerror}); give --textfile a path that can") from None
    if trouble is not None:
        typer.echo(f"error: {trouble}", err=True)
        return INCOMPLETE
    if shown.is_empty:
        typer.echo(f"warning: {_nothing_in(store)}", err=True)
    return DONE


def _serve(shown: Exporter, registry: CollectorRegistry, *, host: str, port: int, every: float, store: str) -> None:
    """Answer scrapes from the last reading, and read again, until SIGINT or SIGTERM."""
    from prometheus_client import start_http_server

    stop = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        stop.set()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, end)
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise InputError(
            f"{host}:{port} can't be served on ({error.strerror}); give another --port, or 0 for a free one"
        ) from None
    typer.echo(f"http://{host}:{server.server_port}/metrics")
    told = ""
    while not stop.is_set():
        trouble = str(shown.refresh() or (_nothing_in(store) if shown.is_empty else ""))
        if trouble and trouble != told:
            typer.echo(f"warning: {trouble}", err=True)
        told = trouble
        stop.wait(every)
    server.shutdown()
    server.server_close()


def _nothing_in(store: str) -> str:
    return f"{store} holds no night and no finished run yet; is it the `output` of the suite?"

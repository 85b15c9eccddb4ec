"""`halluc-ray site`: the pages of a suite, from what its store holds.

Knows the command line and how far it is told; makes no page. Registered in `app`; `nightly` calls
`render_after_night`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from halluc_ray.cli.exits import exits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from halluc_ray.suites.nights import Night
    from halluc_ray.suites.suite import Suite

_GONE_SHOWN = 10


def site(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="YAML file: a path or an s3:// URI.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the site there; default: into the suite's output.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the suite, such as publish.samples=none."),
    ] = None,
) -> None:
    """Make the pages of a suite that are missing or out of date: runs, comparisons, trend, list of suites.

    [bold]Examples[/bold]

    halluc-ray site examples/nightly.yaml

    halluc-ray site s3://evals/suites/qa.yaml --out ./site-of-qa --set publish.samples=none
    """
    with exits():
        from halluc_ray.storage import open_store
        from halluc_ray.suites.reading import read_suite
        from halluc_ray.suites.site.rendering import render_site

        read = read_suite(suite, overrides=overrides or ())
        pages = open_store(str(out)) if out is not None else None
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("nights", total=None)
            done = render_site(read, pages=pages, on_page=lambda n, of: bar.update(task, completed=n, total=of))
        typer.echo(f"{done.made:,} pages made, {done.kept:,} stood already")
        if done.withdrawn:
            typer.echo(f"{done.withdrawn:,} pages held more than publish.samples allows, and were taken away")
        if not (done.made or done.kept or done.gone):
            typer.echo(f"note: suite {read.name} has no night in {read.output} yet; is that its output?", err=True)
        for reason in done.gone[:_GONE_SHOWN]:
            typer.echo(f"note: no page of {reason}", err=True)
        if len(done.gone) > _GONE_SHOWN:
            typer.echo(f"note: nor of {len(done.gone) - _GONE_SHOWN:,} more nights", err=True)
        typer.echo(f"Site  {done.uri}")


def render_after_night(suite: Suite, nights: Sequence[Night]) -> str | None:
    """Bring a suite's site up to date after a night; a site that can't be made is a warning.

    Returns:
        Where the suite's page lies; None where it was not made, or no spec has a night to show.
    """
    if not nights:
        return None
    from halluc_ray.errors import HallucRayError
    from halluc_ray.suites.site.rendering import render_nights

    try:
        done = render_nights(suite, nights)
    except HallucRayError as error:
        typer.echo(f"warning: the site is not up to date: {error}; `halluc-ray site` makes it", err=True)
        return None
    for reason in done.gone:
        typer.echo(f"warning: no page of {reason}", err=True)
    if done.withdrawn:
        typer.echo(
            f"note: {done.withdrawn:,} pages held more than publish.samples allows, and were taken away; "
            "`halluc-ray site` makes them anew",
            err=True,
        )
    return done.uri

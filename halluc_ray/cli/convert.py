"""`halluc-ray convert`: pickled weights to safetensors.

Knows the command's shape and what it prints; the work is in `models.conversion`. Registered by `app`.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from halluc_ray.cli.exits import exits


def convert(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A folder, an s3:// prefix, or a hub id.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder to make.")],
    revision: Annotated[str, typer.Option(help="Branch, tag or commit, for a hub id alone.")] = "main",
    endpoint: Annotated[str | None, typer.Option(help="Address of an S3-compatible server.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that reading and writing may take.")] = 3600,
) -> None:
    """Write a checkpoint or adapter with older .bin weights as one with safetensors.

    The pickles are read in a process of their own, and nothing but tensors is read from them.

    [bold]Example[/bold]

    halluc-ray convert ./old-model ./model
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing half done is left behind
    try:
        with exits():
            _convert(checkpoint, out, revision=revision, endpoint=endpoint, timeout=timeout)
    finally:
        signal.signal(signal.SIGTERM, before)


def _convert(checkpoint: str, out: Path, *, revision: str, endpoint: str | None, timeout: float) -> None:
    from halluc_ray.models.checkpoint_sources import open_source
    from halluc_ray.models.conversion import convert_checkpoint
    from halluc_ray.storage import open_store

    store = open_store(checkpoint, endpoint=endpoint) if checkpoint.startswith("s3://") else None
    source = open_source(checkpoint, revision=revision, store=store, where="convert", pickled=True)
    done = convert_checkpoint(source, out=out, timeout_s=timeout)
    tied = f"; {len(done.tied)} tied: {', '.join(sorted(done.tied))}" if done.tied else ""
    typer.echo(f"{done.folder}: {done.num_tensors} tensors, read back and equal{tied}")
    typer.echo(f"Files: {', '.join(done.files)}")

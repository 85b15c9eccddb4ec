"""An evaluation or a night inside a Ray job: the same, after a check that every node will see its paths.

A job's driver starts in an unpacked copy of the working directory that was submitted, and so do its
workers on other nodes. Called by `jobs.evaluate` and `jobs.nightly`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from halluc_ray.cli.exits import BAD_INPUT, exits
from halluc_ray.errors import SpecError

if TYPE_CHECKING:
    from halluc_ray.config import RunSpec

USAGE = "usage: python -m jobs.evaluate SPEC [--set KEY=VALUE]..."
NIGHTLY_USAGE = "usage: python -m jobs.nightly SUITE [--date YYYY-MM-DD] [--set KEY=VALUE]..."


def evaluate_in_job(arguments: Sequence[str]) -> int:
    """Run `SPEC [--set KEY=VALUE]...`; returns the exit code of `halluc-ray run`."""
    from halluc_ray.cli.app import run_spec
    from halluc_ray.evaluation.reading import read_spec

    location, *rest = arguments or [""]
    if not location or location.startswith("-") or len(rest) % 2 or set(rest[::2]) - {"--set"}:
        typer.echo(USAGE, err=True)
        return BAD_INPUT
    try:
        with exits():
            here = Path.cwd()
            _refuse_outside(location, here, role="the spec")
            spec = read_spec(location, overrides=rest[1::2])
            check_job_paths(spec, working_dir=here)
            return run_spec(spec)
    except typer.Exit as stop:
        return stop.exit_code


def nightly_in_job(arguments: Sequence[str]) -> int:
    """Run `SUITE [--date YYYY-MM-DD] [--set KEY=VALUE]...`; returns the exit code of `halluc-ray nightly`."""
    from halluc_ray.cli.nightly import run_suite

    location, *rest = arguments or [""]
    options, values = rest[::2], rest[1::2]
    if not location or location.startswith("-") or len(rest) % 2 or set(options) - {"--date", "--set"}:
        typer.echo(NIGHTLY_USAGE, err=True)
        return BAD_INPUT
    dates = [value for option, value in zip(options, values, strict=True) if option == "--date"]
    overrides = [value for option, value in zip(options, values, strict=True) if option == "--set"]
    here = Path.cwd()
    try:
        with exits():
            _refuse_outside(location, here, role="the suite")
            return run_suite(
                location,
                date=dates[-1] if dates else None,
                overrides=overrides,
                check=lambda spec: check_job_paths(spec, working_dir=here),
            )
    except typer.Exit as stop:
        return stop.exit_code


def check_job_paths(spec: RunSpec, *, working_dir: Path) -> None:
    """Refuse paths that the job's workers, or anybody after the job, would not see.

    Raises:
        SpecError: a local output, or a local corpus, checkpoint or adapter outside the working directory.
    """
    if _local_path(spec.output, working_dir) is not None:
        raise SpecError(
            f"output: {spec.output} is a local folder, which vanishes with the job's working directory; "
            "name an object store: s3://bucket/prefix"
        )
    _refuse_outside(spec.corpus.uri, working_dir, role="corpus.uri:")
    for position, system in enumerate(spec.systems):
        for key in ("checkpoint", "adapter"):
            named = getattr(system, key, None)
            if named is not None and _is_path(named, working_dir):
                _refuse_outside(named, working_dir, role=f"systems[{position}].{key}:")


def _refuse_outside(location: str, working_dir: Path, *, role: str) -> None:
    path = _local_path(location, working_dir)
    if path is not None and not path.is_relative_to(working_dir.resolve()):
        raise SpecError(
            f"{role} {location} lies outside the job's working directory ({working_dir}), the only folder that "
            "workers on other nodes get; put it there before you submit, or name an s3:// URI"
        )


def _local_path(location: str, working_dir: Path) -> Path | None:
    from halluc_ray.storage.uris import LocalPlace, parse_uri

    place = parse_uri(location)
    return (working_dir / place.path).resolve() if isinstance(place, LocalPlace) else None


def _is_path(checkpoint: str, working_dir: Path) -> bool:
    """A hub id has the looks of a relative path; it is one where nothing lies there."""
    return checkpoint.startswith((".", "/", "~", "file:")) or (working_dir / checkpoint).exists()

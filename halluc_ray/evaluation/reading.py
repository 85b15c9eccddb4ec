"""From what a user names to a spec or a run: local files and s3:// objects.

SPEC is a path or URI of a YAML file. RUN is a run's URI (`./out/runs/<id>`), or a SPEC, whose last
run is found by the spec's digest. Called by the command line and the Python face.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from halluc_ray.errors import ObjectMissing, SpecError

if TYPE_CHECKING:
    from halluc_ray.config import RunSpec


def read_spec(location: str, *, overrides: Sequence[str] = ()) -> RunSpec:
    """The spec at a path or s3:// URI, with overrides.

    The endpoint of an S3-compatible store comes from AWS_ENDPOINT_URL: a spec can't say where it
    lies itself.

    Raises:
        SpecError: no such file, not text, or not a valid spec.
        StoreError: the store refuses.
    """
    from halluc_ray.config import load_spec

    return load_spec(read_text(location), source=location, overrides=overrides)


def read_text(location: str, *, what: str = "spec") -> str:
    """The text of a YAML file at a path or s3:// URI.

    Args:
        location: path or URI.
        what: it should be, for messages: a spec, suite or policy.

    Raises:
        SpecError: no such file, or not text.
        StoreError: the store refuses.
    """
    data = _read_object(location, what) if location.startswith("s3://") else _read_file(location, what)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{location}: byte {error.start} is not UTF-8; a {what} is a YAML text file") from error


def read_target(run: str, *, overrides: Sequence[str] = ()) -> str | RunSpec:
    """What RUN stands for: a run's URI as it is, or the spec to find the last run of.

    Raises:
        SpecError: a spec that can't be read, or overrides on a run's URI.
    """
    if run.rstrip("/").endswith((".yaml", ".yml")) or os.path.isfile(run):  # noqa: PTH113 - Path.is_file raises on names too long
        return read_spec(run, overrides=overrides)
    if overrides:
        raise SpecError(f"--set changes a spec, but {run} is a run's URI; leave --set out")
    return run


def _read_file(location: str, what: str) -> bytes:
    path = Path(location).expanduser()
    try:
        return path.read_bytes()
    except FileNotFoundError:
        near = sorted(found.name for found in path.parent.glob("*.y*ml"))[:5]
        others = f"; in that folder: {', '.join(near)}" if near else ""
        raise SpecError(f"no {what} at {location} (current directory {Path.cwd()}){others}") from None
    except IsADirectoryError:
        raise SpecError(f"{location} is a folder; name the YAML file in it") from None
    except OSError as error:
        raise SpecError(f"{location} can't be read: {error.strerror}") from error


def _read_object(location: str, what: str) -> bytes:
    from halluc_ray.storage import open_store

    prefix, _, key = location.rpartition("/")
    try:
        return open_store(prefix).read(key)
    except ObjectMissing:
        raise SpecError(
            f"no {what} at {location}; check the key, and AWS_ENDPOINT_URL where the store isn't AWS"
        ) from None

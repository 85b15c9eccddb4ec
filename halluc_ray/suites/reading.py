"""A suite from a path or an s3:// URI. Called by the command line."""

from __future__ import annotations

from collections.abc import Sequence

from halluc_ray.evaluation.reading import read_text
from halluc_ray.suites.suite import Suite, load_suite


def read_suite(location: str, *, overrides: Sequence[str] = ()) -> Suite:
    """The suite at a path or s3:// URI, with overrides.

    Raises:
        SpecError: no such file, not text, or not a valid suite.
        StoreError: the store refuses.
    """
    return load_suite(read_text(location, what="suite"), source=location, overrides=overrides)

"""Which log lines a command writes to stderr, and how: by the environment, else by what stderr is.

`HALLUC_RAY_LOG` is debug, info, warning or error (a terminal: warning; no terminal: info);
`HALLUC_RAY_LOG_FORMAT` is json or text (a terminal: text). Called around the commands that run for long.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from halluc_ray.errors import SpecError

LEVEL, FORMAT = "HALLUC_RAY_LOG", "HALLUC_RAY_LOG_FORMAT"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@contextmanager
def logs() -> Iterator[None]:
    """Write log lines while the block lasts.

    Raises:
        SpecError: a variable holds what it can't be.
    """
    from halluc_ray.logs import lines_to

    terminal = sys.stderr.isatty()
    level = _chosen(LEVEL, tuple(_LEVELS), "warning" if terminal else "info")
    form = _chosen(FORMAT, ("json", "text"), "text" if terminal else "json")
    # JSON goes to the stream itself: a live view on stdout puts itself before stderr, whatever that is.
    stream = sys.stderr if form == "json" else None
    colors = terminal and "NO_COLOR" not in os.environ
    with lines_to(stream, form="json" if form == "json" else "text", level=_LEVELS[level], colors=colors):
        yield


def _chosen(variable: str, allowed: tuple[str, ...], default: str) -> str:
    value = os.environ.get(variable, "").strip().lower() or default
    if value not in allowed:
        raise SpecError(f"the environment variable {variable} is {value!r}; it may be {', '.join(allowed)}")
    return value

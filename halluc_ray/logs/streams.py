"""Log lines to a stream, for as long as a block lasts.

Ours from the level that is asked for, everybody else's from WARNING. Puts back what it found. Knows no
terminal and no environment; called by the command line and by actors.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from halluc_ray.logs.formats import Format, formatter

OURS = "halluc_ray"


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the moment: a live view puts itself in its place to stay whole."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """A handler's constructor sets its stream; ours is looked up."""


@contextmanager
def lines_to(stream: TextIO | None, *, form: Format, level: int, colors: bool = False) -> Iterator[None]:
    """Write log lines while the block lasts.

    Args:
        stream: to write to; None for what `sys.stderr` is whenever a line is written.
        form: of the lines.
        level: of our own lines, as in `logging`.
        colors: of `text`.
    """
    handler = logging.StreamHandler(stream) if stream is not None else _StandardError()
    handler.setFormatter(formatter(form, colors=colors))
    root, ours = logging.getLogger(), logging.getLogger(OURS)
    before = ours.level
    root.addHandler(handler)
    ours.setLevel(level)
    logging.captureWarnings(form == "json")
    try:
        yield
    finally:
        logging.captureWarnings(False)
        ours.setLevel(before)
        root.removeHandler(handler)

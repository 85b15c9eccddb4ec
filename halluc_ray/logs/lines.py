"""Log lines that travel: kept in an actor while it works, said again by the driver with the actor's name.

A line is plain values, so that it crosses processes beside a report. Knows no Ray. Called by the worker
(`LineKeeper`) and the driver (`say_again`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from structlog.stdlib import ExtraAdder

from halluc_ray.logs.streams import OURS

Line = Mapping[str, Any]

MAX_LINES = 50
"""Of one report; of more, the last ones."""
_fields_of = ExtraAdder()
_ours = logging.getLogger(OURS)


class LineKeeper(logging.Handler):
    """Keeps our own lines until they are taken. Others' stay in the actor's file: they may quote samples."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[Line] = deque(maxlen=MAX_LINES)
        self._lost = 0

    def begin(self, level: int) -> None:
        """Keep what is logged from now on, from `level`."""
        _ours.addHandler(self)
        _ours.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self._lost += len(self._lines) == MAX_LINES
        fields = dict(_fields_of(_ours, "", {"_record": record}))
        del fields["_record"]
        self._lines.append(
            {
                "name": record.name,
                "levelno": record.levelno,
                "levelname": record.levelname,
                "created": record.created,
                "msg": record.getMessage(),
                **{key: value if isinstance(value, int | float) else str(value) for key, value in fields.items()},
            }
        )

    def take(self) -> tuple[Line, ...]:
        """What was kept since the last call; with a line that counts those that found no room."""
        lines = tuple(self._lines)
        if self._lost:
            more = {"msg": "log lines left out", "lines": self._lost, "levelno": logging.WARNING}
            lines += ({**lines[-1], **more, "levelname": "WARNING"},)
        self._lines.clear()
        self._lost = 0
        return lines


def say_again(lines: Iterable[Line], **fields: str) -> None:
    """Log an actor's lines here, under their own times.

    Args:
        lines: from `LineKeeper.take`.
        fields: who said them: actor, node.
    """
    for line in lines:
        logger = logging.getLogger(line["name"])
        if logger.isEnabledFor(line["levelno"]):
            logger.handle(logging.makeLogRecord({**line, **fields}))

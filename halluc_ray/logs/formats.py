"""One log record as one line: JSON for machines, aligned words for people.

Fields are whatever a record was given as `extra`, and what `structlog.contextvars` holds (the run, the
suite). Knows no event by name and opens no stream. Called by `streams`.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal

from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level
from structlog.types import Processor

Format = Literal["json", "text"]
Event = MutableMapping[str, Any]

FIRST = ("time", "level", "event", "run", "system", "stage", "shard", "attempt", "actor", "node")
"""The order of the keys that many lines share; others follow as they were given."""
_NO_FIELDS = ("_ray_", "message", "asctime")
"""What Ray adds to every record of its processes, and what other formatters leave on one."""
MAX_CHARACTERS = 1000
MAX_TRACEBACK_CHARACTERS = 4000


def formatter(form: Format, *, colors: bool = False) -> logging.Formatter:
    """A formatter for any handler of the standard `logging`.

    Args:
        form: `json` or `text`.
        colors: of `text`, on a terminal.
    """
    # Tracebacks are plain text: the renderer's own show the values of variables, which may be samples.
    after: list[Processor] = [ProcessorFormatter.remove_processors_meta, format_exc_info, _bound, _order]
    if form == "json":
        after.append(JSONRenderer(default=str))
    else:
        after.append(
            ConsoleRenderer(
                colors=colors,
                timestamp_key="time",
                sort_keys=False,
                exception_formatter=plain_traceback,
                pad_event_to=24,
            )
        )
    before: list[Processor] = [merge_contextvars, add_log_level, ExtraAdder(), _add_origin]
    return ProcessorFormatter(foreign_pre_chain=before, processors=after)


def _add_origin(logger: Any, method: str, event: Event) -> Event:
    """When the record was made, and by whom where it is not ours."""
    record: logging.LogRecord = event["_record"]
    event["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    if not record.name.startswith("halluc_ray"):
        event["logger"] = record.name
    return event


def _bound(logger: Any, method: str, event: Event) -> Event:
    for key, value in event.items():
        most = MAX_TRACEBACK_CHARACTERS if key == "exception" else MAX_CHARACTERS
        if isinstance(value, str) and len(value) > most:
            event[key] = f"{value[: most // 2]} [...] {value[-most // 2 :]}"
    return event


def _order(logger: Any, method: str, event: Event) -> Event:
    shared = {key: event[key] for key in FIRST if key in event}
    return shared | {key: v for key, v in event.items() if key not in FIRST and not key.startswith(_NO_FIELDS)}

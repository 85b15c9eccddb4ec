"""Exit codes, and how an error reaches the person at the terminal.

0 done; 1 a fault of ours; 2 bad spec or input; 3 more failed rows than `max_failed`; 4 incomplete.
`gate` ends with 1 where the run fails and 5 where nothing can be said.
An error that the package raised on purpose is one message on stderr, never a traceback. Knows no
command; called by `app` and `job`.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

import typer

from halluc_ray.errors import ConservationError, HallucRayError, RunIncomplete

DONE, OUR_FAULT, BAD_INPUT, TOO_MANY_FAILED, INCOMPLETE = 0, 1, 2, 3, 4
GATE_FAILED, GATE_INCONCLUSIVE = 1, 5


def exit_code(error: HallucRayError) -> int:
    """The code that a command ends with when `error` reaches it."""
    if isinstance(error, ConservationError):
        return OUR_FAULT
    return INCOMPLETE if error.retryable or error.resumable else BAD_INPUT


@contextmanager
def exits() -> Iterator[None]:
    """Turn what a command raises into a message and an exit code."""
    try:
        yield
    except HallucRayError as error:
        code = exit_code(error)
        typer.echo(f"error: {error}", err=True)
        if code == INCOMPLETE and not isinstance(error, RunIncomplete):
            typer.echo("What was committed stays; the same command goes on.", err=True)
        raise typer.Exit(code) from error


@contextmanager
def resumable() -> Iterator[Callable[[], None]]:
    """Around work that commits as it goes: SIGINT and SIGTERM end it with code 4.

    Yields:
        To be called now and then: puts our SIGTERM handler back. Ray's start replaces it by one that
        prints native stack traces and aborts three seconds later, in the middle of an orderly end.
    """

    def hold() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _interrupt)

    before = signal.getsignal(signal.SIGTERM)
    hold()
    try:
        yield hold
    except (KeyboardInterrupt, SystemExit) as stop:
        signal.alarm(0)
        typer.echo("Interrupted: what was committed stays; the same command resumes.", err=True)
        raise typer.Exit(INCOMPLETE) from stop
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interruptible(told: str) -> Iterator[None]:
    """Around work that leaves nothing half done: SIGINT and SIGTERM end it with code 4, and say `told`."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        typer.echo(told, err=True)
        raise typer.Exit(INCOMPLETE) from interrupt
    finally:
        signal.signal(signal.SIGTERM, before)


def report_unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Excepthook: the traceback, and what to do with it."""
    traceback.print_exception(kind, error, trace)
    if issubclass(kind, Exception):
        typer.echo(
            "\nThis is a fault of halluc-ray, not of your input. Please report it with the lines above, the spec and "
            "the output of `halluc-ray --version`.",
            err=True,
        )


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

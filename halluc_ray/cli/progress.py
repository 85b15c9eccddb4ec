"""Progress on the terminal: a live bar where there is one, plain timed lines elsewhere.

Knows `Progress` records; does not know who makes them. Called by `app` with the run's callback.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from halluc_ray.engine.progress import Progress

LINE_EVERY_S = 5.0
LINE_EVERY_SHARE = 0.1
_MAX_RATES = 20
_MAX_RATES_IN_LINE = 4


class ProgressView(Protocol):
    """A context manager that is called with each `Progress`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, progress: Progress) -> None:
        """Show it."""


def progress_view(console: Console) -> ProgressView:
    """The view that suits the console."""
    return LiveView(console) if console.is_terminal else LineView(console)


def progress_line(progress: Progress) -> str:
    """One line: shards, rows, speed, time left, rates so far.

    >>> progress_line(Progress("r", "", 4, 1, rows=400, rows_done=100, rows_done_here=100, seconds=2.0))
    '1/4 shards  100/400 rows  50 rows/s  6 s left'
    """
    parts = [f"{progress.shards_done:,}/{progress.shards:,} shards", f"{progress.rows_done:,}/{progress.rows:,} rows"]
    if progress.shards_in_flight:
        parts.append(f"{progress.shards_in_flight:,} in flight")
    if progress.shards_failed:
        parts.append(f"{progress.shards_failed:,} failed")
    if progress.rows_per_s:
        parts.append(f"{progress.rows_per_s:,.{0 if progress.rows_per_s >= 10 else 1}f} rows/s")
    if progress.seconds_left is not None and progress.rows_done < progress.rows:
        parts.append(f"{duration(progress.seconds_left)} left")
    rates = _rates(progress)
    parts += [f"{system} {indicator} {share}" for system, indicator, share in rates[:_MAX_RATES_IN_LINE]]
    if len(rates) > _MAX_RATES_IN_LINE:
        parts.append("...")
    if progress.message:
        parts.append(progress.message)
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """A length of time as people say it.

    >>> [duration(s) for s in (4.2, 75, 7300)]
    ['4 s', '1 min 15 s', '2 h 01 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


class LineView:
    """A line every few seconds, at each tenth of the rows, and whenever the message changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._last: Progress | None = None
        self._shown: tuple[float, float, str] = (float("-inf"), 0.0, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last is not None:
            self._print(self._last)

    def __call__(self, progress: Progress) -> None:
        """Print a line if it is time for one."""
        now, share = time.monotonic(), progress.rows_done / progress.rows if progress.rows else 1.0
        at, shown_share, message = self._shown
        due = now - at >= LINE_EVERY_S or share - shown_share >= LINE_EVERY_SHARE or progress.message != message
        self._last = None if due else progress
        if due:
            self._shown = (now, share, progress.message)
            self._print(progress)

    def _print(self, progress: Progress) -> None:
        passed = time.monotonic() - self._started
        self._console.print(
            f"[{passed:7.1f} s] {progress_line(progress)}", markup=False, highlight=False, soft_wrap=True
        )


class LiveView:
    """A bar that stays in place, with the rate of each system and indicator below it."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Redraw."""
        bar = Table.grid(padding=(0, 1), expand=False)
        bar.add_row(
            ProgressBar(total=max(progress.rows, 1), completed=progress.rows_done, width=40),
            f"{progress.rows_done / progress.rows if progress.rows else 1:.0%}",
        )
        so_far = Table.grid(padding=(0, 2))
        for system, indicator, share in _rates(progress):
            so_far.add_row(Text(system), Text(indicator), share)
        self._live.update(Group(bar, Text(progress_line(replace(progress, rates={}))), so_far))


def _rates(progress: Progress) -> list[tuple[str, str, str]]:
    shown = sorted(progress.rates.items())[:_MAX_RATES]
    return [
        (system, indicator, f"{hallucinated / defined:.1%}")
        for (system, indicator), (hallucinated, defined) in shown
        if defined
    ]

"""Which share of their time actors spend inside their models, over the last minute.

An actor's time is cut where it reports: from one report to the next, waiting included. Time after its last
report counts where it has nothing to do, since then the model surely rests. Pure: time comes in as an
argument. Called by `vitals`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class _Span:
    ended_at: float
    seconds: float
    model_s: float


class Busyness:
    """Spans of all actors of a run: those of a window, and the latest one of each actor that sits."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._latest: dict[str, _Span] = {}
        self._spans: deque[_Span] = deque()

    def begin(self, actor: str, now: float) -> None:
        """The actor sits."""
        self._since[actor] = now

    def report(self, actor: str, model_s: float, now: float) -> None:
        """The actor has ended a task, of which so many seconds were inside the model."""
        seconds = now - self._since.get(actor, now)
        self._since[actor] = now
        self._latest[actor] = _Span(now, seconds, min(model_s, seconds))
        self._spans.append(self._latest[actor])
        while self._spans[0].ended_at < now - WINDOW_S:
            self._spans.popleft()

    def end(self, actor: str) -> None:
        """The actor is gone."""
        self._since.pop(actor, None)
        self._latest.pop(actor, None)

    def share(self, now: float, *, idle: Collection[str]) -> float | None:
        """The share, from 0 to 1; None before there is any time to take it of.

        Spans that ended in the last minute count, and the latest one of an actor whose task takes longer.

        Args:
            now: the time, in seconds.
            idle: actors that have nothing to do.
        """
        oldest = now - WINDOW_S
        counted = [span for span in self._spans if span.ended_at >= oldest]
        counted += [span for span in self._latest.values() if span.ended_at < oldest]
        seconds = sum(span.seconds for span in counted)
        seconds += sum(now - self._since[actor] for actor in idle if actor in self._since)
        return sum(span.model_s for span in counted) / seconds if seconds > 0 else None

"""What a watcher wants to know of a run's machinery: outcomes, tokens, actors, retries, commits, memory.

Plain state: numbers, never rows. Fed by the tally and the driver; shown by telemetry. Knows neither
Ray nor the names of metrics.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from halluc_ray.engine.busyness import Busyness
from halluc_ray.engine.context import Measured
from halluc_ray.errors import StoreError
from halluc_ray.records import OUTCOMES


@dataclass(slots=True)
class Vitals:
    """The numbers of one command; of the outcomes, earlier commands' too.

    Attributes:
        outcomes: (system, indicator) -> units by outcome, in the order of `OUTCOMES`.
        tokens: (system, `input` or `output`) -> tokens of the outputs that this command's tasks made.
        memory_splits: system -> batches halved because memory ran out.
        store_errors: class of error -> tasks that it ended.
        gpu_memory_bytes: living actor -> most GPU memory that its models have held.
        retries: budget -> tries that failed and were not the last.
        actors: that sit and take work.
        in_flight: tasks that some actor holds.
        waiting: tasks that none holds.
        unread: earlier commands' shards whose counts could not be read.
    """

    outcomes: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    memory_splits: Counter[str] = field(default_factory=Counter)
    store_errors: Counter[str] = field(default_factory=Counter)
    gpu_memory_bytes: dict[str, int] = field(default_factory=dict)
    retries: Mapping[str, int] = field(default_factory=dict)
    actors: int = 0
    in_flight: int = 0
    waiting: int = 0
    unread: int = 0
    _idle: Sequence[str] = ()
    _busyness: Busyness = field(default_factory=Busyness)
    _commit_s: list[float] = field(default_factory=list)

    def sit(self, actor: str) -> None:
        """An actor takes work from now on."""
        self._busyness.begin(actor, time.monotonic())

    def leave(self, actor: str) -> None:
        """An actor is gone."""
        self._busyness.end(actor)
        self.gpu_memory_bytes.pop(actor, None)

    def staff(self, *, actors: int, idle: Sequence[str]) -> None:
        """How many actors sit, and which of them have nothing to do."""
        self.actors, self._idle = actors, idle

    def count(self, system: str, indicator: str, units: Sequence[int]) -> None:
        """Add units by outcome, in the order of `OUTCOMES`."""
        known = self.outcomes.setdefault((system, indicator), [0] * len(OUTCOMES))
        for position, number in enumerate(units):
            known[position] += number

    def measure(self, system: str, actor: str, measured: Measured) -> None:
        """What one finished task took."""
        self._busyness.report(actor, measured.model_s, time.monotonic())
        self._commit_s.extend(measured.commit_s)
        self.tokens.update({(system, "input"): measured.input_tokens, (system, "output"): measured.output_tokens})
        self.memory_splits[system] += measured.memory_splits
        if measured.gpu_memory_bytes is not None:
            self.gpu_memory_bytes[actor] = measured.gpu_memory_bytes

    def stumble(self, error: Exception) -> None:
        """A task, or an actor's start, ended in an error."""
        if isinstance(error, StoreError):
            self.store_errors[type(error).__name__] += 1

    def model_busy_share(self) -> float | None:
        """Share of the actors' last minute that was inside their models; None before the first task."""
        return self._busyness.share(time.monotonic(), idle=self._idle)

    def take_commits(self) -> list[float]:
        """Seconds of each publication since the last call."""
        taken, self._commit_s = self._commit_s, []
        return taken

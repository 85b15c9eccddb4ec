"""A living run as Ray metrics, for Prometheus: progress, outcomes, and how its machinery does.

Named with the prefix that Ray adds (`ray_halluc_ray_...`); declared in `records.metrics`. Knows no actor
and no task: it shows what it is handed, and no trouble of its own ends a run. Called by the run's tick.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ray.util.metrics import Counter, Gauge, Histogram

from halluc_ray.engine.progress import Progress
from halluc_ray.engine.vitals import Vitals
from halluc_ray.records import OUTCOMES
from halluc_ray.records.metrics import OF_A_LIVING_RUN, Metric, bounded

MAX_RATES = 100
"""Pairs of system and indicator that are shown; a corpus column may name any number of systems."""
MAX_SYSTEMS = 100

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Metrics:
    """Instruments of one run; each call of `show` sets them."""

    def __init__(self, run_id: str) -> None:
        self._tags = {"run_id": run_id}
        self._instruments = {metric.name: _instrument(metric) for metric in OF_A_LIVING_RUN}
        self._counted: dict[tuple[str, ...], float] = {}
        self._shown: dict[str, dict[Any, None]] = {}
        self._broken = False

    def show(self, progress: Progress, vitals: Vitals) -> None:
        """Show the run as it is; after the first failure nothing any more."""
        commits = vitals.take_commits()  # also where they can't be shown: they would pile up
        if self._broken:
            return
        try:
            self._show_progress(progress)
            self._show_work(vitals)
            self._show_machinery(vitals, commits)
        except Exception as error:  # noqa: BLE001 - a run must not end because nobody can watch it
            self._broken = True
            _log.warning("metrics of run %s are shown no more: %s: %s", progress.run_id, type(error).__name__, error)

    def _show_progress(self, progress: Progress) -> None:
        self._set("halluc_ray_rows_done", progress.rows_done)
        self._set("halluc_ray_rows_planned", progress.rows)
        self._set("halluc_ray_shards_done", progress.shards_done)
        self._set("halluc_ray_shards_failed", progress.shards_failed)
        self._set("halluc_ray_rows_per_second", progress.rows_per_s)

    def _show_work(self, vitals: Vitals) -> None:
        for key in self._first("rates", vitals.outcomes, most=MAX_RATES):
            for outcome, units in zip(OUTCOMES, vitals.outcomes[key], strict=True):
                labels = {"system": key[0], "indicator": key[1], "outcome": outcome.label}
                self._set("halluc_ray_units", units, **labels)
        systems = self._first("systems", (system for system, _ in vitals.tokens), most=MAX_SYSTEMS)
        for system in systems:
            for direction in ("input", "output"):
                self._raise("halluc_ray_tokens", vitals.tokens[system, direction], system=system, direction=direction)
            self._raise("halluc_ray_memory_splits", vitals.memory_splits[system], system=system)
        self._set("halluc_ray_left_out", vitals.unread, what="earlier_shards")

    def _show_machinery(self, vitals: Vitals, commits: Sequence[float]) -> None:
        self._set("halluc_ray_actors", vitals.actors)
        self._set("halluc_ray_tasks_in_flight", vitals.in_flight)
        self._set("halluc_ray_queue_depth", vitals.waiting)
        if (share := vitals.model_busy_share()) is not None:
            self._set("halluc_ray_model_busy_share", share)
        for actor, size in vitals.gpu_memory_bytes.items():
            self._set("halluc_ray_gpu_memory_bytes", size, actor=actor)
        for budget, times in vitals.retries.items():
            self._raise("halluc_ray_retries", times, budget=budget)
        for kind, times in vitals.store_errors.items():
            self._raise("halluc_ray_store_errors", times, kind=kind)
        for seconds in commits:
            self._instruments["halluc_ray_commit_seconds"].observe(seconds, tags=self._tags)

    def _first(self, what: str, things: Iterable[T], *, most: int) -> Sequence[T]:
        """Those that came first, so that a series never gives way to another; the others are counted."""
        shown = self._shown.setdefault(what, {})
        others = 0
        for thing in dict.fromkeys(things):
            if thing in shown or len(shown) < most:
                shown[thing] = None
            else:
                others += 1
        self._set("halluc_ray_left_out", others, what=what)
        return list(shown)

    def _set(self, name: str, value: float, **labels: str) -> None:
        self._instruments[name].set(value, tags=self._tagged(labels))

    def _raise(self, name: str, total: float, **labels: str) -> None:
        """Bring a counter to a total; Ray's counters take what is added."""
        at = (name, *labels.values())
        added = total - self._counted.get(at, 0)
        if added > 0:
            self._instruments[name].inc(added, tags=self._tagged(labels))
            self._counted[at] = total

    def _tagged(self, labels: dict[str, str]) -> dict[str, str]:
        return {**self._tags, **{name: bounded(value) for name, value in labels.items()}}


def _instrument(metric: Metric) -> Any:
    match metric.kind:
        case "gauge":
            return Gauge(metric.name, metric.help, tag_keys=metric.labels)
        case "counter":
            return Counter(metric.name, metric.help, tag_keys=metric.labels)
        case "histogram":
            return Histogram(metric.name, metric.help, boundaries=list(metric.boundaries), tag_keys=metric.labels)

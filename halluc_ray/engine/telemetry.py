"""A living run as Ray metrics, for Prometheus: progress, outcomes, and how the machinery does.

Named with the prefix that Ray adds (`ray_halluc_ray_...`); declared in `records.metrics`. Knows no actor
and no task: it shows what it is handed. Called by the run's tick.
"""

from __future__ import annotations

from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from halluc_ray.engine.progress import Progress
from halluc_ray.records.metrics import OF_A_LIVING_RUN, Metric


class Metrics:
    """Instruments of one run; each call of `show` sets them."""

    def __init__(self, run_id: str) -> None:
        self._tags = {"run_id": run_id}
        self._instruments = {metric.name: _instrument(metric) for metric in OF_A_LIVING_RUN}

    def show(self, progress: Progress) -> None:
        """Set every gauge."""
        self._set("halluc_ray_rows_done", progress.rows_done)
        self._set("halluc_ray_rows_planned", progress.rows)
        self._set("halluc_ray_shards_done", progress.shards_done)
        self._set("halluc_ray_shards_failed", progress.shards_failed)
        self._set("halluc_ray_rows_per_second", progress.rows_per_s)

    def _set(self, name: str, value: float, **labels: str) -> None:
        self._instruments[name].set(value, tags={**self._tags, **labels})


def _instrument(metric: Metric) -> Any:
    match metric.kind:
        case "gauge":
            return Gauge(metric.name, metric.help, tag_keys=metric.labels)
        case "counter":
            return Counter(metric.name, metric.help, tag_keys=metric.labels)
        case "histogram":
            return Histogram(metric.name, metric.help, boundaries=list(metric.boundaries), tag_keys=metric.labels)

"""Progress as Ray metrics, for Prometheus: rows, shards, failures and hallucinations by run.

Named with the prefix that Ray adds (`ray_halluc_ray_...`); declared in `records.metrics`. Called by the
run's tick.
"""

from __future__ import annotations

from ray.util.metrics import Gauge

from halluc_ray.engine.progress import Progress
from halluc_ray.records.metrics import OF_A_LIVING_RUN


class Metrics:
    """Gauges of one run; each call of `show` sets them."""

    def __init__(self, run_id: str) -> None:
        self._tags = {"run_id": run_id}
        self._gauges = {m.name: Gauge(m.name, m.help, tag_keys=m.labels) for m in OF_A_LIVING_RUN}

    def show(self, progress: Progress) -> None:
        """Set every gauge."""
        self._set("halluc_ray_rows_done", progress.rows_done)
        self._set("halluc_ray_rows_planned", progress.rows)
        self._set("halluc_ray_shards_done", progress.shards_done)
        self._set("halluc_ray_shards_failed", progress.shards_failed)
        self._set("halluc_ray_rows_per_second", progress.rows_per_s)
        for (system, indicator), (hallucinated, defined) in progress.rates.items():
            self._set("halluc_ray_hallucinated", hallucinated, system=system, indicator=indicator)
            self._set("halluc_ray_defined", defined, system=system, indicator=indicator)

    def _set(self, name: str, value: float, **labels: str) -> None:
        self._gauges[name].set(value, tags={**self._tags, **labels})

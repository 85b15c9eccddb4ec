"""Progress as Ray metrics, for Prometheus: rows, shards, failures and hallucinations by run.

Named with the prefix that Ray adds (`ray_halluc_ray_...`). Called by the run's tick.
"""

from __future__ import annotations

from ray.util.metrics import Gauge

from halluc_ray.engine.progress import Progress


class Metrics:
    """Gauges of one run; each call of `show` sets them."""

    def __init__(self, run_id: str) -> None:
        by_run = {"tag_keys": ("run_id",)}
        by_rate = {"tag_keys": ("run_id", "system", "indicator")}
        self._tags = {"run_id": run_id}
        self._rows = Gauge("halluc_ray_rows_done", "Corpus rows done", **by_run)
        self._planned = Gauge("halluc_ray_rows_planned", "Corpus rows planned", **by_run)
        self._shards = Gauge("halluc_ray_shards_done", "Shards committed in all their stages", **by_run)
        self._failed = Gauge("halluc_ray_shards_failed", "Shards given up", **by_run)
        self._rows_per_s = Gauge("halluc_ray_rows_per_second", "Rows per second of this command", **by_run)
        self._hallucinated = Gauge("halluc_ray_hallucinated", "Hallucinated units so far", **by_rate)
        self._defined = Gauge("halluc_ray_defined", "Units with a verdict so far", **by_rate)

    def show(self, progress: Progress) -> None:
        """Set every gauge."""
        self._rows.set(progress.rows_done, tags=self._tags)
        self._planned.set(progress.rows, tags=self._tags)
        self._shards.set(progress.shards_done, tags=self._tags)
        self._failed.set(progress.shards_failed, tags=self._tags)
        self._rows_per_s.set(progress.rows_per_s, tags=self._tags)
        for (system, indicator), (hallucinated, defined) in progress.rates.items():
            tags = {**self._tags, "system": system, "indicator": indicator}
            self._hallucinated.set(hallucinated, tags=tags)
            self._defined.set(defined, tags=tags)

"""Samples of declared metrics: no label without a bound, no series twice.

Knows metrics and the client library's families; not where values come from. Called by the exporter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family

from halluc_ray.records.metrics import Metric, bounded

T = TypeVar("T")


class Series:
    """Values by metric and labels, in the order of the table that declares them.

    Args:
        declared: the metrics that may be set.
    """

    def __init__(self, declared: Iterable[Metric]) -> None:
        self._declared = {metric.name: metric for metric in declared}
        self._values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in self._declared}
        self.left_out: Counter[str] = Counter()

    def set(self, name: str, value: float | None, **labels: str) -> None:
        """Give a series its value; None gives none, and the first value of a series stands."""
        metric = self._declared[name]
        if value is not None:
            at = tuple(bounded(labels.pop(label)) for label in metric.labels)
            self._values[name].setdefault(at, float(value))

    def first(self, what: str, things: Sequence[T], *, most: int) -> Sequence[T]:
        """The first things; the others are counted as left out."""
        self.left_out[what] += max(0, len(things) - most)
        return things[:most]

    def families(self) -> list[Family]:
        """What the client library writes; metrics without a value are left out."""
        return [
            self._family(metric, self._values[name]) for name, metric in self._declared.items() if self._values[name]
        ]

    def _family(self, metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family

"""Every metric that the package shows to Prometheus, declared once: name, kind, labels, help.

Two groups: what a living run shows through Ray, which puts `ray_` before each name, and what is read
from a store long after a run's cluster is gone. Says what a label may hold; knows no value and no client
library. Callers: the engine's telemetry, the exporter; tests hold alert rules and documentation against
these tables.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

MAX_LABEL_CHARACTERS = 100
_DIGEST_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class Metric:
    """One declared metric.

    Attributes:
        name: as the code spells it; a counter's without `_total`, a histogram's without `_bucket`.
        labels: names, in order.
        help: one sentence, with the unit where there is one.
        boundaries: upper ends of a histogram's buckets.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter", "histogram"] = "gauge"
    boundaries: tuple[float, ...] = ()


_RUN = ("run_id",)
_RUN_SYSTEM = ("run_id", "system")
_COMMIT_BOUNDARIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

OF_A_LIVING_RUN = (
    Metric("halluc_ray_rows_done", "Corpus rows done", _RUN),
    Metric("halluc_ray_rows_planned", "Corpus rows planned", _RUN),
    Metric("halluc_ray_shards_done", "Shards committed in all their stages", _RUN),
    Metric("halluc_ray_shards_failed", "Shards given up", _RUN),
    Metric("halluc_ray_rows_per_second", "Rows per second of this command", _RUN),
    Metric("halluc_ray_units", "Units by outcome so far", (*_RUN_SYSTEM, "indicator", "outcome")),
    Metric("halluc_ray_tokens", "Tokens of this command's answers", (*_RUN_SYSTEM, "direction"), "counter"),
    Metric("halluc_ray_model_busy_share", "Share of the actors' last minute that was inside the model", _RUN),
    Metric("halluc_ray_actors", "Actors that sit and take work", _RUN),
    Metric("halluc_ray_tasks_in_flight", "Tasks that some actor holds", _RUN),
    Metric("halluc_ray_queue_depth", "Tasks that no actor holds", _RUN),
    Metric("halluc_ray_retries", "Tasks that failed and are tried again", (*_RUN, "budget"), "counter"),
    Metric(
        "halluc_ray_commit_seconds",
        "Seconds to publish one stage of a shard: its parts and its marker",
        _RUN,
        "histogram",
        _COMMIT_BOUNDARIES,
    ),
    Metric("halluc_ray_store_errors", "Tasks that failed at the store", (*_RUN, "kind"), "counter"),
    Metric("halluc_ray_memory_splits", "Batches halved because memory ran out", _RUN_SYSTEM, "counter"),
    Metric("halluc_ray_gpu_memory_bytes", "Most GPU memory that an actor's model has held", (*_RUN, "actor")),
    Metric("halluc_ray_left_out", "Things that have no series because there are too many", (*_RUN, "what")),
)


def _of_reports(subject: str, labels: tuple[str, ...], words: str) -> tuple[Metric, ...]:
    """What a report says, of whatever the labels name."""
    name, by_rate = f"halluc_ray_{subject}", (*labels, "system", "indicator")
    return (
        Metric(f"{name}_hallucination_rate", f"Hallucinated over defined units of {words}", by_rate),
        Metric(f"{name}_hallucination_rate_low", f"Lower end of the rate's interval, of {words}", by_rate),
        Metric(f"{name}_hallucination_rate_high", f"Upper end of the rate's interval, of {words}", by_rate),
        Metric(f"{name}_answered_share", f"Units neither abstained nor failed over all units of {words}", by_rate),
        Metric(f"{name}_units", f"Units by outcome of {words}; the six add up to its rows", (*by_rate, "outcome")),
        Metric(f"{name}_failed_share", f"Failed over all units of {words}", labels),
        Metric(f"{name}_finished_timestamp_seconds", f"When a command last finished the run of {words}", labels),
        Metric(f"{name}_device_seconds", f"Seconds that devices were held for {words}", (*labels, "device")),
        Metric(f"{name}_cost", f"Money that {words} took, where a price is known", labels),
    )


_NIGHT = ("suite", "spec")
_CHECK = (*_NIGHT, "system", "indicator", "limit", "slice", "verdict")

OF_A_STORE = (
    *_of_reports("night", _NIGHT, "the latest night"),
    Metric(
        "halluc_ray_night_info",
        "1; names the run and the scheduled date of the latest night",
        (*_NIGHT, "run_id", "date"),
    ),
    Metric("halluc_ray_night_scheduled_timestamp_seconds", "Scheduled date of the latest night, midnight UTC", _NIGHT),
    Metric(
        "halluc_ray_night_last_pass_timestamp_seconds", "Scheduled date of the last night whose gate said PASS", _NIGHT
    ),
    Metric(
        "halluc_ray_night_missed",
        "Nights expected since the latest one, up to yesterday in UTC, without a record",
        _NIGHT,
    ),
    Metric(
        "halluc_ray_night_gate", "1 for the verdict of the latest night's gate, 0 for the others", (*_NIGHT, "verdict")
    ),
    Metric("halluc_ray_night_checks", "Checks of the latest night's gate by verdict", (*_NIGHT, "verdict")),
    Metric(
        "halluc_ray_night_check", "1 for the verdict of one check of the latest night's gate, 0 for the others", _CHECK
    ),
    *_of_reports("run", _RUN, "one of the last finished runs"),
    Metric("halluc_ray_exporter_up", "1 where the last reading could list the store, else 0"),
    Metric("halluc_ray_exporter_read_timestamp_seconds", "When the store was last listed in full"),
    Metric("halluc_ray_exporter_store_errors", "Listings and objects that could not be read", ("part",), "counter"),
    Metric("halluc_ray_exporter_unreadable", "Objects that the last reading could not read", ("part",)),
    Metric("halluc_ray_exporter_objects", "Objects of the store that the series stand on", ("part",)),
    Metric("halluc_ray_exporter_left_out", "Things that have no series because there are too many", ("what",)),
)


def bounded(text: str) -> str:
    """A label's value of at most 100 characters; what is longer ends in a digest, so that two stay two.

    >>> bounded("qa"), len(bounded("x" * 5000)), bounded("a" * 200) == bounded("a" * 201)
    ('qa', 100, False)
    """
    data = text.encode("utf-8", "replace")
    if len(text) <= MAX_LABEL_CHARACTERS:
        return data.decode()
    kept = data.decode()[: MAX_LABEL_CHARACTERS - _DIGEST_CHARACTERS - 1]
    return f"{kept}…{hashlib.sha256(data).hexdigest()[:_DIGEST_CHARACTERS]}"

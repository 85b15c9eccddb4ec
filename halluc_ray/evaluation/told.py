"""What is logged of a run as a whole: what is planned and found, the cluster, the report, and how it ended.

Knows plans and reports; the driver logs what actors do. What is said is listed in docs/logs.md. Called
by `running`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Token
from typing import Any

from structlog.contextvars import bind_contextvars, reset_contextvars

from halluc_ray.engine.context import ShardTask
from halluc_ray.engine.plan import Plan
from halluc_ray.engine.versions import versions_here
from halluc_ray.errors import HallucRayError
from halluc_ray.logs import reason_of
from halluc_ray.reports import Report

log = logging.getLogger(__name__)


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Around a run's work: its last line says why it ended, where it was planned and did not succeed.

    Yields:
        To be called with the run's id, which all lines bear from then on.
    """
    tokens: dict[str, Token[Any]] = {}
    try:
        yield lambda run_id: tokens.update(bind_contextvars(run=run_id))
    except HallucRayError as error:
        if tokens:
            log.error("run ended", extra={"reason": reason_of(error)})
        raise
    except (KeyboardInterrupt, SystemExit):
        log.warning("run interrupted")
        raise
    finally:
        reset_contextvars(**tokens)


def tell_plan(plan: Plan, *, tasks: Sequence[ShardTask], done: Mapping[str, frozenset[str]]) -> None:
    """What the run is made of, and which of its stages want nothing."""
    systems = plan.context.systems
    shards = sum(len(plan.shards(system)) for system in systems)
    versions = {name.replace("-", "_"): version for name, version in versions_here().items()}
    fields = {"systems": len(systems), "shards": shards, "tasks": len(tasks), "files": len(plan.files)}
    log.info("run planned", extra={**fields, "output": plan.context.spec.output, **versions})
    for system in systems:
        keys = {shard.key for shard in plan.shards(system)}
        name = system.spec.name or f"by {system.resolved.name_from}"
        for stage in system.stages:
            if keys <= done[stage.name]:
                log.info("stage found complete", extra={"system": name, "stage": stage.name, "shards": len(keys)})


def tell_report(result: Report, *, uri: str, began: float) -> None:
    """The reduce is done; `began` by `time.monotonic`."""
    rows = max((rate.rows for rate in result.rates if not rate.slice), default=0)
    fields = {"rows": rows, "failed_share": result.failed_share, "report": f"{uri}/report.json"}
    log.info("reduce done", extra={**fields, "seconds": round(time.monotonic() - began, 3)})

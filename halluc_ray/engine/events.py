"""What the driver logs of actors and shards: one line per event, with the fields by which it is found again.

A few lines per shard at most: a line per stage that it committed, and one per failed try. Runs of many
shards log commits at debug, and their progress once a minute. Knows names, no Ray and no retries. Called
by the driver; what it says is listed in docs/logs.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from halluc_ray.engine.context import ShardReport, ShardTask
from halluc_ray.engine.ledger import Failed
from halluc_ray.engine.progress import Progress
from halluc_ray.logs import reason_of, say_again

if TYPE_CHECKING:
    from halluc_ray.engine.worker import Seat

MOST_SHARDS_BY_LINE = 2000
"""Runs with more tasks than this log commits at debug."""
PROGRESS_EVERY_S = 60.0

log = logging.getLogger(__name__)


class Events:
    """Logs one command's events.

    Args:
        systems: names, by position in the plan.
        num_tasks: that the command is to do.
    """

    def __init__(self, systems: Sequence[str], *, num_tasks: int) -> None:
        self._systems = systems
        self._commit_level = logging.INFO if num_tasks <= MOST_SHARDS_BY_LINE else logging.DEBUG
        self._nodes: dict[str, str] = {}
        self._progress_at = time.monotonic() + PROGRESS_EVERY_S

    @property
    def level(self) -> int:
        """What actors should say, as in `logging`."""
        return log.getEffectiveLevel()

    def seated(self, actor: str, seat: Seat, *, seconds: float) -> None:
        """An actor takes work from now on, so many seconds after it was asked for."""
        self._nodes[actor] = seat.address
        fields = {"node_id": seat.node, "pid": seat.pid, "gpus": seat.cuda_visible_devices}
        log.info("actor seated", extra={**self._who(actor), **fields, "seconds": round(seconds, 3)})

    def lost(self, actor: str, error: Exception, *, shards: int) -> None:
        """An actor went away, or was given up, with what it held."""
        log.warning("actor lost", extra={**self._who(actor), "shards": shards, "reason": reason_of(error)})

    def leased(self, task: ShardTask, actor: str) -> None:
        """An actor has got a task."""
        log.debug("shard leased", extra={**self._what(task), **self._who(actor)})

    def copied(self, task: ShardTask, actor: str, *, holder: str) -> None:
        """A task whose lease is overdue is given to another actor too."""
        log.warning("shard leased twice", extra={**self._what(task), **self._who(actor), "holder": holder})

    def heard(self, task: ShardTask, report: ShardReport, actor: str) -> None:
        """What a try of a task committed, and what its actor said meanwhile; of a failed try too."""
        who = self._who(actor)
        say_again(report.lines, **who)
        for stage, attempt in report.committed.items():
            event, level = "shard committed", self._commit_level
            if stage in report.found:
                event, level = "shard found committed", logging.DEBUG
            log.log(level, event, extra={**self._what(task), "stage": stage, "attempt": attempt, **who})
        if "token_budget" in report.notes:
            fields = {"token_budget": report.notes["token_budget"]}
            log.warning("batch split for memory", extra={**self._what(task), **who, **fields})

    def failed(self, failed: Failed) -> None:
        """A try of a task failed; it is tried again, or given up."""
        fields = {**self._what(failed.task), **self._who(failed.actor), "budget": failed.budget, "tries": failed.tries}
        fields |= {"tries_allowed": failed.allowed, "reason": reason_of(failed.error)}
        if failed.wait_s is None:
            log.error("shard given up", extra=fields)
        else:
            log.warning("shard retried", extra={**fields, "wait_s": round(failed.wait_s, 3)})

    def abandoned(self, task: ShardTask, error: Exception) -> None:
        """No more outputs of the task's system are asked for."""
        log.error("system abandoned", extra={"system": self._systems[task.system], "reason": reason_of(error)})

    def progress(self, progress: Progress) -> None:
        """How far the run is, once a minute."""
        now = time.monotonic()
        if now < self._progress_at:
            return
        self._progress_at = now + PROGRESS_EVERY_S
        fields = {"shards": progress.shards, "shards_done": progress.shards_done, "rows": progress.rows}
        fields |= {"rows_done": progress.rows_done, "shards_in_flight": progress.shards_in_flight}
        log.info("run under way", extra={**fields, "rows_per_s": round(progress.rows_per_s, 3)})

    def _who(self, actor: str) -> Mapping[str, str]:
        return {"actor": actor, "node": self._nodes[actor]} if actor in self._nodes else {"actor": actor}

    def _what(self, task: ShardTask) -> Mapping[str, str]:
        return {"system": self._systems[task.system], "shard": task.shard.key}

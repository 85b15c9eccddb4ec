"""The running tally of a run: what is done, failed, and the outcomes so far.

Plain state, fed by the driver and by whoever reads what earlier commands counted; makes `Progress` records
and the text of heartbeats.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from halluc_ray.engine.context import ShardReport, ShardTask
from halluc_ray.engine.plan import Plan
from halluc_ray.engine.progress import Progress
from halluc_ray.engine.vitals import Vitals
from halluc_ray.models.endpoint.purse import COST_NOTE, MICRO
from halluc_ray.records import Outcome
from halluc_ray.records.runs import NO_NAME


class Tally:
    """Counts over the (system, shard) pairs of a plan.

    Args:
        plan: the plan.
        tasks: what is missing of it.
    """

    def __init__(self, plan: Plan, tasks: Sequence[ShardTask]) -> None:
        self._plan = plan
        pairs = [(system.count.name, shard) for system in plan.context.systems for shard in plan.shards(system)]
        self._times = Counter((stage, shard.key) for stage, shard in pairs)
        self._sharing: dict[str, list[str | None]] = {}  # count stage -> names of the systems that it counts
        for system in plan.context.systems:
            self._sharing.setdefault(system.count.name, []).append(system.spec.name)
        self._shards = len(pairs)
        self._rows = sum(shard.source.num_rows for _, shard in pairs)
        self._shards_done = self._shards - sum(map(self._pairs, tasks))
        self._rows_before = self._rows - sum(self._pairs(task) * task.shard.source.num_rows for task in tasks)
        self._rows_here = 0
        self._started: float | None = None
        self._cost_micro: dict[str, int] = {}
        self._busy_s: dict[str, float] = {}
        self.vitals = Vitals()
        self.failed = 0
        self.message = ""
        self.device = ""
        self.device_seconds = 0.0

    def start(self) -> None:
        """The first task is about to run."""
        self._started = time.monotonic()

    def finish(self, task: ShardTask, report: ShardReport, *, actor: str) -> None:
        """A task is done by an actor."""
        self._shards_done += self._pairs(task)
        self._rows_here += self._pairs(task) * task.shard.source.num_rows
        name = self._plan.context.systems[task.system].spec.name
        if task.generates and COST_NOTE in report.notes:
            self._cost_micro[name or ""] = self._cost_micro.get(name or "", 0) + int(report.notes[COST_NOTE])
        label = name or f"by {self._plan.context.systems[task.system].resolved.name_from}"
        self._busy_s[label] = self._busy_s.get(label, 0.0) + sum(report.seconds.values())
        self.vitals.measure(label, actor, report.measured)
        self.count(self._plan.context.systems[task.system].count.name, task.shard.key, report.outcomes)

    def count(self, stage: str, shard: str, outcomes: Mapping[tuple[str, int], tuple[int, ...]]) -> None:
        """Add what a count stage holds of one shard, as often as the run has it."""
        names = self._sharing[stage]
        times = self._times[stage, shard] // len(names)
        for (system, item), units in outcomes.items():
            for name in names:
                key = (name or system or NO_NAME, self._plan.record.indicators[item].name)
                self.vitals.count(*key, [times * number for number in units])

    @property
    def cost(self) -> dict[str, float]:
        """Money that the answers committed by this command cost, by system, for those that have a price."""
        return {name: micro / MICRO for name, micro in self._cost_micro.items()}

    @property
    def busy_s(self) -> dict[str, float]:
        """Seconds that actors worked on each system's shards."""
        return dict(self._busy_s)

    def _rates(self) -> dict[tuple[str, str], tuple[int, int]]:
        rates = {}
        for key, units in list(self.vitals.outcomes.items()):  # heartbeats ask from another thread
            hallucinated = units[Outcome.HALLUCINATED]
            rates[key] = (hallucinated, hallucinated + units[Outcome.SUPPORTED])
        return rates

    def _pairs(self, task: ShardTask) -> int:
        """Pairs that a task settles: more than one where two files, or two systems, are the same."""
        return self._times[self._plan.context.systems[task.system].count.name, task.shard.key]

    def progress(self) -> Progress:
        """The run at this moment."""
        return Progress(
            run_id=self._plan.run_id,
            message=self.message,
            shards=self._shards,
            shards_done=self._shards_done,
            shards_in_flight=self.vitals.in_flight,
            shards_failed=self.failed,
            rows=self._rows,
            rows_done=self._rows_before + self._rows_here,
            rows_done_here=self._rows_here,
            seconds=time.monotonic() - self._started if self._started is not None else 0.0,
            rates=self._rates(),
            device=self.device,
            device_seconds=self.device_seconds,
        )

    def describe(self) -> dict[str, Any]:
        """For a heartbeat: what another shell's `status` can't see in the commits."""
        now = self.progress()
        return {
            "run_id": now.run_id,
            "in_flight": now.shards_in_flight,
            "failed": now.shards_failed,
            "rows_here": now.rows_done_here,
            "seconds": round(now.seconds, 3),
        }

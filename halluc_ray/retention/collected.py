"""What one call of garbage collection found and did: for the table and for JSON. Plain data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

from halluc_ray.retention.garbage import Garbage, Reason


class State(StrEnum):
    """What became of garbage in this call."""

    MARKED = "marked"
    WAITING = "waiting"
    FREED = "freed"
    SPARED = "spared"


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of garbage.

    Attributes:
        state: what became of it; `spared` where it was needed again at the last look.
        reason: why it is garbage.
        name: of the stage, or the run's id.
        attempts: that were lost; 0 for stages and runs.
        objects: how many.
        num_bytes: of all of them.
        until: when a call may free it, Unix seconds; None where it is freed or spared.
    """

    state: State
    reason: Reason
    name: str
    attempts: int
    objects: int
    num_bytes: int
    until: float | None

    @classmethod
    def of(cls, garbage: Garbage, state: State, *, until: float | None = None) -> Item:
        """An item for all of the garbage's objects."""
        objects = len(garbage.objects)
        return cls(state, garbage.reason, garbage.name, garbage.attempts, objects, garbage.num_bytes, until)


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run that is kept.

    Attributes:
        run_id: of the run.
        why: young, living, night, release, or its age is not known.
        stages: how many it needs.
        num_bytes: of these stages; one that several runs need counts for each.
    """

    run_id: str
    why: tuple[str, ...]
    stages: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Total:
    """Items of one state and reason, added up."""

    state: State
    reason: Reason
    items: int
    attempts: int
    objects: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Collected:
    """One call.

    Attributes:
        store: its URI.
        dry_run: nothing was written; the states say what would have become of things.
        keep_s: how long a run is kept after its last sign.
        wait_s: how long garbage waits.
        items: all garbage.
        kept: the runs that are kept.
        stages: how many there are, garbage or not.
        unmarked: marks taken away because what they named is needed, changed or gone.
    """

    store: str
    dry_run: bool
    keep_s: float
    wait_s: float
    items: Sequence[Item]
    kept: Sequence[KeptRun]
    stages: int
    unmarked: int

    def totals(self) -> list[Total]:
        """By state and reason, in their order."""
        found = []
        for state in State:
            for reason in Reason:
                items = [item for item in self.items if (item.state, item.reason) == (state, reason)]
                if items:
                    sums = (sum(getattr(item, name) for item in items) for name in ("attempts", "objects", "num_bytes"))
                    found.append(Total(state, reason, len(items), *sums))
        return found

    @property
    def next_at(self) -> float | None:
        """When a call may free something next, Unix seconds; None where nothing waits."""
        return min((item.until for item in self.items if item.until is not None), default=None)

    def to_json(self) -> str:
        """All of it; times in UTC."""
        items = [asdict(item) | {"until": _iso(item.until)} for item in self.items]
        said = asdict(self) | {"items": items, "totals": [asdict(total) for total in self.totals()]}
        return json.dumps(said | {"next_at": _iso(self.next_at)}, indent=1, ensure_ascii=False)


def _iso(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")

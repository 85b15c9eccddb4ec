"""What garbage is: a stage or a run that nobody needs, and parts of attempts that no commit names.

Plain records. What makes something garbage is decided in `collecting`, from what `contents` and `kept`
found; how it goes is known to `sweeping`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from halluc_ray.storage import ObjectInfo


class Reason(StrEnum):
    """Why something is garbage."""

    STAGE = "unreferenced stage"
    LOST = "lost attempt"
    UNFINISHED = "unfinished attempt"
    RUN = "old run"
    PROBE = "old probe"


@dataclass(frozen=True, slots=True)
class Garbage:
    """Objects that go together.

    Attributes:
        reason: why they may go.
        name: of the stage that they lie in, or the id of the run.
        objects: what would be deleted.
    """

    reason: Reason
    name: str
    objects: tuple[ObjectInfo, ...]

    @property
    def is_whole(self) -> bool:
        """A stage or run as it stands, whatever is in it; else the parts that are listed."""
        return self.reason in (Reason.STAGE, Reason.RUN)

    @property
    def num_bytes(self) -> int:
        """Bytes of all objects."""
        return sum(info.size for info in self.objects)

    @property
    def attempts(self) -> int:
        """Attempts that the objects belong to; 0 where they are no mere attempts."""
        if self.reason not in (Reason.LOST, Reason.UNFINISHED):
            return 0
        return len({attempt_of(info.key) for info in self.objects})

    @property
    def newest(self) -> float | None:
        """When the last of the objects was written, Unix seconds by the store's clock; None: not known."""
        times = [info.modified for info in self.objects]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None


def attempt_of(part_key: str) -> tuple[str, str]:
    """Shard and attempt of a part.

    >>> attempt_of("stages/count-0a/parts/7f.c0ffee.counts.parquet")
    ('7f', 'c0ffee')
    """
    shard, attempt, *_ = part_key.rpartition("/")[2].split(".")
    return shard, attempt

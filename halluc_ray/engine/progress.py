"""How far a run is: what the progress bar, the plain lines and `status` show.

Plain data; made by the driver, shown by the command line.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run. Counts cover what was committed before this command too.

    Attributes:
        run_id: the run.
        message: what is going on in a few words (`starting 2 actors`, `waiting for another driver`).
        shards: planned (system, shard) pairs.
        shards_done: of these, all stages committed.
        shards_in_flight: being computed now.
        shards_failed: given up in this command.
        rows: corpus rows of the planned pairs, before selection.
        rows_done: of these, done.
        rows_done_here: done by this command.
        seconds: since this command's first work; rows/s and time left follow from it.
        rates: (system, indicator) -> (hallucinated, defined) over what is counted so far.
        device: kind of device that actors hold (`H100`, `gpu`, `cpu`); empty before the first one sits.
        device_seconds: device time that this command's actors have held, idle or not.
    """

    run_id: str
    message: str
    shards: int
    shards_done: int
    shards_in_flight: int = 0
    shards_failed: int = 0
    rows: int = 0
    rows_done: int = 0
    rows_done_here: int = 0
    seconds: float = 0.0
    rates: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    device: str = ""
    device_seconds: float = 0.0

    @property
    def rows_per_s(self) -> float:
        """Rows per second of this command; 0 before the first shard."""
        return self.rows_done_here / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the rate so far; None before there is one."""
        return (self.rows - self.rows_done) / self.rows_per_s if self.rows_per_s > 0 else None

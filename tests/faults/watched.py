"""A run with known faults that stays in sight at its end: `python -m tests.faults.watched SPEC`.

One actor kills itself, one task reports a store that is away, one fails by its own fault; each report says
that a batch was halved and how much GPU memory was held, which no machine without a GPU could show. In its midst
`half` appears beside the output, and the driver waits until `seen` does, so that no machine is too fast to be
watched; at the end `done`, and the driver and its metrics live until `go`.
"""

import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from halluc_ray.config.load import load_spec
from halluc_ray.engine import driver as driving
from halluc_ray.engine.progress import Progress
from halluc_ray.engine.worker import HallucRayWorker
from halluc_ray.errors import HallucRayError, StoreUnavailable
from halluc_ray.evaluation import evaluate

GPU_BYTES = 5_000_000
RETRIES = {"infra": 2, "task": 1}
_LIMIT_S = 200.0


class Faulty(HallucRayWorker):
    """Makes each fault once in a run."""

    def run(self, task: Any) -> Any:
        folder = Path(self._context.spec.output).parent
        if _first(folder / "killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if _first(folder / "away"):
            return driving.ShardReport(task.key, {}, {}, {}, {}, StoreUnavailable("the bucket sleeps"))
        if _first(folder / "fault"):
            return driving.ShardReport(task.key, {}, {}, {}, {}, HallucRayError("a bad moment"))
        report = super().run(task)
        return replace(report, measured=replace(report.measured, memory_splits=1, gpu_memory_bytes=GPU_BYTES))


def _first(mark: Path) -> bool:
    """Whether no process has left this mark before."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _stay(folder: Path, progress: Progress) -> None:
    at_work = progress.shards_in_flight and progress.shards_done < progress.shards
    if at_work and any(system == "asked" for system, _ in progress.rates) and _first(folder / "half"):
        _wait_for(folder / "seen")
    if progress.message == "done":
        (folder / "done").touch()
        _wait_for(folder / "go")


def _wait_for(mark: Path) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline and not mark.exists():
        time.sleep(0.05)


if __name__ == "__main__":
    driving.HallucRayWorker = Faulty
    path = Path(sys.argv[1])
    spec = load_spec(path.read_text(), source=str(path))
    evaluate(spec, on_progress=partial(_stay, Path(spec.output).parent))

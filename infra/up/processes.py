"""Processes that outlive the command that started them: known by id and start time, ended by nothing else.

Each is started with a mark in its environment, which its children inherit, so that what a record missed is
found too. Knows no service; called by `head` and `machine`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "HALLUC_RAY_UP"
"""Environment variable that holds the folder for which a process runs."""
_CLOCK_S = 1.0  # a start time is reckoned from the boot time, which moves a little with the clock
_KILLED_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Part:
    """A process that was started.

    Attributes:
        name: what it is to the user: `store`, `ray`, `exporter`, `prometheus`.
        pid: its process id.
        created: when it started, seconds since 1970; with the id it names one process for good.
    """

    name: str
    pid: int
    created: float


def launch(
    command: Sequence[str], *, log_path: Path, environment: Mapping[str, str], mark: Path
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with its output in a file.

    Args:
        command: program and arguments.
        log_path: appended to.
        environment: all of it.
        mark: folder that its processes are told by.
    """
    with log_path.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - arguments are ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**environment, MARK: str(mark)},
            start_new_session=True,
        )


def part_of(name: str, pid: int) -> Part:
    """What is written down of a process that was just started.

    Raises:
        RuntimeError: it is gone already.
    """
    try:
        return Part(name, pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        raise RuntimeError(f"{name} (process {pid}) ended as soon as it was started; its log says why") from None


def find(part: Part) -> psutil.Process | None:
    """The process, where it is still that one and no zombie."""
    try:
        process = psutil.Process(part.pid)
        return process if abs(process.create_time() - part.created) < _CLOCK_S and _runs(process) else None
    except psutil.NoSuchProcess:
        return None


def marked(mark: Path) -> list[psutil.Process]:
    """Living processes of this user that carry the mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(mark):
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], *, grace_s: float) -> None:
    """Ask processes to end, and end them and their descendants by force when that takes too long.

    Args:
        processes: those that are asked; their descendants are theirs to end.
        grace_s: seconds until force is used.

    Raises:
        RuntimeError: one survived even that.
    """
    roots = list(processes)
    family = set(roots)
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            family.update(root.children(recursive=True))
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            root.terminate()
    for process in _left(family, limit_s=grace_s):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()  # psutil compares start times: an id that is used again is left alone
    if alive := _left(family, limit_s=_KILLED_S):
        raise RuntimeError(f"processes {sorted(p.pid for p in alive)} could not be ended within {_KILLED_S:.0f} s")


def _left(family: Iterable[psutil.Process], *, limit_s: float) -> list[psutil.Process]:
    """Those that still run after a time. A zombie does not: its parent, not ours to hurry, has yet to ask for it."""
    deadline = time.monotonic() + limit_s
    while (alive := [process for process in family if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

"""Processes of `make up`: recognised by id and start time, found by their mark, ended with their descendants."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from infra.up import processes

SLEEPS = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {DEAF!r}])"


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[object]:
    started = []

    def run(code: str) -> psutil.Process:
        command = [sys.executable, "-c", code]
        started.append(
            processes.launch(command, log_path=tmp_path / "log", environment=dict(os.environ), mark=tmp_path)
        )
        return psutil.Process(started[-1].pid)

    yield run
    for process in started:
        process.kill()
        process.wait()
    for left in processes.marked(tmp_path):
        left.kill()


def test_a_part_is_found_until_it_ends(launch) -> None:
    process = launch(SLEEPS)
    part = processes.part_of("store", process.pid)
    assert processes.find(part) == process
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert processes.find(part) is None


def test_an_id_that_another_process_has_now_is_not_ours(launch) -> None:
    part = processes.part_of("store", launch(SLEEPS).pid)
    assert processes.find(replace(part, created=part.created - 60)) is None


def test_a_process_that_is_gone_at_once_is_told() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    with pytest.raises(RuntimeError, match=f"store \\(process {done.pid}\\) ended as soon as it was started"):
        processes.part_of("store", done.pid)


def a_family(launch, tmp_path: Path) -> tuple[psutil.Process, psutil.Process]:
    """A parent and its child, once that hears no signal any more."""
    process = launch(PARENT)
    deadline = time.monotonic() + 20
    while "deaf" not in (tmp_path / "log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    [child] = process.children()
    return process, child


def test_descendants_end_too_also_those_that_hear_nothing(launch, tmp_path: Path) -> None:
    process, child = a_family(launch, tmp_path)
    began = time.monotonic()
    processes.end([process], grace_s=0.5)
    assert 0.4 < time.monotonic() - began < 5
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert processes.marked(tmp_path) == []


def test_orphans_are_found_by_their_mark_and_no_others(launch, tmp_path: Path) -> None:
    process, child = a_family(launch, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert processes.marked(tmp_path) == [child]
    assert processes.marked(tmp_path / "other") == []

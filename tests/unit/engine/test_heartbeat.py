"""Two processes that would work on one stage: one waits, and takes over when the other is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from halluc_ray.engine import heartbeat
from halluc_ray.engine.heartbeat import PATIENCE, Heartbeat, Owner, read_beat, wait_for_turn
from halluc_ray.storage import open_store

PERIOD_S = 0.3
STAGES = ["score-one", "count-one"]
ROOT = Path(__file__).parents[3]
BEAT = f"""
import sys
from halluc_ray.engine import heartbeat
from halluc_ray.storage import open_store
heartbeat.PERIOD_S = {PERIOD_S / 3}
with heartbeat.Heartbeat(open_store(sys.argv[1]), {STAGES}, describe=lambda: {{"run_id": "r"}}):
    print("beating", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "PERIOD_S", PERIOD_S)
    return open_store(str(tmp_path))


@pytest.fixture
def other(store):
    """A driver in a process of its own, beating."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEAT, store.uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "beating\n"
    yield process
    process.kill()
    process.communicate(timeout=20)


def wait(store, *, after, act):
    """Wait for the turn, act in the period number `after`; what was said, and in how many periods more."""
    said = []

    def say(message):
        said.append(message)
        if len(said) == after:
            act()

    wait_for_turn(store, STAGES, say=say)
    return said, len(said) - after


def test_waits_while_the_other_beats_and_goes_at_once_when_it_is_killed(store, other):
    def kill():
        other.kill()
        other.wait(timeout=20)

    said, more = wait(store, after=2 * PATIENCE, act=kill)
    assert said[0] == f"waiting: process {other.pid} on {Owner.me().host} works on score-one"
    assert more == 0


def test_takes_over_from_one_that_lives_but_is_silent(store, other):
    _, more = wait(store, after=2, act=lambda: os.kill(other.pid, signal.SIGSTOP))
    assert PATIENCE - 1 <= more <= PATIENCE, "as many periods for two stages as for one"
    assert read_beat(store, "score-one")["owner"]["pid"] == other.pid


def test_goes_when_the_other_ends_cleanly(store, other):
    def end():
        other.communicate("\n", timeout=20)

    _, more = wait(store, after=2, act=end)
    assert more == 0
    assert [read_beat(store, stage) for stage in STAGES] == [None, None]


def test_beats_change_and_say_who_and_how_far(store):
    with Heartbeat(store, STAGES, describe=lambda: {"in_flight": 3}):
        first = read_beat(store, "count-one")
        deadline = time.monotonic() + 20
        while read_beat(store, "count-one")["beat"] == first["beat"] and time.monotonic() < deadline:
            time.sleep(PERIOD_S / 4)
        second = read_beat(store, "count-one")
    assert (first["owner"]["pid"], first["progress"]) == (os.getpid(), {"in_flight": 3})
    assert second["beat"] > first["beat"]
    assert second["owner"] == first["owner"]


def test_an_end_leaves_the_beat_of_whoever_took_over(store):
    with Heartbeat(store, STAGES, describe=dict), Heartbeat(store, STAGES[:1], describe=dict):
        pass
    with Heartbeat(store, STAGES, describe=dict) as ours:
        ours._stop.set()
        ours._thread.join(timeout=20)
        taker = Heartbeat(store, STAGES[:1], describe=dict)
        taker.__enter__()
    assert read_beat(store, "score-one")["owner"]["token"] == taker._owner.token
    taker.__exit__(None, None, None)
    assert [read_beat(store, stage) for stage in STAGES] == [None, None]


def test_nobody_there(store):
    wait_for_turn(store, STAGES, say=pytest.fail)
    store.put("stages/score-one/heartbeat.json", b"{half a")
    wait_for_turn(store, STAGES, say=pytest.fail)


def test_a_process_is_known_by_when_it_started():
    me = Owner.me()
    assert me.is_here
    assert not me.surely_dead
    assert Owner(me.token, me.machine, me.host, me.pid, "1").surely_dead
    elsewhere = Owner(me.token, "another boot", me.host, me.pid, "1")
    assert not elsewhere.is_here
    assert not elsewhere.surely_dead

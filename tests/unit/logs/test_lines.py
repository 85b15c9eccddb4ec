"""Lines for machines and for people, lines that travel, and what is in none of them."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings

import pytest
from rich.console import Console
from structlog.contextvars import bound_contextvars

from halluc_ray.cli.logs import logs
from halluc_ray.cli.progress import LiveView
from halluc_ray.engine.progress import Progress
from halluc_ray.errors import EndpointUnavailable, HallucRayError, SpecError, StoreError
from halluc_ray.logs import LineKeeper, lines_to, reason_of, say_again
from halluc_ray.logs.formats import MAX_CHARACTERS
from halluc_ray.logs.lines import MAX_LINES

log = logging.getLogger("halluc_ray.test")
COMMITTED = {"stage": "score-1", "shard": "s1", "attempt": "a1", "actor": "actor-0"}


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream():
    with lines_to(stream := io.StringIO(), form="json", level=logging.INFO):
        yield stream


def test_a_line_is_an_object_with_the_shared_keys_first(stream):
    with bound_contextvars(run="r1"):
        log.info("shard committed", extra={"rows": 5, **COMMITTED})
    log.debug("not asked for")
    [line] = lines(stream)
    assert list(line) == ["time", "level", "event", "run", "stage", "shard", "attempt", "actor", "rows"]
    assert (line["level"], line["event"], line["run"], line["rows"]) == ("info", "shard committed", "r1", 5)
    assert line["time"].endswith("+00:00")


def test_whatever_is_logged_stays_on_one_line_and_is_bounded(stream):
    log.info("x", extra={"reason": "a\nb\u2028" + "c" * 5000})
    [line] = lines(stream)
    assert line["reason"].startswith("a\nb\u2028cc")
    assert len(line["reason"]) <= MAX_CHARACTERS + len(" [...] ")


def test_others_are_heard_from_warning_and_named(stream):
    logging.getLogger("elsewhere").info("quiet")
    logging.getLogger("elsewhere").warning("%d old keys", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("soon gone", FutureWarning, stacklevel=1)
    mine, theirs = lines(stream)
    assert (mine["logger"], mine["event"]) == ("elsewhere", "3 old keys")
    assert theirs["logger"] == "py.warnings"


def test_a_traceback_shows_no_variable(stream):
    secret = "text of a sample"
    try:
        raise RuntimeError
    except RuntimeError:
        log.exception("broken")
    [line] = lines(stream)
    assert "RuntimeError" in line["exception"]
    assert f'"{secret}"' not in line["exception"].replace("secret = ", "")


def test_what_was_there_is_put_back():
    ours, root = logging.getLogger("halluc_ray"), logging.getLogger()
    before = (ours.level, list(root.handlers))
    with lines_to(io.StringIO(), form="json", level=logging.DEBUG):
        assert ours.level == logging.DEBUG
    assert (ours.level, list(root.handlers)) == before


def test_a_line_travels_with_its_time_and_is_said_by_its_actor(stream):
    keeper = LineKeeper()
    ours = logging.getLogger("halluc_ray")
    try:
        keeper.begin(logging.INFO)
        log.info("model loaded", extra={"system": "m", "seconds": 1.5})
        logging.getLogger("elsewhere").warning("may quote a sample")
    finally:
        ours.removeHandler(keeper)
    [kept] = keeper.take()
    assert keeper.take() == ()
    say_again([kept], actor="actor-3", node="10.0.0.7")
    here, _, again = lines(stream)
    assert again == here | {"actor": "actor-3", "node": "10.0.0.7"}


def test_an_actor_that_says_too_much_is_cut_and_counted():
    keeper = LineKeeper()
    for k in range(MAX_LINES + 7):
        keeper.emit(logging.makeLogRecord({"name": "halluc_ray.x", "msg": f"line {k}", "levelno": 20}))
    *kept, last = keeper.take()
    assert [line["msg"] for line in kept] == [f"line {k}" for k in range(7, MAX_LINES + 7)]
    assert (last["msg"], last["lines"]) == ("log lines left out", 7)


def test_reasons_are_one_line_and_quote_nobody():
    assert reason_of(StoreError("gone\x1b[31m\nshard 1: more")) == "StoreError: gone [31m"
    assert reason_of(KeyError("the text of a sample")) == "KeyError"
    unknown = HallucRayError('ValueError: the text of a sample\nTraceback:\n  File "/a/b/scoring.py", line 7, in score')
    assert reason_of(unknown) == "ValueError in scoring.py line 7"
    refused = EndpointUnavailable("HTTP 500: could not read 'the text of a sample'")
    refused.logged = "HTTP 500"
    assert reason_of(refused) == "EndpointUnavailable: HTTP 500"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "shown"),
    [
        (io.StringIO, {}, "json info"),
        (Terminal, {}, "text"),
        (Terminal, {"HALLUC_RAY_LOG": "info"}, "text info"),
        (Terminal, {"HALLUC_RAY_LOG": "INFO", "HALLUC_RAY_LOG_FORMAT": "json"}, "json info"),
        (io.StringIO, {"HALLUC_RAY_LOG": "warning", "HALLUC_RAY_LOG_FORMAT": "text"}, "text"),
    ],
)
def test_the_environment_and_the_terminal_decide(monkeypatch, stream, environment, shown):
    for name in ("HALLUC_RAY_LOG", "HALLUC_RAY_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", stream())
    with logs():
        log.info("actor seated")
        log.warning("actor lost")
    said = sys.stderr.getvalue()
    assert ("actor seated" in said) == ("info" in shown)
    assert "actor lost" in said
    assert said.startswith("{") == ("json" in shown)


def test_a_level_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("HALLUC_RAY_LOG", "loud")
    with pytest.raises(SpecError, match="HALLUC_RAY_LOG is 'loud'; it may be debug, info, warning, error"), logs():
        pass


def test_a_live_view_is_not_torn(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setenv("HALLUC_RAY_LOG", "warning")
    with logs(), LiveView(console) as view:
        view(Progress("r", "", 4, 1, rows=400, rows_done=100, rows_done_here=100, seconds=2.0))
        log.warning("actor lost", extra={"actor": "actor-7"})
    assert sys.stderr.getvalue() == "", "it is written through the view, which moves itself out of the way"
    [line] = [line for line in screen.getvalue().splitlines() if "actor lost" in line]
    assert "actor-7" in line
    assert "shards" not in line

"""Progress in lines and live."""

from __future__ import annotations

import io

from rich.console import Console

from halluc_ray.cli.progress import LineView, LiveView, progress_line, progress_view
from halluc_ray.engine.progress import Progress


def at(rows_done: int, message: str = "", **fields) -> Progress:
    base = {"run_id": "r", "shards": 10, "rows": 1000, "rows_done_here": rows_done, "seconds": 2.0}
    return Progress(message=message, shards_done=rows_done // 100, rows_done=rows_done, **(base | fields))


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)


def test_a_line_says_everything():
    line = progress_line(
        at(200, "2 actors", shards_in_flight=2, shards_failed=1, rates={("m", "x"): (1, 4), ("m", "y"): (0, 0)})
    )
    assert line == ("2/10 shards  200/1,000 rows  2 in flight  1 failed  100 rows/s  8 s left  m x 25.0%  2 actors")


def test_before_the_first_shard_there_is_no_speed():
    assert progress_line(at(0, "starting", seconds=0.0)) == "0/10 shards  0/1,000 rows  starting"


def test_lines_are_few_but_the_last_state_is_shown():
    shown = console(terminal=False)
    with LineView(shown) as view:
        for done in range(0, 1000, 7):
            view(at(done))
    lines = shown.file.getvalue().splitlines()
    assert 10 <= len(lines) <= 12
    assert "994/1,000 rows" in lines[-1]


def test_a_new_message_is_a_line():
    shown = console(terminal=False)
    with LineView(shown) as view:
        for message in ("starting", "starting", "waiting for [another] driver"):
            view(at(0, message))
    assert [line.split("  ")[-1] for line in shown.file.getvalue().splitlines()] == [
        "starting", "waiting for [another] driver"
    ]  # fmt: skip


def test_live_shows_bar_speed_and_rates():
    shown = console(terminal=True)
    view = progress_view(shown)
    assert isinstance(view, LiveView)
    with view:
        view(at(400, "2 actors", rates={("model[v1]", "exact"): (1, 3)}))
    text = shown.file.getvalue()
    for part in ("40%", "4/10 shards", "200 rows/s", "3 s left", "model[v1]", "33.3%"):
        assert part in text


def test_no_terminal_no_bar():
    assert isinstance(progress_view(console(terminal=False)), LineView)

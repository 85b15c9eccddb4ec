"""Pauses and turns."""

import asyncio
import random
import time
from itertools import pairwise

import pytest

from halluc_ray.config import EndpointSystem
from halluc_ray.models.endpoint.pace import MAX_PAUSE_S, Halted, Pace, asked_pause_s, back_off_s, longest_s_per_row


def test_back_off_has_full_jitter_under_a_doubling_bound():
    noise = random.Random(0)
    for failures, bound in ((1, 1), (2, 2), (3, 4), (4, 8), (20, MAX_PAUSE_S), (10**6, MAX_PAUSE_S)):
        drawn = [back_off_s(failures, noise=noise) for _ in range(2_000)]
        assert 0 <= min(drawn) < 0.01 * bound
        assert 0.99 * bound < max(drawn) <= bound
        assert sum(drawn) / len(drawn) == pytest.approx(bound / 2, rel=0.05)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("nan", None),
        ("inf", float("inf")),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("tomorrow", None),
    ],
)
def test_what_retry_after_asks_for(header, seconds):
    assert asked_pause_s(header) == seconds


def test_a_date_in_the_future_is_a_pause():
    assert asked_pause_s("Wed, 21 Oct 2099 07:28:00 GMT") > 1e9


def turns(pace: Pace, number: int) -> list[float]:
    async def all_turns() -> list[float]:
        began, at = time.monotonic(), []

        async def one() -> None:
            await pace.turn()
            at.append(time.monotonic() - began)

        await asyncio.gather(*(one() for _ in range(number)))
        return at

    return asyncio.run(all_turns())


def test_turns_are_spaced_as_requests_per_minute_say():
    at = turns(Pace(1_200), 8)
    assert min(b - a for a, b in pairwise(at)) >= 0.05
    assert at[-1] < 0.05 * 7 + 0.3
    assert turns(Pace(None), 500)[-1] < 0.5


def test_a_pause_that_the_server_asks_for_holds_everybody():
    async def held() -> float:
        pace, began = Pace(None), time.monotonic()
        pace.hold(0.2)
        await asyncio.gather(*(pace.turn() for _ in range(20)))
        return time.monotonic() - began

    assert 0.2 <= asyncio.run(held()) < 0.5


def test_who_waits_is_let_go_at_a_halt():
    async def halted() -> list[object]:
        pace = Pace(1)
        waiting = [asyncio.create_task(pace.turn()) for _ in range(3)]
        await asyncio.sleep(0.01)
        pace.halt()
        said = await asyncio.gather(*waiting, pace.pause(50), return_exceptions=True)
        pace.start()
        await pace.pause(0)
        return said

    assert [type(said) for said in asyncio.run(asyncio.wait_for(halted(), 5))] == [type(None), Halted, Halted, Halted]


def test_the_bound_of_a_row_grows_with_all_that_a_row_waits_for():
    system = {"kind": "endpoint", "name": "e", "url": "http://h/v1", "model": "m", "as_of": "1"}
    one = longest_s_per_row(EndpointSystem.model_validate(system | {"concurrency": 1, "retries": 0, "timeout_s": 10}))
    paced = system | {"concurrency": 1, "retries": 1, "timeout_s": 10, "requests_per_minute": 6}
    assert one == 310
    assert longest_s_per_row(EndpointSystem.model_validate(paced)) == 2 * 310 + 2 * 10

"""When the next request may go out: requests per minute, pauses that the server asks for, back-off.

Knows time, no HTTP. All requests of a system share one pace. Caller: `client`.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from halluc_ray.config import EndpointSystem

BASE_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
MAX_ASKED_PAUSE_S = 300.0
"""A server that asks for a longer pause is not available."""


class Halted(Exception):
    """Another request showed that no more should be sent."""


class Pace:
    """Spaces the requests of one system evenly, so that no minute holds more than its share and one.

    Args:
        requests_per_minute: None: as fast as they come.
    """

    def __init__(self, requests_per_minute: int | None) -> None:
        self._interval_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0
        self._halt = asyncio.Event()
        self._queue = asyncio.Lock()

    def start(self) -> None:
        """Let requests go out again."""
        self._halt = asyncio.Event()

    def halt(self) -> None:
        """No further request: whoever waits is let go."""
        self._halt.set()

    @property
    def halted(self) -> bool:
        """No further request is sent."""
        return self._halt.is_set()

    async def turn(self) -> None:
        """Wait for the next request's turn.

        Raises:
            Halted: there will be none.
        """
        async with self._queue:
            if self.halted:
                raise Halted
            while (seconds := self._next - time.monotonic()) > 0:
                await self.pause(seconds)
            self._next = time.monotonic() + self._interval_s

    def hold(self, seconds: float) -> None:
        """No request goes out before so many seconds have passed."""
        self._next = max(self._next, time.monotonic() + seconds)

    async def pause(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Halted: no more requests should be sent.
        """
        try:
            await asyncio.wait_for(self._halt.wait(), seconds)
        except TimeoutError:
            return
        raise Halted


def back_off_s(failures: int, *, noise: random.Random) -> float:
    """Pause after so many failures of one request, in seconds: exponential with full jitter.

    Reference: M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog (2015), "full jitter".
    """
    return noise.uniform(0, min(MAX_PAUSE_S, BASE_PAUSE_S * 2 ** min(failures - 1, 30)))


def asked_pause_s(retry_after: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date of HTTP; None: nothing readable.

    >>> asked_pause_s("1.5"), asked_pause_s("Thu, 01 Jan 1970 00:00:00 GMT"), asked_pause_s("soon")
    (1.5, 0.0, None)
    """
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
        return max(0.0, seconds) if seconds == seconds else None
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def longest_s_per_row(system: EndpointSystem) -> float:
    """More than a row of a shard can take of its actor's time, in seconds, every try and pause included."""
    requests = system.decoding.samples * (system.retries + 1)
    waited = requests * (system.timeout_s + MAX_ASKED_PAUSE_S) / system.concurrency
    return waited + (requests * 60.0 / system.requests_per_minute if system.requests_per_minute else 0.0)

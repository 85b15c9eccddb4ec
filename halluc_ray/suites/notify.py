"""Webhooks: tell a night, with retries, within a time limit.

At least once: a night is marked as told after it was, so a crash in between tells it twice, under the same
`Idempotency-Key`. A webhook that fails never fails a night. Knows HTTP and the marks; what is said is
in `messages`. Called by the command line after a night.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from yarl import URL

from halluc_ray.config import canonical_json, digest
from halluc_ray.errors import HallucRayError, SpecError, StoreError
from halluc_ray.logs import reason_of
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.messages import message, slack
from halluc_ray.suites.nightly import SuiteNight
from halluc_ray.suites.suite import Channel

_RETRIED = {408, 425, 429, *range(500, 600)}
_FIRST_PAUSE_S = 0.5
_MAX_PAUSE_S = 10.0
_TRY_S = 10.0
_GOOD = ("pass", "done")

log = logging.getLogger(__name__)


class NotTold(HallucRayError):
    """A webhook did not take a message."""


def tell(store: ObjectStore, night: SuiteNight, channels: tuple[Channel, ...], *, site: str | None = None) -> list[str]:
    """Tell each channel that wants to know and was not told yet.

    A night that is not finished is told by each command that leaves it so.

    Args:
        store: of the suite.
        night: what became of it.
        channels: of the suite.
        site: where the suite's page lies, where there is one.

    Returns:
        What went wrong, in words; empty where all was told.
    """
    said = message(night, site=site)
    finished = all(spec.night is not None for spec in night.specs)
    about = digest([night.date, *sorted(spec.night.name for spec in night.specs if spec.night)], length=12)
    troubles = []
    for position, channel in enumerate(channels):
        about_it = {"suite": night.suite, "date": night.date, "channel": position, "form": channel.form}
        if channel.when == "not_pass" and said["status"] in _GOOD:
            continue
        identity = digest(channel.model_dump(include={"url", "url_env", "form"}), length=8)
        mark = keys.told_key(night.suite, f"{night.date}-{about}-{identity}")
        try:
            if finished and store.info(mark) is not None:
                continue
            body = slack(said) if channel.form == "slack" else said
            post(_address(channel, position), body, key=f"{about}-{identity}", limit_s=channel.limit_s)
            log.info("webhook told", extra={**about_it, "status": said["status"]})
            if finished:
                store.put_new(mark, b"{}")
        except (NotTold, SpecError, StoreError) as trouble:
            log.warning("webhook not told", extra={**about_it, "reason": reason_of(trouble)})
            troubles.append(f"notify[{position}]: {trouble}")
    return troubles


def post(url: str, body: Mapping[str, Any], *, key: str, limit_s: float) -> None:
    """Send JSON until it is taken; pauses grow, and a Retry-After is obeyed.

    Args:
        url: of the webhook; only its host is ever shown.
        body: plain values.
        key: the same for every try of one message.
        limit_s: for all tries together, in seconds.

    Raises:
        NotTold: refused for good, or not taken in time.
    """
    asyncio.run(_post(url, body, key=key, limit_s=limit_s))


async def _post(url: str, body: Mapping[str, Any], *, key: str, limit_s: float) -> None:
    host = _host(url)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "halluc-ray"}
    data = canonical_json(body).encode()
    last = "no answer"
    try:
        async with asyncio.timeout(limit_s), aiohttp.ClientSession(headers=headers, trust_env=True) as session:
            for attempt in itertools.count():
                pause = min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
                try:
                    timeout = aiohttp.ClientTimeout(total=_TRY_S)
                    async with session.post(url, data=data, timeout=timeout, allow_redirects=False) as reply:
                        if reply.status < HTTPStatus.MULTIPLE_CHOICES:
                            return
                        last = f"HTTP {reply.status}"
                        if reply.status not in _RETRIED:
                            raise NotTold(f"{host} refused the message: {last}; look at the webhook's address")
                        pause = _asked_for(reply.headers.get("Retry-After"), pause)
                except (aiohttp.ClientError, TimeoutError, UnicodeError) as error:
                    last = type(error).__name__
                await asyncio.sleep(pause)
    except TimeoutError:
        raise NotTold(f"{host} did not take the message within {limit_s:g} s; the last try: {last}") from None


def _host(url: str) -> str:
    try:
        host = URL(url).host
    except ValueError:
        host = None
    if not host:
        raise NotTold("the webhook's address is none; look at it, or at its variable")
    return host


def _asked_for(header: str | None, pause: float) -> float:
    """The pause that a server asks for; ours where it names a date, or nothing that can be read."""
    try:
        return max(pause, float(header)) if header else pause
    except ValueError:
        return pause


def _address(channel: Channel, position: int) -> str:
    if channel.url is not None:
        return channel.url
    name = channel.url_env or ""
    url = os.environ.get(name, "").strip()
    if not url.startswith(("http://", "https://")):
        raise SpecError(f"the environment variable {name} holds no http(s) address; set it, or leave the channel out")
    return url

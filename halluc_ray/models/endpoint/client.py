"""Asks a server for one unit's answer: sends, waits, tries again, and knows when to give up.

A try is bounded by `timeout_s`, the tries by `retries`, each pause by `pace`. When a unit's tries are
spent, the smallest request there is tells whose fault it was: a server that answers it has refused the
row, and the row fails; one that does not is away, and nobody's row fails. The key is sent to the
spec's URL alone and is taken out of whatever the server says. Caller: `generator`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from halluc_ray.config import EndpointSystem
from halluc_ray.errors import EndpointUnavailable, HallucRayError, QuotaSpent, SpecError
from halluc_ray.models.endpoint.pace import MAX_ASKED_PAUSE_S, Pace, asked_pause_s, back_off_s
from halluc_ray.models.endpoint.replies import (
    CUT,
    Answer,
    Fate,
    MalformedReply,
    Refusal,
    error_within,
    read_answer,
    read_refusal,
)
from halluc_ray.models.endpoint.requests import MAX_COMPLETION_TOKENS, MAX_TOKENS, RequestWriter, request_url
from halluc_ray.records import Sample

log = logging.getLogger(__name__)

MAX_REPLY_BYTES = 64 << 20
_OVERLOADED = (429, 503)
_SHORTEST_PART = 3
"""A key's first characters are no secret: they are the same in all keys of a service."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """One try that failed and may be repeated.

    Attributes:
        what: for messages.
        kind: for logs: without what the server said, which may repeat a prompt.
        reason: the row's failure, should the row be at fault; None: it can't be.
        pause_s: that the server asked for.
    """

    what: str
    kind: str
    reason: str | None
    pause_s: float | None = None


class Client:
    """Asks one system's server."""

    def __init__(self, system: EndpointSystem, *, key: str | None) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            SpecError: the template or the URL is malformed.
        """
        self._system = system
        self._key = key
        self._writer = RequestWriter(system)
        self._url = request_url(system, self._writer.path)
        self._noise = random.Random()
        self._session: aiohttp.ClientSession | None = None
        self._last_success = float("-inf")
        self._proving = asyncio.Lock()
        self.pace = Pace(system.requests_per_minute)

    def request_bytes(self, sample: Sample, draw: int) -> int:
        """Size of a unit's request: no tokenizer makes more tokens of its prompt.

        Raises:
            UnusableRow: the sample lacks what the template reads.
        """
        return len(json.dumps(self._writer.body(sample, draw), ensure_ascii=False).encode(errors="replace"))

    def opens_trace(self, sample: Sample) -> bool:
        """Whether the prompt ends inside a trace."""
        return self._writer.opens_trace(sample)

    async def ask(self, sample: Sample, draw: int) -> Answer:
        """The answer to one unit; a failure where the row can't be answered.

        Raises:
            EndpointUnavailable: the server is away (retryable).
            QuotaSpent: the key's money or quota is.
            SpecError: the server refuses whatever is asked.
            Halted: no more requests are sent.
        """
        trouble = None
        for failures in range(self._system.retries + 1):
            if trouble is not None:
                await self.pace.pause(max(trouble.pause_s or 0.0, back_off_s(failures, noise=self._noise)))
            began = time.monotonic()
            said = await self._answer_or_trouble(sample, draw)
            if isinstance(said, Answer):
                self._last_success = time.monotonic()
                return said
            trouble = said
            log.debug("endpoint answered badly", extra={"system": self._system.name, "reason": said.kind})
            if (trouble.pause_s or 0.0) > MAX_ASKED_PAUSE_S:
                break
        if trouble is None:
            raise AssertionError("a unit is tried at least once")
        if trouble.reason is not None and (self._last_success > began or await self._answers_at_all()):
            return Answer(failure=trouble.reason)
        raise _logged(
            EndpointUnavailable(
                f"{self._where}: {self._url} did not answer ({trouble.what}), tried {failures + 1} times; "
                "once it does, the same command goes on"
            ),
            f"{self._where}: {self._shown_url} did not answer ({trouble.kind}), tried {failures + 1} times",
        )

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def _where(self) -> str:
        return f"systems[{self._system.name}]"

    @property
    def _shown_url(self) -> str:
        """For logs: without what may be a secret."""
        return str(self._url.with_user(None).with_query(None))

    async def _answer_or_trouble(self, sample: Sample, draw: int) -> Answer | _Trouble:
        """One try, or two where the server calls the longest answer by its other name."""
        said = await self._send(self._writer.body(sample, draw))
        if isinstance(said, Refusal) and said.fate is Fate.RENAME and self._writer.length_key == MAX_TOKENS:
            self._writer.length_key = MAX_COMPLETION_TOKENS
        if isinstance(said, Refusal) and said.fate is Fate.RENAME:
            said = await self._send(self._writer.body(sample, draw))
        if not isinstance(said, Refusal):
            return said
        if said.fate is Fate.ROW:
            return Answer(failure=said.reason)
        raise self._error(said)

    async def _send(self, body: dict[str, Any]) -> Answer | Refusal | _Trouble:
        """One request, in its turn."""
        await self.pace.turn()
        try:
            async with asyncio.timeout(self._system.timeout_s):
                status, data, pause = await self._exchange(body)
        except TimeoutError:
            late = f"no whole answer in {self._system.timeout_s:g} s"
            return _Trouble(late, late, "timeout")
        except (aiohttp.ClientConnectorCertificateError, aiohttp.InvalidURL) as error:
            wrong = SpecError(f"{self._where}.url: {self._url}: {self._clean(str(error))}")
            raise _logged(wrong, f"{self._where}.url: {self._shown_url}: {type(error).__name__}") from None
        except aiohttp.ClientConnectorError as error:
            away = self._clean(str(error))
            return _Trouble(away, away, None)
        except (aiohttp.ClientError, OSError) as error:
            kind = type(error).__name__
            return _Trouble(self._clean(f"{kind}: {error}"), kind, "server_error")
        if status == 200:
            try:
                return read_answer(data, api=self._system.api)
            except MalformedReply as error:
                within = error_within(data)
                if within is None:
                    return _Trouble(self._clean(str(error)), "malformed reply", "malformed_reply")
                status, refusal = within.status, within
        else:
            refusal = read_refusal(status, data)
        if refusal.fate is not Fate.RETRY:
            return refusal
        asked = asked_pause_s(pause)
        if asked is not None and asked > MAX_ASKED_PAUSE_S:
            later = f"come back in {asked:.0f} s"
            return _Trouble(f"{self._clean(str(refusal))}, {later}", f"HTTP {status}, {later}", None, asked)
        if asked is not None and status in _OVERLOADED:
            self.pace.hold(asked)
        reason = "server_error" if status >= 500 else None
        return _Trouble(self._clean(str(refusal)), f"HTTP {status}", reason, asked)

    async def _exchange(self, body: dict[str, Any]) -> tuple[int, bytes, str | None]:
        """Status, body and Retry-After of one request."""
        session = self._open()
        async with session.post(self._url, json=body, allow_redirects=False, proxy=_proxy_of(self._url)) as response:
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > MAX_REPLY_BYTES:
                    raise aiohttp.ClientPayloadError(f"more than {MAX_REPLY_BYTES} bytes")
            pause = response.headers.get("Retry-After")
            if 300 <= response.status < 400:
                data = bytearray(f"moved to {response.headers.get('Location', 'nowhere')}".encode())
            return response.status, bytes(data), pause

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._system.concurrency),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": "halluc-ray", **headers},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _answers_at_all(self) -> bool:
        """The server says something of its own to the smallest request there is."""
        asked = time.monotonic()
        async with self._proving:
            if self._last_success > asked:
                return True
            said = await self._send(self._writer.smallest())
            if isinstance(said, Refusal) and said.fate in (Fate.STOP, Fate.QUOTA):
                raise self._error(said)
            return not isinstance(said, _Trouble)

    async def check(self) -> None:
        """Find out whether the server takes any request.

        Raises:
            SpecError: it refuses the smallest one.
        """
        said = await self._send(self._writer.smallest())
        if isinstance(said, Refusal) and said.fate is not Fate.RENAME:
            raise self._error(said)

    def _error(self, refusal: Refusal) -> HallucRayError:
        what = f"{self._where}: {self._shown_url}, model {self._system.model!r}: HTTP {refusal.status}"
        return _logged(self._refused(refusal), what)

    def _refused(self, refusal: Refusal) -> HallucRayError:
        said = f"{self._where}: {self._url}, model {self._system.model!r}: {self._clean(str(refusal))}"
        if refusal.fate is Fate.QUOTA:
            return QuotaSpent(f"{said}; once there is quota again, the same command goes on")
        variable = self._system.api_key_env
        if refusal.status in (401, 403):
            key = f"the key in the environment variable {variable}" if variable else "api_key_env: none is set"
            return SpecError(f"{said}; look at {key}")
        if refusal.status < 400 or refusal.status in (404, 405):
            return SpecError(f"{said}; look at url (up to /v1), model and api: {self._system.api}")
        return SpecError(f"{said}; change {refusal.parameter or 'what the server refuses'} in the spec")

    def _clean(self, text: str) -> str:
        """Without the key, should the server have repeated it, and without its beginning where the text was cut."""
        if not self._key:
            return text
        text = text.replace(self._key, "***")
        for end in range(len(self._key) - 1, _SHORTEST_PART, -1):
            text = text.replace(f"{self._key[:end]}{CUT}", f"***{CUT}")
        return text


def _logged(error: HallucRayError, text: str) -> HallucRayError:
    """The error, and what a log says of it."""
    error.logged = text
    return error


def _proxy_of(url: URL) -> str | None:
    """The proxy that the environment names for a URL; credentials in ~/.netrc are not read."""
    return None if proxy_bypass(url.host or "") else getproxies().get(url.scheme)

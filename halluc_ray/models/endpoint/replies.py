"""What comes back: the answer in a 200, and what any other status means for the row and the run.

Pure. Reads the answers of OpenAI's API and the errors of the servers that follow it (vLLM, llama.cpp,
TGI, FastAPI's validation), which differ in shape. Caller: `client`.

Reference: OpenAI, API reference, Chat (create) and Completions (create): response objects and errors.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from halluc_ray.models.endpoint.requests import MAX_COMPLETION_TOKENS

_SHOWN_CHARACTERS = 400
CUT = "…"
"""Stands where a server's words were cut."""
_PARAMETERS = frozenset(
    {"model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed", "logprobs", "top_logprobs"}
)
_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|max_model_len|(prompt|input)( is|s)? too (long|large)|too many (input )?tokens"
    r"|maximum (input|prompt|sequence) length|exceed_context",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content[ _](management|filter|policy)", re.IGNORECASE)
_OUT_OF_MONEY = re.compile(r"insufficient_quota|billing|credit balance", re.IGNORECASE)

NO_TEXT = "no_text"


class MalformedReply(ValueError):
    """A 200 that holds no answer."""


class Fate(Enum):
    """What a refusal means."""

    RETRY = "the same request may succeed later"
    ROW = "the row can't be answered"
    RENAME = "the server wants max_completion_tokens"
    QUOTA = "what the key may use is spent"
    STOP = "no request of this run can succeed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server made of one unit.

    Attributes:
        text: the answer; None where there is a failure.
        failure: why there is no answer to score.
        finish: `stop` or `length`.
        reasoning: what the model wrote before its answer, where the server keeps it apart.
        logprob: natural logarithm of the output's probability, where the server gives it.
        num_prompt_tokens: as the server counts; None: it did not say.
        num_output_tokens: likewise, reasoning included.
        num_reasoning_tokens: of the output's.
    """

    text: str | None = None
    failure: str | None = None
    finish: str | None = None
    reasoning: str | None = None
    logprob: float | None = None
    num_prompt_tokens: int | None = None
    num_output_tokens: int | None = None
    num_reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Any status but 200, as the server put it.

    Attributes:
        status: of HTTP.
        code: the error's code and type, if any.
        parameter: of the request, that the server names as its reason.
        message: in the server's words, shortened.
    """

    status: int
    code: str
    parameter: str
    message: str

    @property
    def fate(self) -> Fate:
        """What it means for the request."""
        if self.status == 402 or _OUT_OF_MONEY.search(self.code):
            return Fate.QUOTA
        if self.status in (408, 409, 425, 429) or self.status >= 500:
            return Fate.RETRY
        if self.status < 400 or self.status in (401, 403, 404, 405):
            return Fate.STOP
        if _TOO_LONG.search(f"{self.code} {self.message}") or _FILTERED.search(f"{self.code} {self.message}"):
            return Fate.ROW
        if MAX_COMPLETION_TOKENS in self.message:
            return Fate.RENAME
        if self.parameter in _PARAMETERS or self.code.startswith("unsupported_"):
            return Fate.STOP
        return Fate.ROW

    @property
    def reason(self) -> str:
        """The failure of a row that can't be answered."""
        if _TOO_LONG.search(f"{self.code} {self.message}"):
            return "prompt_too_long"
        return "content_filter" if _FILTERED.search(f"{self.code} {self.message}") else "refused_request"

    def __str__(self) -> str:
        return f"HTTP {self.status}{': ' if self.message else ''}{self.message}"


def read_answer(data: bytes, *, api: str) -> Answer:
    """The answer in the body of a 200.

    Args:
        data: the body.
        api: `chat` or `completions`.

    Raises:
        MalformedReply: it is no JSON, or holds no choice.
    """
    try:
        payload = json.loads(data)
        choice = payload["choices"][0]
        message: Mapping[str, Any] = choice["message"] if api == "chat" else choice
        text = _plain(message.get("content" if api == "chat" else "text"))
        if text is None:
            text = _plain(message.get("refusal"))
        reasoning = _plain(message.get("reasoning_content") or message.get("reasoning"))
        usage = payload.get("usage") or {}
        details = usage.get("completion_tokens_details") or {}
        finish = choice.get("finish_reason")
        logprob = _logprob(choice.get("logprobs"), api)
        counts = [
            _count(usage.get("prompt_tokens")),
            _count(usage.get("completion_tokens")),
            _count(details.get("reasoning_tokens")),
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedReply(
            f"{type(error).__name__}: {error} in {_shortened(data.decode(errors='replace'))!r}"
        ) from None
    failure = "content_filter" if finish == "content_filter" else NO_TEXT if text is None else None
    return Answer(
        text=None if failure else text,
        failure=failure,
        finish=_finish(finish),
        reasoning=reasoning,
        logprob=logprob,
        num_prompt_tokens=counts[0],
        num_output_tokens=counts[1],
        num_reasoning_tokens=counts[2],
    )


def error_within(data: bytes) -> Refusal | None:
    """The error that some gateways put into the body of a 200, under the status that it names."""
    try:
        error = json.loads(data)["error"]
        status = error.get("code") or error.get("status")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    known = isinstance(status, int) and not isinstance(status, bool) and 400 <= status < 600
    return read_refusal(status if known else 500, data)


def read_refusal(status: int, data: bytes) -> Refusal:
    """A status other than 200, whatever the shape of its body."""
    text = data.decode(errors="replace")
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        payload = text
    error = payload.get("error", payload) if isinstance(payload, dict) else payload
    if not isinstance(error, dict):
        return Refusal(status, "", "", _shortened(str(error)))
    message = error.get("message") or error.get("detail") or error
    code = " ".join(str(error[key]) for key in ("code", "type") if error.get(key) is not None)
    return Refusal(status, code, str(error.get("param") or ""), _shortened(str(message)))


def _plain(content: object) -> str | None:
    """A text, or the texts among its parts; half a surrogate pair, which is no character, becomes U+FFFD."""
    if isinstance(content, list):
        parts = [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
        content = "".join(parts) if parts else None
    if not isinstance(content, str):
        return None
    return content.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _finish(reason: object) -> str | None:
    """`length` where the answer was cut; `stop` for any other end that servers name."""
    return None if reason is None else "length" if reason in ("length", "max_tokens") else "stop"


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _logprob(given: Mapping[str, Any] | None, api: str) -> float | None:
    if not given:
        return None
    if api == "chat":
        values = [token["logprob"] for token in given.get("content") or ()]
    else:
        values = [value for value in given.get("token_logprobs") or () if value is not None]
    return math.fsum(float(value) for value in values) if values else None


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN_CHARACTERS else f"{flat[:_SHOWN_CHARACTERS]}{CUT}"

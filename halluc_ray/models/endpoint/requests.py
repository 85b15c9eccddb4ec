"""What is sent for one unit: the JSON body of a chat or completions request.

Pure. A request is a function of the system, the sample and the draw, so that the same unit is asked
the same way whenever it is asked. Knows the prompt; sends nothing. Callers: `client`; wiring, to check
a URL.
"""

from __future__ import annotations

import hashlib
from typing import Any

from yarl import URL

from halluc_ray.config import EndpointSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.prompting import Prompter
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.reasoning import opens_trace
from halluc_ray.records import Sample

_SEED_BITS = 31
_PATHS = {"chat": "chat/completions", "completions": "completions"}
MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"


class RequestWriter:
    """Writes the requests of one system.

    Attributes:
        length_key: what the server calls the longest answer; some models refuse `max_tokens`.
    """

    def __init__(self, system: EndpointSystem) -> None:
        """Parse the template.

        Raises:
            SpecError: it is malformed.
        """
        self._system = system
        self._prompter = Prompter(system)
        self.length_key = MAX_TOKENS

    @property
    def path(self) -> str:
        """Of the requests, below the base URL."""
        return _PATHS[self._system.api]

    def body(self, sample: Sample, draw: int) -> dict[str, Any]:
        """The request of one draw of one sample, JSON-ready.

        Raises:
            UnusableRow: the sample lacks what the template reads, or there is no prompt.
        """
        decoding = self._system.decoding
        body = self._prompt(sample) | {
            "model": self._system.model,
            self.length_key: decoding.max_new_tokens,
            "temperature": decoding.temperature,
        }
        if decoding.temperature > 0:
            body["seed"] = request_seed(decoding.seed, sample.id, draw)
        if decoding.top_p < 1:
            body["top_p"] = decoding.top_p
        if decoding.stop:
            body["stop"] = list(decoding.stop)
        if self._system.logprobs:
            body["logprobs"] = True if self._system.api == "chat" else 1
        return body

    def opens_trace(self, sample: Sample) -> bool:
        """Whether the prompt ends with the opening tag of a trace."""
        reasoning, chat = self._system.reasoning, self._system.api == "chat"
        return reasoning is not None and not chat and opens_trace(self._prompter.text(sample), reasoning)

    def smallest(self) -> dict[str, Any]:
        """The least that the server can be asked: shows whether it answers at all."""
        prompt = _as_messages([("user", "Hi")]) if self._system.api == "chat" else {"prompt": "Hi"}
        return prompt | {"model": self._system.model, self.length_key: 1, "temperature": 0}

    def _prompt(self, sample: Sample) -> dict[str, Any]:
        if self._system.api == "completions":
            prompt = self._prompter.text(sample)
            if not prompt:
                raise UnusableRow("empty_prompt", "the prompt has no text")
            return {"prompt": prompt}
        return _as_messages([(turn.role, turn.content) for turn in self._prompter.turns(sample)])


def request_url(system: EndpointSystem, path: str) -> URL:
    """Where requests go: the base URL with the path below it, its query kept.

    Raises:
        SpecError: it is no URL of a server, or holds credentials.
    """
    where = f"systems[{system.name}].url"
    try:
        base = URL(system.url)
        if base.user or base.password:
            raise SpecError(
                f"{where}: holds a user or a password; put the key in the environment, name it in api_key_env"
            )
        if not base.host:
            raise SpecError(f"{where}: {system.url} names no host; write it as http://host:port/v1")
        return base.with_path(f"{base.path.rstrip('/')}/{path}", keep_query=True)
    except ValueError as error:
        raise SpecError(f"{where}: {system.url!r} is no URL ({error}); write it as http://host:port/v1") from None


def request_seed(seed: int, sample_id: str, draw: int) -> int:
    """The seed of one draw, from the decoding's: 31 bits, the width that every server takes.

    >>> request_seed(0, "q1", 0) == request_seed(0, "q1", 0) != request_seed(0, "q1", 1)
    True
    """
    text = f"{seed}\0{draw}\0{sample_id}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> (64 - _SEED_BITS)


def _as_messages(turns: list[tuple[str, str]]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}

"""A real HTTP server that speaks OpenAI's chat and completions, and fails as it is told.

Answers sums ("What is 3 plus 1?"), and anything else with an echo. Threads of the standard library: none
of the client's own code is in it.
"""

import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass
class Reply:
    """What the server does for one request: an answer, unless told otherwise."""

    status: int = 200
    body: Body | bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: bool = False
    drop: bool = False


def error(status: int, message: str, **fields: Any) -> Reply:
    return Reply(status, {"error": {"message": message, **fields}})


@dataclass
class Asked:
    """One request: its path, body, headers, and when it came."""

    path: str
    body: Body
    headers: dict[str, str]
    at: float

    @property
    def prompt(self) -> str:
        messages = self.body.get("messages")
        return str(messages[-1]["content"] if messages else self.body["prompt"])


def says(body: Body) -> str:
    """The true sum; at a temperature, with the seed behind it."""
    text = Asked("", body, {}, 0).prompt
    found = re.search(r"What is (\d+) plus (\d+)", text)
    answer = str(int(found[1]) + int(found[2])) if found else f"You said: {text}"
    return f"{answer} ({body['seed']})" if body.get("temperature") else answer


class OpenAIServer:
    """Serves on a free port of 127.0.0.1 while it is entered.

    Attributes:
        url: base URL.
        asked: requests so far.
        behave: what to do with the n-th request (from 0) of a prompt; None: answer it.
        usage: whether answers state token counts.
        peak: most requests that were in flight at once.
    """

    def __init__(
        self, *, key: str | None = None, answer: Callable[[Body], str] = says, tls: ssl.SSLContext | None = None
    ) -> None:
        self.tls = tls
        self.key = key
        self.answer = answer
        self.asked: list[Asked] = []
        self.behave: Callable[[Asked, int], Reply | None] = lambda asked, nth: None
        self.usage = True
        self.delay_s = 0.0
        self.peak = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._port}/v1"

    @property
    def prompts(self) -> list[str]:
        return [asked.prompt for asked in self.asked]

    def __enter__(self) -> "OpenAIServer":
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._serve(self)

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away is no news."""

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            asked = Asked(handler.path, body, dict(handler.headers), time.monotonic())
            nth = self.prompts.count(asked.prompt)
            self.asked.append(asked)
            self._in_flight += 1
            self.peak = max(self.peak, self._in_flight)
        try:
            reply = self._refused(asked) or self.behave(asked, nth) or Reply()
            time.sleep(self.delay_s + reply.delay_s)
            with suppress(ConnectionError):
                self._write(handler, reply, asked)
        finally:
            with self._lock:
                self._in_flight -= 1

    def _refused(self, asked: Asked) -> Reply | None:
        if self.key is not None and asked.headers.get("Authorization") != f"Bearer {self.key}":
            return error(
                401, f"Incorrect API key provided: {asked.headers.get('Authorization')}", code="invalid_api_key"
            )
        return None

    def _write(self, handler: BaseHTTPRequestHandler, reply: Reply, asked: Asked) -> None:
        if reply.drop:
            handler.close_connection = True
            return
        body = self.completion(asked) if reply.body is None else reply.body
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(reply.status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **reply.headers,
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data[: len(data) // 2] if reply.cut else data)
        if reply.cut:
            handler.close_connection = True

    def completion(self, asked: Asked, **changes: Any) -> Body:
        """The answer to a request; `changes` go into its choice."""
        text, chat = self.answer(asked.body), "messages" in asked.body
        choice: Body = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if asked.body.get("logprobs"):
            words = [{"token": word, "logprob": -0.25 * (k + 1)} for k, word in enumerate(text.split())]
            values = [word["logprob"] for word in words]
            choice["logprobs"] = {"content": words} if chat else {"token_logprobs": values}
        body: Body = {
            "id": "x",
            "object": "chat.completion" if chat else "text_completion",
            "choices": [choice | changes],
        }
        if self.usage:
            prompt = json.dumps(asked.body.get("messages") or asked.body["prompt"])
            counts = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
            body["usage"] = counts | {"total_tokens": sum(counts.values())}
        return body

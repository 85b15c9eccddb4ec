"""Answers that get lost, come late or say conflict: a real server behind a proxy that misbehaves."""

import datetime
import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import botocore.auth
import botocore.compat
import pytest

from halluc_ray.errors import StoreError, StoreUnavailable
from halluc_ray.storage import commits, keys, open_store
from infra.object_store.server import ObjectServer


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on unchanged; for the first `times` that match, does what `fault` says."""

    protocol_version = "HTTP/1.1"
    port: ClassVar[int]
    fault: ClassVar[str] = ""
    matches: ClassVar[Callable[["Proxy"], bool]]
    times: ClassVar[int] = 0
    seen: ClassVar[Counter[str]] = Counter()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        faulty = type(self).times > 0 and type(self).matches(self)
        if faulty:
            type(self).times -= 1
        if faulty and self.fault in ("409", "503"):
            type(self).seen[self.fault] += 1
            self._say(int(self.fault), b"<Error><Code>ConditionalRequestConflict</Code></Error>", [])
            return
        server = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                server.putheader(name, value)
        server.endheaders(body)
        answer = server.getresponse()
        data = answer.read()
        server.close()
        type(self).seen[f"{self.command} {answer.status}"] += 1
        if faulty and self.fault == "lost":
            self.close_connection = True
            return
        if faulty and self.fault == "cut":
            self._say(answer.status, data, answer.getheaders(), sent=len(data) // 2)
            self.close_connection = True
            return
        self._say(answer.status, data, answer.getheaders())

    do_GET = do_PUT = do_HEAD = do_DELETE = _pass_on  # noqa: N815 - the names that http.server looks for

    def _say(self, status: int, data: bytes, headers: list[tuple[str, str]], sent: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        self.send_header("Content-Length", lengths[0] if self.command == "HEAD" and lengths else str(len(data)))
        self.end_headers()
        self.wfile.write(data[:sent])

    def log_message(self, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def proxy(s3_server: ObjectServer) -> Iterator[tuple[type[Proxy], str]]:
    handler = type("OneProxy", (Proxy,), {"port": s3_server.port, "seen": Counter()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


def is_marker(request: Proxy) -> bool:
    return request.command == "PUT" and request.headers.get("If-None-Match") == "*"


def is_read(request: Proxy) -> bool:
    return request.command == "GET"


def test_a_lost_answer_to_the_marker_commits_once(proxy: tuple[type[Proxy], str], s3_server: ObjectServer) -> None:
    handler, endpoint = proxy
    store = open_store(f"s3://{s3_server.bucket}/lost", endpoint=endpoint)
    handler.fault, handler.matches, handler.times = "lost", is_marker, 1
    commit = commits.publish(store, "score-0", "s1", parts={"": b"x"}, rows=1)
    assert handler.seen["PUT 412"] == 1
    assert commits.read_commit(store, "score-0", "s1") == commit
    assert [info.key for info in store.list(keys.parts_prefix("score-0"))] == [
        keys.part_key("score-0", "s1", commit.attempt)
    ]


def test_conflicts_are_tried_again(proxy: tuple[type[Proxy], str], s3_server: ObjectServer) -> None:
    handler, endpoint = proxy
    store = open_store(f"s3://{s3_server.bucket}/conflict", endpoint=endpoint)
    handler.fault, handler.matches, handler.times = "409", is_marker, 3
    assert store.put_new("a", b"x") is True
    assert handler.seen["409"] == 3
    handler.times = 1_000
    with pytest.raises(StoreUnavailable, match="conflicting write"):
        store.put_new("b", b"x")
    assert store.info("b") is None


def test_a_busy_server_is_tried_again(proxy: tuple[type[Proxy], str], s3_server: ObjectServer) -> None:
    handler, endpoint = proxy
    store = open_store(f"s3://{s3_server.bucket}/busy", endpoint=endpoint)
    store.put("a", b"x")
    handler.fault, handler.matches, handler.times = "503", is_read, 2
    assert store.read("a") == b"x"
    assert handler.seen["503"] == 2


def test_a_body_that_breaks_off_is_read_again(proxy: tuple[type[Proxy], str], s3_server: ObjectServer) -> None:
    handler, endpoint = proxy
    store = open_store(f"s3://{s3_server.bucket}/cut", endpoint=endpoint)
    data = bytes(range(256)) * 1000
    store.put("a", data)
    handler.fault, handler.matches, handler.times = "cut", is_read, 2
    assert store.read("a") == data
    assert store.read_range("a", offset=5, length=100_000) == data[5:100_005]
    handler.times = 1_000
    with pytest.raises(StoreUnavailable):
        store.read("a")


def test_a_wrong_clock(s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = botocore.compat.get_current_datetime

    def an_hour_ago(*args: bool, **kwargs: bool) -> datetime.datetime:
        return now(*args, **kwargs) - datetime.timedelta(hours=1)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", an_hour_ago)
    with pytest.raises(StoreError, match="clock is wrong"):
        open_store(f"s3://{s3_server.bucket}/x", endpoint=s3_server.endpoint).put("a", b"x")

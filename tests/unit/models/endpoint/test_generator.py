"""Answers from a real HTTP server that fails in every way it is told to."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Timer

import pyarrow as pa
import pytest

from halluc_ray.config import EndpointSystem
from halluc_ray.errors import EndpointUnavailable, QuotaSpent, SpecError
from halluc_ray.models.endpoint import client, generator, pace
from halluc_ray.models.endpoint.generator import EndpointGenerator
from halluc_ray.models.execution import Failure, Generated
from halluc_ray.records import Sample
from halluc_ray.records.schemas import GENERATIONS
from tests.openai_server import Asked, OpenAIServer, Reply, error

KEY = "sk-Top-Secret-0123456789"


class Drawer:
    """Keeps answers in memory, and money spent before."""

    def __init__(self, *, before: float = 0.0) -> None:
        self.before = before
        self.units = GENERATIONS.empty_table()

    def recall(self) -> pa.Table:
        return self.units

    def keep(self, units: pa.Table) -> None:
        self.units = units

    def spent(self, cost: Callable[[pa.Table], float]) -> float:
        return self.before + cost(self.units)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(pace, "BASE_PAUSE_S", 0.01)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def system(server: OpenAIServer, **options) -> EndpointSystem:
    base = {"kind": "endpoint", "name": "e", "url": server.url, "model": "m", "as_of": "1", "template": "{prompt}"}
    return EndpointSystem.model_validate(base | {"retries": 2, "timeout_s": 5} | options)


def sums(number: int) -> list[Sample]:
    return [Sample(k, f"q{k}", {"prompt": f"What is {k} plus 1?"}) for k in range(number)]


def generate(
    server: OpenAIServer, samples: list[Sample], *, kept: Drawer | None = None, key: str | None = None, **options
) -> Generated:
    asking = EndpointGenerator(system(server, **options), key=key)
    try:
        return asking.generate(samples, [], kept=kept or Drawer())
    finally:
        asking.close()


def results(made: Generated) -> list[str]:
    """Each unit's text, or its failure in brackets."""
    pairs = zip(made.table["text"].to_pylist(), made.table["failure"].to_pylist(), strict=True)
    return [text if failure is None else f"[{failure}]" for text, failure in pairs]


TRUE = [str(k + 1) for k in range(9)]


def on(number: int, *replies: Reply | None) -> Callable[[Asked, int], Reply | None]:
    """Replies to the requests of one row, the last one for ever."""
    return lambda asked, nth: replies[min(nth, len(replies) - 1)] if f" {number} plus" in asked.prompt else None


def test_answers_and_their_numbers(server):
    made = generate(server, sums(9), logprobs=True)
    assert made.table.schema == GENERATIONS
    assert results(made) == TRUE
    assert made.table["finish"].to_pylist() == ["stop"] * 9
    assert made.table["logprob"].to_pylist() == [-0.25] * 9
    assert set(made.table["num_output_tokens"].to_pylist()) == {1}
    assert made.notes == {}
    assert {asked.path for asked in server.asked} == {"/v1/chat/completions"}
    assert not [asked for asked in server.asked if "Authorization" in asked.headers]


def test_completions(server):
    assert results(generate(server, sums(9), api="completions", logprobs=True)) == TRUE
    assert {asked.path for asked in server.asked} == {"/v1/completions"}


def test_no_usage_and_no_logprobs_are_unknown_and_not_zero(server):
    server.usage = False
    made = generate(server, sums(2))
    assert results(made) == TRUE[:2]
    for column in ("num_prompt_tokens", "num_output_tokens", "logprob", "truncated"):
        assert made.table[column].null_count == 2


PASSING = {
    "429": error(429, "slow down"),
    "429 for a while": Reply(429, {}, {"Retry-After": "0.2"}),
    "500": Reply(500, b"oops"),
    "503 as HTML": Reply(503, b"<html>", {"Content-Type": "text/html"}),
    "cut": Reply(cut=True),
    "dropped": Reply(drop=True),
    "no JSON": Reply(body=b"<html>hello</html>"),
    "half a JSON": Reply(body=b'{"choices": [{"mess'),
    "no choice": Reply(body={"choices": []}),
    "429 in a 200": Reply(body={"error": {"message": "rate limited", "code": 429}}),
    "slow": Reply(delay_s=0.6),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(server, fault):
    server.behave = on(4, PASSING[fault], None)
    assert results(generate(server, sums(9), timeout_s=0.4)) == TRUE
    assert len(server.asked) == 10


LASTING = {
    "500": (Reply(500, b"oops"), "server_error"),
    "cut": (Reply(cut=True), "server_error"),
    "dropped": (Reply(drop=True), "server_error"),
    "no JSON": (Reply(body=b"<html>hello</html>"), "malformed_reply"),
    "slow": (Reply(delay_s=0.5), "timeout"),
    "too long": (error(400, "This model's maximum context length is 8 tokens"), "prompt_too_long"),
    "filtered": (error(400, "no", code="content_filter"), "content_filter"),
    "refused": (error(422, "no"), "refused_request"),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_row_that_the_server_can_not_answer_fails_alone(server, fault):
    reply, reason = LASTING[fault]
    server.behave = on(4, reply)
    made = generate(server, sums(9), timeout_s=0.3)
    assert results(made) == [*TRUE[:4], f"[{reason}]", *TRUE[5:]]


@pytest.mark.parametrize(("status", "tried"), [(500, 3), (400, 1)])
def test_a_row_alone_in_its_shard_is_told_from_a_server_that_is_away(server, status, tried):
    """Nobody else's answer shows that the server works: it is asked something small."""
    server.behave = on(0, Reply(status, b"no"))
    [result] = results(generate(server, sums(1)))
    assert result == ("[server_error]" if status == 500 else "[refused_request]")
    assert server.prompts == ["What is 0 plus 1?"] * tried + ["Hi"]


def test_a_server_that_refuses_whatever_is_asked_stops_the_run_and_fails_no_row(server):
    server.behave = lambda asked, nth: error(422, "extra fields not permitted")
    kept = Drawer()
    with pytest.raises(SpecError, match=r"systems\[e\]: http.*model 'm': HTTP 422: extra fields not permitted"):
        generate(server, sums(9), kept=kept)


def away(server: OpenAIServer) -> None:
    server.__exit__()


@pytest.mark.parametrize(
    "fault",
    [away]
    + [
        lambda server, reply=reply: setattr(server, "behave", lambda asked, nth: reply)
        for reply in (
            Reply(500, b"oops"),
            Reply(429, {}),
            Reply(drop=True),
            Reply(body=b"no"),
            Reply(503, {}, {"Retry-After": "86400"}),
        )
    ],
    ids=["refused connection", "500", "429", "dropped", "no JSON", "come back tomorrow"],
)
def test_a_server_that_is_away_fails_no_row(server, fault):
    kept = Drawer()
    assert results(generate(server, sums(3), kept=kept)) == TRUE[:3]
    fault(server)
    with pytest.raises(EndpointUnavailable, match=r"systems\[e\]: http://127.* did not answer \(.*\), tried \d times"):
        generate(server, sums(9), kept=kept)


def test_what_was_answered_before_the_server_went_away_is_not_asked_again(server):
    kept = Drawer()
    server.behave = lambda asked, nth: Reply(503, b"") if len(server.asked) > 5 else None
    with pytest.raises(EndpointUnavailable):
        generate(server, sums(9), kept=kept, concurrency=1)
    assert kept.units["text"].to_pylist() == TRUE[:5]
    server.behave, server.asked = lambda asked, nth: None, []
    assert results(generate(server, sums(9), kept=kept)) == TRUE
    assert sorted(server.prompts) == [f"What is {k} plus 1?" for k in range(5, 9)]


def test_answers_are_kept_now_and_then(server, monkeypatch):
    monkeypatch.setattr(generator, "KEEP_EVERY_S", 0.2)
    server.delay_s = 0.1
    seen = []
    kept = Drawer()
    kept.keep = lambda units: seen.append(units.num_rows)
    generate(server, sums(9), kept=kept, concurrency=1)
    assert 2 <= len(seen) <= 4
    assert seen == sorted(seen)


def test_rows_known_to_be_unusable_fail_in_every_draw_and_are_not_asked(server):
    asking = EndpointGenerator(system(server, decoding={"temperature": 1, "samples": 2}), key=None)
    made = asking.generate(sums(1), [Failure(7, "q7", "null_prompt")], kept=Drawer())
    asking.close()
    assert made.table.select(["row", "draw"]).to_pylist() == [{"row": r, "draw": d} for r in (0, 7) for d in (0, 1)]
    assert made.table["failure"].to_pylist() == [None, None, "null_prompt", "null_prompt"]
    assert len(server.asked) == 2


def test_a_row_without_a_prompt_fails_alone(server):
    made = generate(server, [*sums(1), Sample(1, "q1", {})])
    assert results(made) == ["1", "[null_prompt]"]


def test_nothing_to_ask(server):
    assert generate(server, []).table.num_rows == 0
    assert not server.asked


def test_draws_differ_by_their_seeds_and_are_the_same_again(server):
    options = {"decoding": {"temperature": 1, "samples": 3, "seed": 5}}
    made = results(generate(server, sums(4), **options))
    assert len(set(made)) == 12
    assert made == results(generate(server, list(reversed(sums(4))), concurrency=1, **options))


def test_so_many_requests_are_in_flight(server):
    server.delay_s = 0.05
    generate(server, sums(60), concurrency=12)
    assert server.peak == 12


def test_requests_per_minute_hold_for_tries_too(server):
    server.behave = on(3, Reply(500, b"oops"), None)
    generate(server, sums(9), requests_per_minute=1_200)
    at = [asked.at for asked in server.asked]
    assert len(at) == 10
    assert at[-1] - at[0] >= 9 * 0.05 - 0.04


def test_a_pause_asked_of_one_request_holds_all(server):
    server.behave = on(0, Reply(429, {}, {"Retry-After": "0.5"}), None)
    generate(server, sums(9), concurrency=1)
    at = [asked.at for asked in server.asked]
    assert at[1] - at[0] >= 0.5
    assert at[-1] - at[1] < 0.4


def test_a_server_that_calls_the_longest_answer_by_its_other_name(server):
    refusal = error(400, "Use 'max_completion_tokens' instead.", param="max_tokens", code="unsupported_parameter")
    server.behave = lambda asked, nth: refusal if "max_tokens" in asked.body else None
    assert results(generate(server, sums(9), concurrency=1, retries=0)) == TRUE
    assert [("max_completion_tokens" in asked.body) for asked in server.asked] == [False] + [True] * 9


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            error(404, "The model `m` does not exist", code="model_not_found"),
            "look at url .up to /v1., model and api: chat",
        ),
        (error(403, "no"), "look at api_key_env: none is set"),
        (error(400, "not supported", param="temperature"), "change temperature in the spec"),
        (Reply(308, b"", {"Location": "https://elsewhere/v1"}), "moved to https://elsewhere/v1; look at url"),
    ],
)
def test_what_no_request_can_mend_stops_at_once(server, reply, words):
    server.behave = lambda asked, nth: reply
    with pytest.raises(SpecError, match=words) as caught:
        generate(server, sums(50), concurrency=4)
    assert "systems[e]" in str(caught.value)
    assert "model 'm'" in str(caught.value)
    assert len(server.asked) <= 8


def test_the_key_is_sent_and_is_in_no_message(server):
    server.key = KEY
    assert results(generate(server, sums(2), key=KEY)) == TRUE[:2]
    wrong = "sk-Wrong-0123456789"
    with pytest.raises(SpecError, match="look at the key in the environment variable MY_KEY") as caught:
        generate(server, sums(2), key=wrong, api_key_env="MY_KEY")
    assert wrong not in str(caught.value)
    assert "***" in str(caught.value), "the server repeats it"


@pytest.mark.parametrize("before", range(376, 402, 5))
@pytest.mark.parametrize("status", [401, 200])
def test_no_part_of_the_key_is_left_where_a_message_is_cut(server, before, status):
    said = f"{'x' * before}{KEY} is wrong, and more of it".encode()
    server.behave = lambda asked, nth: Reply(status, said)
    with pytest.raises((SpecError, EndpointUnavailable)) as caught:
        generate(server, sums(1), key=KEY, retries=0)
    assert "sk-T" not in str(caught.value)


def test_a_key_is_not_carried_to_where_a_redirect_leads(server):
    with OpenAIServer() as other:
        server.behave = lambda asked, nth: Reply(307, b"", {"Location": f"{other.url}/chat/completions"})
        with pytest.raises(SpecError, match="moved to"):
            generate(server, sums(1), key=KEY)
        assert not other.asked


def test_credentials_of_other_tools_are_not_sent(server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    generate(server, sums(1))
    generate(server, sums(1), key=KEY)
    assert [asked.headers.get("Authorization") for asked in server.asked] == [None, f"Bearer {KEY}"]


def test_the_environment_s_proxy_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    asking = system(server).model_copy(update={"url": "http://models.invalid/v1"})
    made = EndpointGenerator(asking, key=None)
    assert results(made.generate(sums(1), [], kept=Drawer())) == ["1"]
    made.close()
    assert server.asked[0].path == "http://models.invalid/v1/chat/completions"


def test_reasoning_in_tags_or_apart_is_no_part_of_the_answer(server):
    server.answer = lambda body: "<think>1, 2 …</think> Seven"
    made = generate(server, sums(1), reasoning={})
    assert results(made) == ["Seven"]
    assert made.table["raw_text"].to_pylist() == ["<think>1, 2 …</think> Seven"]

    apart = {"message": {"content": "Seven", "reasoning_content": "1, 2 …"}}
    server.behave = lambda asked, nth: Reply(body=server.completion(asked, **apart))
    made = generate(server, sums(1))
    assert results(made) == ["Seven"]
    assert made.table["raw_text"].to_pylist() == ["<think>1, 2 …</think>Seven"]


@pytest.mark.parametrize(("on_unclosed", "result"), [("failed", "[unclosed_reasoning]"), ("answer", "1, 2 …")])
def test_reasoning_that_never_ends(server, on_unclosed, result):
    cut = {"message": {"content": None, "reasoning_content": "1, 2 …"}, "finish_reason": "length"}
    server.behave = lambda asked, nth: Reply(body=server.completion(asked, **cut))
    assert results(generate(server, sums(1), reasoning={"on_unclosed": on_unclosed})) == [result]


def test_reasoning_that_is_kept_secret_and_takes_all_room(server):
    def spent(asked: Asked, nth: int) -> Reply:
        body = server.completion(asked, message={"content": ""}, finish_reason="length")
        body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 64}
        return Reply(body=body)

    server.behave = spent
    made = generate(server, sums(1))
    assert results(made) == ["[unclosed_reasoning]"]
    assert made.table["num_reasoning_tokens"].to_pylist() == [64]


def test_a_certificate_that_nobody_signed_is_refused(server, tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with OpenAIServer(tls=context) as secret:
        with pytest.raises(SpecError, match=r"systems\[e\]\.url: https://.*CERTIFICATE_VERIFY_FAILED"):
            generate(secret, sums(1), key=KEY)
        assert not secret.asked


def test_what_is_no_web_server_is_away(server):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_speak_nonsense, args=(listening,), daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(EndpointUnavailable, match="did not answer"):
            generate(server, sums(2), url=url, retries=0)


def _speak_nonsense(listening: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.recv(65_536)
            connection.sendall(b"220 smtp.example ESMTP\r\n")
            connection.close()


def test_a_reply_without_end_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(client, "MAX_REPLY_BYTES", 1_000_000)
    server.behave = on(1, Reply(body=b" " * 4_000_000))
    assert results(generate(server, sums(3))) == ["1", "[server_error]", "3"]


PRICES = {"price_input": 1000.0, "price_output": 100.0}


def cost(asked: list[Asked]) -> float:
    """Of 8 tokens in and 1 out for each request, in money."""
    return len(asked) * (8 * 1000 + 100) / 1e6


def test_what_the_answers_cost_is_noted(server):
    assert generate(server, sums(9), **PRICES).notes == {"cost_micro": round(cost(server.asked) * 1e6)}


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_cap_on_the_cost_holds_and_what_was_paid_is_kept(server, concurrency):
    kept = Drawer(before=0.05 * 1e6)
    options = PRICES | {"max_cost": 0.35, "concurrency": concurrency}
    with pytest.raises(QuotaSpent, match=r"systems\[e\]\.max_cost: 0\.35; 0\.\d+ is spent, and the next request may"):
        generate(server, sums(60), kept=kept, **options)
    paid = len(server.asked)
    assert 0 < 0.05 + cost(server.asked) <= 0.35
    assert kept.units.num_rows == paid
    made = generate(server, sums(60), kept=kept, **PRICES, max_cost=0.7)
    assert len(server.asked) == 60, "only what was missing is paid for"
    assert results(made) == [str(k + 1) for k in range(60)]
    assert made.notes == {"cost_micro": round(cost(server.asked) * 1e6)}


def test_a_cap_below_one_request_sends_none(server):
    with pytest.raises(QuotaSpent, match=r"0 is spent, and the next request may cost 0\.\d+"):
        generate(server, sums(3), **PRICES, max_cost=0.01)
    assert not server.asked


def test_a_cap_without_usage_is_refused(server):
    server.usage = False
    with pytest.raises(SpecError, match=r"max_cost: 9 can't be held: http.* states no usage"):
        generate(server, sums(3), **PRICES, max_cost=9)


@pytest.mark.parametrize("usage", [{"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": 8}])
def test_a_cap_is_not_held_by_counts_that_no_request_has(server, usage):
    body = {"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "usage": usage}
    server.behave = lambda asked, nth: Reply(200, body)
    with pytest.raises(SpecError, match="states no usage"):
        generate(server, sums(3), **PRICES, max_cost=9)


def test_a_key_without_quota_stops_and_the_same_command_goes_on(server):
    server.behave = lambda asked, nth: error(429, "quota", code="insufficient_quota") if len(server.asked) > 4 else None
    kept = Drawer()
    with pytest.raises(QuotaSpent, match="HTTP 429: quota"):
        generate(server, sums(9), kept=kept, concurrency=1)
    assert kept.units.num_rows == 4
    assert len(server.asked) == 5


def test_a_server_that_comes_back_is_waited_for(server):
    away(server)
    timer = Timer(0.3, server.__enter__)
    timer.start()
    began = time.monotonic()
    assert results(generate(server, sums(9), retries=12)) == TRUE
    assert time.monotonic() - began > 0.25

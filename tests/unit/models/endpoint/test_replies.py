"""Answers and refusals in the shapes that servers really send."""

import json
import math

import pytest

from halluc_ray.models.endpoint.replies import Answer, Fate, MalformedReply, error_within, read_answer, read_refusal

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Paris", "refusal": None}, "finish_reason": "stop"}
    ],
    "usage": {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "completion_tokens_details": {"reasoning_tokens": 7},
    },
}


def chat(message: dict | None = None, **choice: object) -> Answer:
    base = CHAT["choices"][0]
    changed = base | {"message": base["message"] | (message or {})} | choice
    return read_answer(json.dumps(CHAT | {"choices": [changed]}).encode(), api="chat")


def test_an_answer_with_its_usage():
    assert chat() == Answer(
        text="Paris", finish="stop", num_prompt_tokens=19, num_output_tokens=10, num_reasoning_tokens=7
    )


def test_completions_with_the_logprobs_of_their_tokens():
    """The first token of an echoed prompt has none."""
    choice = {"text": " Paris.", "finish_reason": "length", "logprobs": {"token_logprobs": [None, -0.5, -0.25]}}
    found = read_answer(json.dumps({"choices": [choice]}).encode(), api="completions")
    assert found == Answer(text=" Paris.", finish="length", logprob=-0.75)


def test_logprobs_of_a_chat_are_summed_exactly():
    values = [-0.1] * 10 + [-1e16, 1e16]
    assert chat(logprobs={"content": [{"logprob": v} for v in values]}).logprob == math.fsum(values)
    assert chat(logprobs={"content": []}).logprob is None
    assert chat(logprobs=None).logprob is None


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": ""}, ""),
        ({"content": None, "refusal": "I can't help with that."}, "I can't help with that."),
        ({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "巴"}, {"text": "黎"}]}, "巴黎"),
        ({"content": "half \ud83d of a pair, whole \ud83d\ude00"}, "half \ufffd of a pair, whole 😀"),
    ],
)
def test_texts(message, text):
    assert chat(message).text == text


def test_reasoning_that_the_server_keeps_apart():
    assert chat({"reasoning_content": "Hm."}).reasoning == "Hm."
    assert chat({"reasoning": "Hm."}).reasoning == "Hm."


@pytest.mark.parametrize(
    ("choice", "failure"),
    [
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"finish_reason": "tool_calls", "message": {"content": None, "tool_calls": [{}]}}, "no_text"),
    ],
)
def test_no_answer_to_score(choice, failure):
    found = chat(**choice)
    assert (found.text, found.failure, found.num_prompt_tokens) == (None, failure, 19)


@pytest.mark.parametrize(
    ("named", "finish"),
    [("stop", "stop"), ("length", "length"), ("max_tokens", "length"), ("eos_token", "stop"), (None, None)],
)
def test_ends(named, finish):
    assert chat(finish_reason=named).finish == finish


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": [1]}',
        b'{"choices": [{"message": "hi"}]}',
        b'{"choices": [{"message": {"content": "cu',
        b"[" * 100_000,
    ],
    ids=lambda data: data[:24].decode(errors="replace"),
)
def test_what_holds_no_answer(data):
    with pytest.raises(MalformedReply):
        read_answer(data, api="chat")


@pytest.mark.parametrize("count", [-1, "12", 1.5, True, 2**40])
def test_a_count_that_is_none_is_not_known(count):
    data = CHAT | {"usage": {"prompt_tokens": count, "completion_tokens": count}}
    found = read_answer(json.dumps(data).encode(), api="chat")
    assert (found.num_prompt_tokens, found.num_output_tokens) == (None, None)


OPENAI_LENGTH = {
    "error": {
        "message": "This model's maximum context length is 8192 tokens. Your messages resulted in 9999 tokens.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}
LLAMA_CPP_LENGTH = {
    "error": {
        "code": 400,
        "message": "the request exceeds the available context size",
        "type": "exceed_context_size_error",
    }
}
VLLM_LENGTH = {"object": "error", "message": "This model's maximum context length is 2048 tokens.", "code": 400}
RENAMED = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
        "instead.",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
}
NO_TEMPERATURE = {
    "error": {"message": "Only the default (1) is supported", "param": "temperature", "code": "unsupported_value"}
}
NO_MONEY = {
    "error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}
}
FILTERED = {"error": {"message": "The response was filtered", "code": "content_filter", "status": 400}}


@pytest.mark.parametrize(
    ("status", "body", "fate", "reason"),
    [
        (400, OPENAI_LENGTH, Fate.ROW, "prompt_too_long"),
        (400, LLAMA_CPP_LENGTH, Fate.ROW, "prompt_too_long"),
        (400, VLLM_LENGTH, Fate.ROW, "prompt_too_long"),
        (413, {"error": "Input is too long"}, Fate.ROW, "prompt_too_long"),
        (400, FILTERED, Fate.ROW, "content_filter"),
        (422, {"detail": [{"loc": ["body"], "msg": "value is not a valid dict"}]}, Fate.ROW, "refused_request"),
        (400, "what?", Fate.ROW, "refused_request"),
        (400, RENAMED, Fate.RENAME, None),
        (400, NO_TEMPERATURE, Fate.STOP, None),
        (429, NO_MONEY, Fate.QUOTA, None),
        (402, {}, Fate.QUOTA, None),
        (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, Fate.RETRY, None),
        *[(status, "", Fate.RETRY, None) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)],
        *[(status, "", Fate.STOP, None) for status in (301, 308, 401, 403, 404, 405)],
    ],
)
def test_what_a_refusal_means(status, body, fate, reason):
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    found = read_refusal(status, data)
    assert found.fate is fate
    if fate is Fate.ROW:
        assert found.reason == reason


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b'{"error": {"message": "rate limited", "code": 429}}', 429),
        (b'{"error": {"message": "upstream", "code": "bad"}}', 500),
        (b'{"error": {"code": true}}', 500),
        (b'{"error": "upstream"}', None),
        (b"[]", None),
        (b"<html>", None),
    ],
)
def test_errors_in_the_body_of_a_200(data, status):
    found = error_within(data)
    assert (found.status if found else None) == status


@pytest.mark.parametrize("data", [b"", b"\xff", b"null", b"3", b'{"error": null}', b"[" * 100_000, b"x" * 10_000_000])
def test_a_refusal_of_any_shape_is_read_and_shortened(data):
    assert len(str(read_refusal(500, data))) < 500

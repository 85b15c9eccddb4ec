"""What is sent for a unit."""

import pytest

from halluc_ray.config import EndpointSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.endpoint.requests import RequestWriter, request_seed, request_url
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.records import Sample, Turn

SAMPLE = Sample(3, "q3", {"prompt": "Où?", "context": "巴黎"})


def system(**options) -> EndpointSystem:
    base = {"kind": "endpoint", "name": "e", "url": "http://h/v1", "model": "m", "as_of": "1", "template": "{prompt}"}
    return EndpointSystem.model_validate(base | options)


def body(sample: Sample = SAMPLE, draw: int = 0, **options) -> dict:
    return RequestWriter(system(**options)).body(sample, draw)


def test_a_greedy_chat():
    assert body() == {
        "model": "m",
        "messages": [{"role": "user", "content": "Où?"}],
        "max_tokens": 64,
        "temperature": 0,
    }


def test_everything_that_a_chat_may_say():
    shot = {"fields": {"prompt": "Wer?", "context": "x"}, "answer": "Ich"}
    decoding = {"temperature": 0.5, "top_p": 0.9, "samples": 2, "seed": 4, "stop": ["\n"], "max_new_tokens": 5}
    said = body(
        draw=1, template="{context}: {prompt}", system="Be brief.", shots=[shot], decoding=decoding, logprobs=True
    )
    assert said.pop("messages") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "x: Wer?"},
        {"role": "assistant", "content": "Ich"},
        {"role": "user", "content": "巴黎: Où?"},
    ]
    assert said == {
        "model": "m",
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": request_seed(4, "q3", 1),
        "stop": ["\n"],
        "logprobs": True,
    }


def test_a_conversation_goes_as_it_is():
    turns = (Turn("system", "s"), Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"))
    said = body(Sample(0, "q", {}, turns=turns), template="{messages}")
    assert [(m["role"], m["content"]) for m in said["messages"]] == [(t.role, t.content) for t in turns]


def test_a_completion_is_one_text():
    said = body(api="completions", template="Q: {prompt}\nA:", logprobs=True)
    assert (said["prompt"], said["logprobs"], "messages" in said) == ("Q: Où?\nA:", 1, False)


def test_seeds_differ_by_draw_id_and_seed_and_fit_31_bits():
    seeds = {request_seed(s, id_, draw) for s in (0, 1, -5) for id_ in ("a", "b", "\0", "é") for draw in range(200)}
    assert len(seeds) == 3 * 4 * 200
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert body(decoding={"temperature": 1})["seed"] == body(decoding={"temperature": 0.5})["seed"]


@pytest.mark.parametrize(
    ("sample", "options", "reason"),
    [
        (Sample(0, "q", {}), {}, "null_prompt"),
        (Sample(0, "q", {"prompt": ""}), {"api": "completions"}, "empty_prompt"),
    ],
)
def test_rows_that_nothing_can_be_asked_of(sample, options, reason):
    with pytest.raises(UnusableRow) as caught:
        body(sample, **options)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://h:8000/v1", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1/", "http://h:8000/v1/chat/completions"),
        ("https://h", "https://h/chat/completions"),
        (
            "https://h/openai/deployments/d?api-version=1",
            "https://h/openai/deployments/d/chat/completions?api-version=1",
        ),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_where_requests_go(url, wanted):
    assert str(request_url(system(url=url), "chat/completions")) == wanted


@pytest.mark.parametrize(
    "url", ["http://", "http:///v1", "http://h:port/v1", "http://[::1/v1", "http://me:secret@h/v1"]
)
def test_what_is_no_place_of_a_server_is_refused_without_its_secrets(url):
    with pytest.raises(SpecError, match=r"systems\[e\]\.url: ") as caught:
        request_url(system(url=url), "chat/completions")
    assert "secret" not in str(caught.value)

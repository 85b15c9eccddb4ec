"""Webhooks against a real server that refuses, delays and dies."""

import time

import pytest

from halluc_ray.errors import HallucRayError, InputError, RunIncomplete
from halluc_ray.storage.local import LocalStore
from halluc_ray.suites.messages import message, slack
from halluc_ray.suites.nightly import SpecNight, SuiteNight
from halluc_ray.suites.notify import NotTold, post, tell
from halluc_ray.suites.suite import Channel
from tests.unit.suites.hooks import hook
from tests.unit.suites.test_nights import a_night


def send(url, **changes):
    post(url, {"a": "é"}, key="k", **{"limit_s": 5.0, **changes})


def test_a_message_is_posted_once_as_json():
    with hook() as told:
        send(told.url)
    assert told.bodies == [{"a": "é"}]
    assert told.headers[0]["Content-Type"] == "application/json"
    assert told.headers[0]["Idempotency-Key"] == "k"


def test_what_may_pass_is_tried_again_under_the_same_key():
    with hook(503, 429) as told:
        send(told.url)
    assert len(told.bodies) == 3
    assert {headers["Idempotency-Key"] for headers in told.headers} == {"k"}


def test_a_pause_that_is_asked_for_is_made():
    with hook((429, {"Retry-After": "1.2"}, 0)) as told:
        began = time.monotonic()
        send(told.url)
        assert time.monotonic() - began > 1.2
    assert len(told.bodies) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
def test_what_is_refused_for_good_is_tried_once(status):
    with hook((status, {"Location": "http://127.0.0.1:1/"}, 0)) as told, pytest.raises(NotTold) as trouble:
        send(told.url)
    assert len(told.bodies) == 1
    assert str(trouble.value) == f"127.0.0.1 refused the message: HTTP {status}; look at the webhook's address"


@pytest.mark.parametrize(
    "reply", [503, (200, {}, 5.0), (429, {"Retry-After": "inf"}, 0), (429, {"Retry-After": "x"}, 0)]
)
def test_the_time_is_bounded(reply):
    with hook(*[reply] * 50) as told:
        began = time.monotonic()
        with pytest.raises(
            NotTold, match=r"127\.0\.0\.1 did not take the message within 0.6 s; the last try: "
        ) as trouble:
            send(told.url, limit_s=0.6)
        assert time.monotonic() - began < 3
    assert "SECRET" not in str(trouble.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "http://host.invalid/x",
        "http://",
        "http://[::1/x",
        "http://a:b:c/",
        f"http://{'a' * 64}/",
    ],
)
def test_where_nobody_listens(url):
    with pytest.raises(NotTold):
        send(url, limit_s=0.3)


def suite_night(**changes):
    specs = (SpecNight("facts", night=a_night("2026-11-24"), done=None, new=True),)
    return SuiteNight(**{"suite": "qa", "date": "2026-11-24", "specs": specs, "missed": ("2026-11-22",), **changes})


def test_a_night_is_told_once_to_each_channel(tmp_path):
    store = LocalStore(tmp_path)
    with hook() as json_hook, hook() as slack_hook:
        channels = (Channel(url=json_hook.url), Channel(url=slack_hook.url, form="slack"))
        assert tell(store, suite_night(), channels) == []
        assert tell(store, suite_night(), channels) == []
    assert len(json_hook.bodies) == len(slack_hook.bodies) == 1
    said = json_hook.bodies[0]
    assert (said["suite"], said["date"], said["status"]) == ("qa", "2026-11-24", "done")
    assert said["missed"] == ["2026-11-22"]
    assert slack_hook.bodies[0]["text"] == "qa, night of 2026-11-24: done; missed nights: 2026-11-22"


def test_a_failed_message_is_told_the_next_time(tmp_path):
    store = LocalStore(tmp_path)
    with hook(404) as told:
        channels = (Channel(url=told.url),)
        [trouble] = tell(store, suite_night(), channels)
        assert trouble.startswith("notify[0]: 127.0.0.1 refused the message: HTTP 404")
        assert tell(store, suite_night(), channels) == []
    assert len(told.bodies) == 2


def test_an_unfinished_night_is_told_each_time(tmp_path):
    store = LocalStore(tmp_path)
    broken = suite_night(specs=(SpecNight("facts", error=RunIncomplete("3 of 5 <shards>")),))
    with hook() as told:
        channels = (Channel(url=told.url, when="not_pass"),)
        assert tell(store, broken, channels) == tell(store, broken, channels) == []
    assert [body["status"] for body in told.bodies] == ["incomplete"] * 2
    assert told.bodies[0]["specs"] == [
        {"spec": "facts", "status": "incomplete", "error": "RunIncomplete: 3 of 5 <shards>"}
    ]


def test_who_asks_for_trouble_only_hears_of_no_good_night(tmp_path):
    with hook() as told:
        assert tell(LocalStore(tmp_path), suite_night(), (Channel(url=told.url, when="not_pass"),)) == []
    assert told.bodies == []


def test_an_address_comes_from_the_environment(tmp_path, monkeypatch):
    channels = (Channel(url_env="NO_SUCH_HOOK"),)
    monkeypatch.delenv("NO_SUCH_HOOK", raising=False)
    [trouble] = tell(LocalStore(tmp_path), suite_night(), channels)
    assert trouble.startswith("notify[0]: the environment variable NO_SUCH_HOOK holds no http(s) address")
    with hook() as told:
        monkeypatch.setenv("NO_SUCH_HOOK", told.url + "\n")
        assert tell(LocalStore(tmp_path), suite_night(), channels) == []
    assert len(told.bodies) == 1


def test_the_worst_spec_names_the_night():
    specs = (SpecNight("a", error=InputError("no checkpoint")), SpecNight("b", error=RunIncomplete("cut")))
    assert message(suite_night(specs=specs))["status"] == "error"


def test_what_shards_failed_of_is_not_told_for_it_may_quote_a_sample():
    reasons = "2 of 9 shards could not be computed\nshard 0a: ValueError: Zanzibar is an island\nTraceback ..."
    for error in (RunIncomplete(reasons), HallucRayError("ValueError: Zanzibar is an island")):
        said = message(suite_night(specs=[SpecNight("a", error=error)]))
        assert "Zanzibar" not in str(said) + str(slack(said))


def test_a_message_tells_where_the_suites_page_lies():
    said = message(suite_night(specs=[]), site="s3://evals/site/qa/index.html")
    assert said["site"] == "s3://evals/site/qa/index.html"
    assert said["site"] in slack(said)["blocks"][0]["text"]["text"]
    assert message(suite_night(specs=[]))["site"] is None


def test_slack_gets_no_markup_from_names_and_no_more_than_it_takes():
    specs = tuple(SpecNight(f"s{k}", error=RunIncomplete("<!channel> & " + "x" * 5000)) for k in range(100))
    sent = slack(message(suite_night(specs=specs)))
    assert len(sent["blocks"]) <= 50
    texts = [block["text"]["text"] for block in sent["blocks"]]
    assert max(map(len, texts)) <= 3000
    assert "&lt;!channel&gt; &amp; x" in texts[1]
    assert texts[-1] == "and 55 more specs"

"""Shards of an endpoint: what is paid twice (nothing), what a stage covers, what is left in the store."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halluc_ray.config import load_spec
from halluc_ray.engine import shard_run
from halluc_ray.engine.plan import Plan, build_plan
from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.errors import EndpointUnavailable, QuotaSpent, SpecError
from halluc_ray.evaluation.planning import done_shards, has_models, missing_tasks, plan_on, prepare
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.models.endpoint import pace
from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.storage.commits import read_commit, sweep
from halluc_ray.wiring.generators import load_generator
from halluc_ray.wiring.indicators import wire_indicators
from tests.openai_server import OpenAIServer, Reply
from tests.unit.engine.whole import answers, plan_of, report_of, spec_of, write

ROWS, SHARD_ROWS = 30, 10
PRICES = {"price_input": 1000.0, "price_output": 100.0}
COST = (8 * 1000 + 100) / 1e6
"""Of one answer, in money: 8 tokens in, 1 out."""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(pace, "BASE_PAUSE_S", 0.01)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write(tmp_path / "c" / "one.parquet", answers(range(ROWS)), group_rows=SHARD_ROWS)


def endpoint(server: OpenAIServer, **options: Any) -> dict[str, Any]:
    base = {"kind": "endpoint", "name": "e", "url": server.url, "model": "m", "as_of": "1", "concurrency": 1}
    return base | {"retries": 0} | options


def planned(corpus: Path, output: Path, system: dict[str, Any]) -> Plan:
    return plan_of(spec_of(corpus, output, systems=[system], engine={"shard_rows": SHARD_ROWS}))


def compute(plan: Plan, *, at_most: int | None = None) -> ObjectStore:
    """Do what is missing, as one actor would."""
    run = RunFolder(open_store(plan.context.spec.output), plan.run_id)
    run.begin(plan)
    [system] = plan.context.systems
    asking = load_generator(system.resolved, plan.context.spec.store, bitwise=True)
    indicators = [wired.indicator for wired in wire_indicators(plan.context.spec.indicators)]
    runner = ShardRunner(plan.context, store=run.store, indicators=indicators, generator_for=lambda system: asking)
    try:
        for task in missing_tasks(plan, done_shards(run.store, plan))[:at_most]:
            runner.run(task)
    finally:
        asking.close()
    return run.store


def kept(store: ObjectStore) -> list[str]:
    return [info.key for info in store.list("stages/") if ".answers." in info.key]


def test_a_whole_run_and_another_with_nothing_to_ask(server, corpus, tmp_path):
    plan = planned(corpus, tmp_path / "out", endpoint(server))
    store = compute(plan)
    report = report_of(RunFolder(store, plan.run_id))
    [rate] = [rate for rate in report["rates"] if not rate["slice"]]
    assert (rate["supported"], rate["hallucinated"], rate["not_applicable"]) == (27, 0, 3)
    assert sorted(server.prompts) == sorted(answers(range(ROWS))["question"])
    assert report["systems"][0]["determinism"] == "scheduled"
    assert f"|system:e=endpoint@{plan.context.systems[0].generate.digest[:12]}(scheduled,1)|" in report["signature"]
    compute(planned(corpus, tmp_path / "out", endpoint(server, concurrency=9, url=server.url + "/")))
    assert len(server.asked) == ROWS
    assert not kept(store)


def test_a_try_that_ends_within_a_shard_is_gone_on_with_where_it_ended(server, corpus, tmp_path):
    plan = planned(corpus, tmp_path / "out", endpoint(server))
    server.behave = lambda asked, nth: Reply(503, b"") if len(server.asked) > 14 else None
    with pytest.raises(EndpointUnavailable):
        compute(plan)
    answered = server.prompts[:14]
    server.behave, server.asked = lambda asked, nth: None, []
    store = compute(plan)
    assert sorted([*answered, *server.prompts]) == sorted(answers(range(ROWS))["question"])
    assert not kept(store)

    whole = tmp_path / "whole"
    compute(planned(corpus, whole, endpoint(server)))
    assert report_of(RunFolder(open_store(str(whole)), plan.run_id)) == report_of(RunFolder(store, plan.run_id))


def test_answers_kept_by_a_process_that_was_killed_are_found_and_forgotten(server, corpus, tmp_path, monkeypatch):
    """Killed between the commit and the end of its try: the answers stay behind, and are swept."""
    plan = planned(corpus, tmp_path / "out", endpoint(server, **PRICES, max_cost=1))
    server.behave = lambda asked, nth: Reply(503, b"") if len(server.asked) > 4 else None
    with pytest.raises(EndpointUnavailable):
        compute(plan, at_most=1)
    server.behave = lambda asked, nth: None
    with monkeypatch.context() as patch:
        patch.setattr(shard_run.KeptAnswers, "forget", lambda self: None)
        store = compute(plan, at_most=1)
    assert len(kept(store)) == 1
    [system] = plan.context.systems
    counter = shard_run.Costs(store)
    spent = shard_run.KeptAnswers(store, system.generate.name, "another", costs=counter).spent(lambda units: 1e9)
    assert spent == pytest.approx(10 * COST * 1e6), "what is committed is not counted a second time"
    sweep(store, system.generate.name)
    assert not kept(store)
    compute(plan)
    assert len([prompt for prompt in server.prompts if prompt != "Hi"]) == 4 + 1 + 6 + 20


def test_a_cap_holds_over_shards_runs_and_kept_answers(server, corpus, tmp_path):
    plan = planned(corpus, tmp_path / "out", endpoint(server, **PRICES, max_cost=15.5 * COST + 0.2))
    for _ in range(3):
        with pytest.raises(QuotaSpent):
            compute(plan)
        assert len(server.asked) * COST <= 15.5 * COST + 0.2
    assert 15 <= len(server.asked) < ROWS
    raised = planned(corpus, tmp_path / "out", endpoint(server, **PRICES, max_cost=1.0))
    assert raised.run_id == plan.run_id
    store = compute(raised)
    assert len(server.asked) == ROWS
    [system] = plan.context.systems
    notes = [read_commit(store, system.generate.name, shard.key).notes for shard in plan.shards(system)]
    assert notes == [{"cost_micro": round(10 * COST * 1e6)}] * 3


def test_draws_of_an_endpoint_are_units(server, corpus, tmp_path):
    decoding = {"temperature": 0.7, "samples": 2}
    plan = planned(corpus, tmp_path / "out", endpoint(server, decoding=decoding))
    report = report_of(RunFolder(compute(plan), plan.run_id))
    assert [rate["rows"] for rate in report["rates"] if not rate["slice"]] == [2 * ROWS]
    assert len({asked.body["seed"] for asked in server.asked}) == 2 * ROWS


CHANGES = [
    ({"url": "http://elsewhere/v1"}, False),
    ({"concurrency": 100}, False),
    ({"requests_per_minute": 5}, False),
    ({"timeout_s": 5}, False),
    ({"retries": 9}, False),
    ({"api_key_env": "SOME_KEY"}, False),
    ({"price_input": 1, "max_cost": 5}, False),
    ({"name": "renamed"}, False),
    ({"decoding": {"seed": 5}}, False),
    ({"template": "{prompt}"}, False),
    ({"as_of": "2"}, True),
    ({"model": "other"}, True),
    ({"api": "completions"}, True),
    ({"system": "Be brief."}, True),
    ({"template": "Q: {prompt}"}, True),
    ({"logprobs": True}, True),
    ({"reasoning": {"tags": ["think"]}}, True),
    ({"decoding": {"max_new_tokens": 5}}, True),
    ({"decoding": {"temperature": 1}}, True),
    ({"decoding": {"stop": ["."]}}, True),
]


@pytest.mark.parametrize(("change", "new"), CHANGES, ids=lambda value: json.dumps(value))
def test_what_makes_the_answers_new(server, corpus, tmp_path, change, new):
    before = planned(corpus, tmp_path / "out", endpoint(server))
    after = planned(corpus, tmp_path / "out", endpoint(server) | copy.deepcopy(change))
    was, now = (plan.context.systems[0].generate.name for plan in (before, after))
    assert (was != now) is new
    assert "127.0.0.1" not in json.dumps(before.record.model_dump(mode="json"))


def test_no_gpu_is_asked_for_and_no_cluster_to_plan(server, corpus, tmp_path):
    plan = planned(corpus, tmp_path / "out", endpoint(server))
    assert not has_models(plan.context.spec)
    assert plan_on(plan.context.spec, None).run_id == plan.run_id
    assert [stage.rows_to_do for stage in prepare(plan.context.spec).stages] == [ROWS] * 3


def test_a_key_that_is_not_there_is_named(server, corpus, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    plan = planned(corpus, tmp_path / "out", endpoint(server, api_key_env="NO_SUCH_KEY"))
    for value in ("", "  \n", "ключ"):
        monkeypatch.setenv("NO_SUCH_KEY", value)
        with pytest.raises(SpecError, match=r"systems\[e\]\.api_key_env: NO_SUCH_KEY (is not set|holds characters)"):
            compute(plan)
    assert not server.asked


def test_the_plan_says_what_asking_takes(server, corpus, tmp_path, monkeypatch):
    """30 questions of 16.7 bytes on average, at most 64 tokens an answer, two draws each."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    decoding = {"temperature": 1, "samples": 2}
    system = endpoint(server, api_key_env="NO_SUCH_KEY", decoding=decoding, price_output=1000.0)
    plan = planned(corpus, tmp_path / "out", system)
    missing, money = prepare(plan.context.spec).notes
    assert "NO_SUCH_KEY is not set" in missing
    assert money.startswith("e may cost about 3.8: 60 requests by its prices")
    monkeypatch.setenv("NO_SUCH_KEY", "k")
    compute(plan)
    assert not prepare(plan.context.spec).notes


def test_the_example_runs_as_it_is_written(server, tmp_path):
    questions = {"id": ["a", "b"], "question": ["What is 1 plus 1?"] * 2, "answers": [["2"], ["3", "three"]]}
    corpus = write(tmp_path / "facts.parquet", questions | {"relation": ["sum"] * 2, "lang": ["en"] * 2})
    example = Path(__file__).parents[3] / "examples" / "endpoint.yaml"
    changes = [f"corpus.uri={corpus}", f"systems.0.url={server.url}", f"output={tmp_path / 'out'}"]
    plan = build_plan(load_spec(example.read_text(), source=str(example), overrides=changes), device="cpu")
    report = report_of(RunFolder(compute(plan), plan.run_id))
    assert [(r["supported"], r["hallucinated"]) for r in report["rates"] if not r["slice"]] == [(1, 1)]
    assert server.prompts == ["What is 1 plus 1? Answer with the name only."] * 2


def test_a_url_that_holds_a_password_is_refused_by_the_plan(server, corpus, tmp_path):
    with pytest.raises(SpecError, match=r"systems\[e\]\.url: holds a user or a password"):
        planned(corpus, tmp_path / "out", endpoint(server, url="http://me:secret@127.0.0.1/v1"))

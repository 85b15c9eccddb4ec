"""Previews: the rows, prompts, answers and verdicts that a run would have; nothing kept, no Ray."""

import json
import os
import subprocess
import sys

import pytest
from transformers import AutoTokenizer
from typer.testing import CliRunner

from halluc_ray.cli.app import app
from halluc_ray.config import RunSpec
from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.evaluation.preview import Wish, preview
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.storage import open_store
from halluc_ray.wiring.generators import load_generator
from halluc_ray.wiring.indicators import wire_indicators
from tests.openai_server import OpenAIServer
from tests.tiny_models import save_classifier
from tests.unit.engine.whole import plan_of, report_of, spec_of, write
from tests.unit.models.chains import save_chain

CHAINS = [["go", "<think>", "2+2", "is", "4", "</think>", "Four"], ["no", "Plain", "answer"]]
ROWS = {
    "id": [f"r{k}" for k in range(8)],
    "question": ["skip", "go", None, "no", "skip", "go go go go", "no", "go"],
    "truth": ["x", "Four", "Four", "Five", "x", "Four", None, "Four"],
    "answer": ["x", "Four", "Four", "Plain answer", "x", "\x1b[31mred", "Paris", "Four"],
    "keep": [k not in (0, 4) for k in range(8)],
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    return save_chain(tmp_path_factory.mktemp("chain"), *CHAINS)


@pytest.fixture
def spec(tmp_path, chain):
    corpus = write(tmp_path / "c" / "one.parquet", ROWS, group_rows=3)
    model = {"kind": "causal-lm", "name": "thinker", "checkpoint": str(chain), "reasoning": {}, "max_input_tokens": 2}
    return spec_of(
        corpus,
        tmp_path / "out",
        corpus={"where": "keep"},
        systems=[model | {"decoding": {"max_new_tokens": 8}}, {"kind": "recorded", "name": "clerk"}],
        engine={"device": "cuda", "accelerator": "H100"},
    )


def shown(spec, **wish):
    return list(preview(RunSpec.model_validate(spec), Wish(**wish)))


def test_rows_are_those_of_a_run_in_its_order(spec):
    rows = shown(spec, rows=4)
    assert [(row.system, row.id) for row in rows] == [
        (system, id_) for system in ("thinker", "clerk") for id_ in ("r1", "r2", "r3", "r5")
    ]
    assert [row.id for row in shown(spec, rows=100, systems=("clerk",))] == ["r1", "r2", "r3", "r5", "r6", "r7"]


def test_prompt_answer_and_verdict(spec, chain):
    first, null, other, long = shown(spec, rows=4, systems=("thinker",))
    tokenizer = AutoTokenizer.from_pretrained(chain)
    assert list(first.prompt.token_ids) == tokenizer("go")["input_ids"]
    [unit] = first.units
    assert (unit.output["text"], unit.output["raw_text"]) == ("Four", "<think> 2+2 is 4 </think> Four")
    [verdict] = unit.verdicts
    assert (verdict.indicator, verdict.outcome, verdict.evidence["score"]) == ("answer_mismatch", "supported", 0.0)
    assert other.units[0].verdicts[0].outcome == "hallucinated"
    assert other.units[0].verdicts[0].evidence["span"] == "Plain answer"
    assert (null.prompt.problem, null.units[0].output["failure"]) == ("null_prompt", "null_prompt")
    assert null.units[0].verdicts[0].outcome == "failed"
    assert (len(long.prompt.token_ids), long.prompt.num_cut) == (2, 2)
    assert [(piece.kind, piece.text) for piece in long.prompt.pieces] == [("cut", "go go"), ("text", "go go")]


def test_a_run_says_the_same_and_counts_what_was_thought(spec):
    spec = spec | {"engine": {"device": "cpu"}}
    plan = plan_of(spec)
    run = RunFolder(open_store(plan.context.spec.output), plan.run_id)
    run.begin(plan)
    runner = ShardRunner(
        plan.context,
        store=run.store,
        indicators=[wired.indicator for wired in wire_indicators(plan.context.spec.indicators)],
        generator_for=lambda system: load_generator(system.resolved, plan.context.spec.store, bitwise=True),
    )
    for task in missing_tasks(plan, done_shards(run.store, plan)):
        runner.run(task)
    report = report_of(run)
    rates = {rate["system"]: rate for rate in report["rates"]}
    rows = shown(spec, rows=100)
    for system, rate in rates.items():
        outcomes = [row.units[0].verdicts[0].outcome for row in rows if row.system == system]
        assert {name: outcomes.count(name) for name in set(outcomes)} == {name: rate[name] for name in set(outcomes)}
    facts = {facts["system"]: facts for facts in report["systems"]}
    thought = sum(row.units[0].output["num_reasoning_tokens"] or 0 for row in rows if row.system == "thinker")
    assert facts["thinker"]["reasoning_tokens"] == thought == 15
    assert facts["clerk"]["reasoning_tokens"] == 0


@pytest.mark.parametrize("pair", [{}, {"pair_template": "{reference}"}], ids=["one", "pair"])
def test_what_a_classifier_does_not_read_is_counted(spec, tmp_path, pair):
    checkpoint = save_classifier(tmp_path / "classifier", texts=["go", "Four"])
    limits = {"template": "{prompt} " * 30, "max_input_tokens": 20}
    system = {"kind": "sequence-classification", "name": "c", "checkpoint": str(checkpoint)} | limits | pair
    row = shown(spec | {"systems": [system]}, rows=1)[0]
    whole = AutoTokenizer.from_pretrained(checkpoint)("go " * 30, *(["Four"] if pair else []))["input_ids"]
    assert row.units[0].output["truncated"]
    assert (len(row.prompt.token_ids), row.prompt.num_cut) == (20, len(whole) - 20)


def test_recorded_answers_are_judged_as_they_stand(spec):
    rows = shown(spec, rows=6, systems=("clerk",))
    assert [row.units[0].verdicts[0].outcome for row in rows] == [
        "supported", "failed", "hallucinated", "hallucinated", "not_applicable", "supported",
    ]  # fmt: skip
    assert rows[0].fields == {"prompt": "go", "reference": "Four", "response": "Four"}
    assert rows[0].prompt.pieces == ()


def test_prompts_alone(spec):
    rows = shown(spec, rows=2, systems=("thinker",), with_models=False)
    assert [row.units for row in rows] == [(), ()]
    assert rows[0].prompt.token_ids


def test_an_endpoint_is_asked_only_where_that_is_wished(spec):
    with OpenAIServer(answer=lambda body: "<think>hm</think>Four") as server:
        endpoint = {"kind": "endpoint", "name": "far", "url": server.url, "model": "m", "as_of": "x", "reasoning": {}}
        spec = spec | {"systems": [endpoint | {"system": "Be brief."}]}
        rows = shown(spec, rows=1)
        assert rows[0].prompt.request["messages"] == [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "go"},
        ]  # fmt: skip
        assert (rows[0].units, server.asked) == ((), [])
        [unit] = shown(spec, rows=1, ask=True)[0].units
        assert (unit.output["text"], unit.verdicts[0].outcome, len(server.asked)) == ("Four", "supported", 1)


def test_nothing_is_kept(spec, tmp_path):
    shown(spec)
    assert not (tmp_path / "out").exists()


def test_an_unknown_system(spec):
    with pytest.raises(SpecError, match="--system tinker: the spec has thinker, clerk"):
        shown(spec, systems=("tinker",))


@pytest.fixture
def command(spec, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec))

    def run(*options: str):
        return CliRunner().invoke(app, ["preview", str(path), *options])

    return run


def test_the_page_shows_it_all_and_no_control_character(command):
    done = command("--rows", "4")
    assert done.exit_code == 0, done.output
    for words in (
        "thinker (causal-lm)  r1", "[[cut: go go]]", "2 cut away", "5 tokens of reasoning", "Four  (stop, 6 tokens)",
        "null_prompt", "hallucinated  score 1, reason mismatch", r"\x1b[31mred",
    ):  # fmt: skip
        assert words in done.output, done.output
    assert "\x1b" not in done.output


def test_a_request_that_was_not_sent_is_shown_as_such(command):
    endpoint = {"kind": "endpoint", "name": "far", "url": "http://127.0.0.1:1/v1", "model": "m", "as_of": "x"}
    done = command("--rows", "1", "--set", f"systems=[{json.dumps(endpoint)}]")
    assert "request, not sent: --ask sends it" in done.output


def test_json_holds_every_row(command):
    done = command("--rows", "2", "--json", "--system", "thinker")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["id"] for row in rows] == ["r1", "r2"]
    assert rows[0]["units"][0]["output"]["text"] == "Four"


def test_a_bad_spec_is_one_message(command):
    done = command("--set", "systems.0.chat=true")
    assert (done.exit_code, "error: systems[thinker].chat: true" in done.stderr) == (2, True)
    done = command("--set", "corpus.where=not keep and keep")
    assert (done.exit_code, "No row" in done.stderr) == (0, True)


def test_recorded_answers_need_neither_ray_nor_torch(spec, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec))
    code = (
        "import sys; from typer.testing import CliRunner; from halluc_ray.cli.app import app; "
        f"done = CliRunner().invoke(app, ['preview', {str(path)!r}, '--system', 'clerk']); "
        "print(done.exit_code, {'ray', 'torch'} & set(sys.modules))"
    )
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, env=environment)
    assert done.stdout.split() == ["0", "set()"], done.stderr

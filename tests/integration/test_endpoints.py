"""Endpoints through Ray: one actor asks, whatever the number of actors; outages and caps end in order."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from halluc_ray.config import RunSpec
from halluc_ray.engine import ledger
from halluc_ray.engine.progress import Progress
from halluc_ray.errors import RunIncomplete
from halluc_ray.evaluation import Evaluation, evaluate
from halluc_ray.storage import open_store
from tests.openai_server import OpenAIServer, Reply
from tests.tiny_models import save_classifier
from tests.unit.engine.whole import answers, spec_of, write

ROWS, SHARD_ROWS = 60, 10
KEY = "sk-Top-Secret-0123456789"
COST = (8 * 1000 + 100) / 1e6


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def spec(folder: Path, server: OpenAIServer, *others: dict[str, Any], **options: Any) -> dict[str, Any]:
    corpus = folder / "c" / "one.parquet"
    if not corpus.exists():
        write(corpus, answers(range(ROWS)), group_rows=SHARD_ROWS)
    system = {"kind": "endpoint", "name": "e", "url": server.url, "model": "m", "as_of": "1"} | options
    engine = {"shard_rows": SHARD_ROWS, "actors": 2}
    return spec_of(corpus, folder / "out", systems=[system, *others], engine=engine)


def run(spec: dict[str, Any]) -> Evaluation:
    return evaluate(RunSpec.model_validate(spec))


def overall(done: Evaluation) -> dict[str, tuple[int, int]]:
    rates = [rate for rate in done.report["rates"] if not rate["slice"]]
    return {rate["system"]: (rate["hallucinated"], rate["supported"]) for rate in rates}


def test_one_actor_asks_while_another_runs_a_model(server, tmp_path, ray_here):
    server.delay_s = 0.05
    faults = {
        3: Reply(500, b"oops"),
        17: Reply(429, {}, {"Retry-After": "0.1"}),
        31: Reply(cut=True),
        44: Reply(drop=True),
    }
    by_prompt = {f"What is {k} plus 1?": reply for k, reply in faults.items()}
    server.behave = lambda asked, nth: by_prompt.get(asked.prompt) if nth == 0 else None
    classifier = save_classifier(tmp_path / "model", texts=answers(range(ROWS))["question"])
    local = {"kind": "sequence-classification", "name": "k", "checkpoint": str(classifier)}
    done = run(spec(tmp_path, server, local, concurrency=4))
    assert overall(done) == {"e": (0, 54), "k": (54, 0)}
    assert server.peak == 4
    assert len(server.asked) == ROWS + len(faults)
    assert run(spec(tmp_path, server, local)).shards_computed == 0
    assert len(server.asked) == ROWS + len(faults)


def test_a_cap_ends_the_run_in_order_and_a_higher_one_goes_on(server, tmp_path, ray_here):
    prices = {"price_input": 1000.0, "price_output": 100.0}
    recorded = {"kind": "recorded", "name": "clerk"}
    with pytest.raises(RunIncomplete, match=r"and \d more: systems\[e\]\.max_cost: 0\.4; 0\.\d+ is spent"):
        run(spec(tmp_path, server, recorded, max_cost=0.4, **prices))
    assert 0.2 < len(server.asked) * COST <= 0.4
    done = run(spec(tmp_path, server, recorded, max_cost=1.0, **prices))
    assert len(server.asked) == ROWS, "nothing is paid twice"
    assert done.shards_computed < 2 * ROWS // SHARD_ROWS - 1, "the other system's shards were done before"
    assert overall(done)["e"] == (0, 54)


def test_a_server_that_goes_away_ends_the_run_and_fails_no_row(server, tmp_path, ray_here, monkeypatch, caplog):
    monkeypatch.setattr(ledger, "INFRA_BUDGET", 2)
    server.behave = lambda asked, nth: Reply(503, asked.prompt.encode()) if len(server.asked) > 25 else None
    told: list[Progress] = []
    asking = spec(tmp_path, server, retries=0, concurrency=2)
    with (
        caplog.at_level("WARNING", "halluc_ray"),
        pytest.raises(RunIncomplete, match=r"shards could not be computed(.|\n)*did not answer \(HTTP 503"),
    ):
        evaluate(RunSpec.model_validate(asking), on_progress=told.append)
    trouble = f"EndpointUnavailable: systems[e]: {server.url}/chat/completions did not answer (HTTP 503), tried 1 times"
    assert f"last trouble: {trouble}" in {progress.message for progress in told}
    logged = [(r.getMessage(), vars(r).get("budget"), vars(r).get("reason")) for r in caplog.records]
    assert ("shard retried", "infra", trouble) in logged
    assert ("system abandoned", None, trouble) in logged
    assert len(server.asked) < 25 + 20, "the other shards are not tried"
    server.behave, before = lambda asked, nth: None, server.prompts[:25]
    server.asked = []
    done = run(spec(tmp_path, server, retries=0))
    assert sorted(before + server.prompts) == sorted(answers(range(ROWS))["question"])
    assert overall(done)["e"] == (0, 54)
    assert done.failed_share == 0


def command(spec: dict[str, Any], folder: Path, key: str | None) -> subprocess.CompletedProcess[str]:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "THE_KEY")}
    environment |= {"THE_KEY": key} if key else {}
    halluc_ray = Path(sys.executable).with_name("halluc-ray")
    return subprocess.run(
        [halluc_ray, "run", str(path)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_key_reaches_the_server_and_nothing_else(server, tmp_path):
    server.key = KEY
    asking = spec(tmp_path, server, api_key_env="THE_KEY", price_input=1.0)
    none = command(asking, tmp_path, None)
    assert (none.returncode, none.stdout) == (2, "")
    assert "systems[e].api_key_env: THE_KEY is not set on " in none.stderr
    assert not list(open_store(str(tmp_path / "out")).list("stages/")), "nothing was begun"

    done = command(asking, tmp_path, KEY)
    assert done.returncode == 0, done.stderr
    assert "e cost 0.00048 by its prices per token." in done.stdout
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "telemetry.json" and b'"cost"' in path.read_bytes() for path in written)
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    assert KEY not in done.stdout + done.stderr
    assert_log_is_whole([json.loads(line) for line in done.stderr.splitlines()], tmp_path / "out")
    assert not [row for row in answers(range(ROWS))["question"] if row in done.stderr], "no text of a sample is logged"


def assert_log_is_whole(lines: list[dict[str, Any]], output: Path) -> None:
    """What an operator looks for is there: who sat where, and each commit with the attempt that its part bears."""
    run_ids = {path.name for path in (output / "runs").iterdir()}
    assert {line["run"] for line in lines} == run_ids
    assert all(line["time"] and line["level"] for line in lines)
    events = Counter(line["event"] for line in lines)
    assert (events["run planned"], events["reduce done"]) == (1, 1)
    seats = {line["actor"]: line["node"] for line in lines if line["event"] == "actor seated"}
    committed = [line for line in lines if line["event"] == "shard committed"]
    assert all(line["node"] == seats[line["actor"]] and line["system"] == "e" for line in committed)
    commits = {(path.parts[-3], path.stem) for path in output.glob("stages/*/commits/*.json")}
    assert len(commits) == 3 * ROWS // SHARD_ROWS
    assert sorted((line["stage"], line["shard"]) for line in committed) == sorted(commits)
    for line in committed:
        assert (output / "stages" / line["stage"] / "parts" / f"{line['shard']}.{line['attempt']}.parquet").exists()

"""Nights on a real Ray: the second with a worse model, the same again, stopped, cancelled, killed."""

import json
import shutil
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from halluc_ray.cli.nightly import night_exit_code
from halluc_ray.config import RunSpec
from halluc_ray.engine.heartbeat import read_beat
from halluc_ray.errors import RunIncomplete
from halluc_ray.evaluation import evaluate
from halluc_ray.evaluation.cancelling import cancel
from halluc_ray.storage import open_store
from halluc_ray.storage.local import LocalStore
from halluc_ray.suites.nightly import run_night
from halluc_ray.suites.nights import read_nights
from halluc_ray.suites.notify import tell
from halluc_ray.suites.suite import Suite, load_suite
from infra.up.head import RayHead
from tests.nights import start_night
from tests.tiny_models import save_classifier
from tests.unit.suites.hooks import hook

FIRST, SECOND = "2026-11-23", "2026-11-24"
ROWS = 400
SUITE = """\
name: qa
specs: [{spec: qa.yaml, set: ["corpus.uri=answers/{date}"]}]
slices: [topic]
schedule: daily
baseline: latest
devices: {cpu: {price_per_hour: 3600}}
gate: {rules: [{max_increase: 0.05}, {max_increase: 0.1, slice: [topic]}]}
"""


def a_corpus(path: Path, *, worse: bool) -> None:
    """Every tenth answer is wrong; of the worse model, every third of chemistry is too."""
    path.mkdir(parents=True)
    topics = [("history", "chemistry")[k % 2] for k in range(ROWS)]
    wrong = [k % 10 == 0 or (worse and topics[k] == "chemistry" and k % 3 == 0) for k in range(ROWS)]
    columns = {
        "id": [f"q{k}" for k in range(ROWS)],
        "topic": topics,
        "truth": ["right"] * ROWS,
        "answer": ["wrong" if bad else "right" for bad in wrong],
    }
    pq.write_table(pa.table(columns), path / "a.parquet")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    a_corpus(tmp_path / "answers" / FIRST, worse=False)
    a_corpus(tmp_path / "answers" / SECOND, worse=True)
    spec = {
        "corpus": {"uri": f"answers/{FIRST}", "columns": {"id": "id", "reference": "truth", "response": "answer"}},
        "systems": [{"kind": "recorded", "name": "tuned"}],
        "indicators": [{"kind": "answer_mismatch"}],
        "engine": {"shard_rows": 40},
    }
    (tmp_path / "qa.yaml").write_text(yaml.safe_dump(spec))
    return tmp_path


def a_suite(*changes: str) -> Suite:
    return load_suite(SUITE, source="suite.yaml", overrides=[f"output={Path('out').absolute()}", *changes])


def history(output: str = "out") -> dict[str, bytes]:
    store = open_store(output)
    kept = ("report.json", "counts.parquet", "run.json")
    under = [*store.list("runs/"), *store.list("suites/")]
    keys = [info.key for info in under if info.key.startswith("suites/") or info.key.endswith(kept)]
    return {key: store.read(key) for key in keys}


def test_two_nights(here: Path, ray_here: None) -> None:
    with hook() as told:
        suite = a_suite(f"notify=[{{url: '{told.url}'}}]")
        for date, code in ((FIRST, 5), (SECOND, 1)):
            night = run_night(suite, date=date)
            assert night_exit_code(night) == code
            assert tell(open_store("out"), night, suite.notify) == []
        nights = read_nights(open_store("out"), "qa")
        assert [(n.date, n.rates[0].hallucinated, n.rates[0].rows) for n in nights] == [
            (FIRST, 40, 400),
            (SECOND, 107, 400),
        ]
        assert nights[1].gate is not None
        assert nights[1].gate.verdict == "FAIL"
        assert "the worst slice is topic=chemistry" in nights[1].gate.reason
        assert nights[1].baseline is not None
        assert nights[1].baseline.run_id == nights[0].run_id
        [done] = night.specs
        assert done.cost.seconds["cpu"] == pytest.approx(done.cost.money)
        assert done.cost.by_system["tuned"] == (done.cost.seconds["cpu"], pytest.approx(done.cost.money))

        before, began = history(), time.monotonic()
        again = run_night(suite, date=SECOND)
        tell(open_store("out"), again, suite.notify)
        assert time.monotonic() - began < 5
        assert [(s.new, s.done.shards_computed if s.done else None) for s in again.specs] == [(False, 0)]
        assert history() == before
        assert [(body["date"], body["status"]) for body in told.bodies] == [(FIRST, "inconclusive"), (SECOND, "fail")]


def test_a_cap_stops_a_night_and_the_same_command_goes_on(here: Path, ray_here: None) -> None:
    capped = a_suite("devices.cpu.max_seconds=0.01")
    stopped = run_night(capped, date=FIRST)
    assert isinstance(stopped.specs[0].error, RunIncomplete)
    assert "devices.cpu.max_seconds allows 0.01" in str(stopped.specs[0].error)
    assert night_exit_code(stopped) == 4
    assert read_nights(open_store("out"), "qa") == []
    done = run_night(a_suite(), date=FIRST)
    assert night_exit_code(done) == 5
    [telemetry] = here.glob("out/runs/*/telemetry.json")
    work = json.loads(telemetry.read_text())["work"]
    assert [w["devices"]["kind"] for w in work] == ["cpu", "cpu"]
    assert done.specs[0].cost.seconds["cpu"] == pytest.approx(sum(w["devices"]["held_s"] for w in work))


def test_a_run_is_cancelled_from_elsewhere_and_goes_on(here: Path, ray_here: None) -> None:
    content = yaml.safe_load((here / "qa.yaml").read_text()) | {
        "engine": {"shard_rows": 1, "actors": 1},
        "output": str(here / "out"),
    }
    spec = RunSpec.model_validate(content)
    said: list[str] = []

    def elsewhere() -> None:
        store, deadline = open_store("out"), time.monotonic() + 60
        while time.monotonic() < deadline:
            counted = [info.key for info in store.list("stages/count-") if "/commits/" in info.key]
            if counted and read_beat(store, counted[0].split("/")[1]):
                said.append(cancel(spec))
                return
            time.sleep(0.05)

    canceller = threading.Thread(target=elsewhere)
    canceller.start()
    try:
        with pytest.raises(RunIncomplete, match="cancelled; what was committed stays"):
            evaluate(spec)
    finally:
        canceller.join(70)
    assert said == ["stopped"]
    assert list(here.glob("out/runs/*/cancel.json")) == []
    assert list(here.glob("out/runs/*/telemetry.json"))
    assert cancel(spec) == "idle"


class _Died(BaseException):
    """The process ends here."""


def test_a_night_that_dies_at_any_write_of_its_history_leaves_the_same(
    here: Path, ray_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write under `suites/` in turn never happens; the next command starts over from what there is."""
    suite = a_suite()
    for date in (FIRST, SECOND):
        run_night(suite, date=date)
    undisturbed = history()
    for key in undisturbed:
        if SECOND in key:
            open_store("out").delete(key)
    write, left = LocalStore.put_new, 0

    def dying(store: LocalStore, key: str, data: bytes) -> bool:
        nonlocal left
        if key.startswith("suites/"):
            left -= 1
            if left == 0:
                raise _Died
        return write(store, key, data)

    monkeypatch.setattr(LocalStore, "put_new", dying)
    for last in (1, 2, 2, 2):  # before the record, after it and before each file of the gate but the first
        left = last
        with pytest.raises(_Died):
            run_night(suite, date=SECOND)
    left = 0
    run_night(suite, date=SECOND)
    assert history() == undisturbed


def test_two_processes_at_once_commit_each_shard_once(here: Path, ray_head: RayHead) -> None:
    (here / "suite.yaml").write_text(SUITE)
    nights = [start_night(here, ray_head, FIRST) for _ in range(2)]
    said = [night.communicate(timeout=100)[0] for night in nights]
    assert [night.returncode for night in nights] == [5, 5], said
    stored = [info.key.split("/") for info in open_store("out").list("stages/")]
    assert len([key for key in stored if key[2] == "commits"]) == 3 * ROWS // 40
    counted = {key[3].split(".")[0] for key in stored if key[2] == "parts" and key[1].startswith("count")}
    assert len(counted) == ROWS // 40
    [night] = read_nights(open_store("out"), "qa")
    pages = {info.key for info in open_store("out").list("site/")}
    assert pages == {"site/index.html", "site/qa/index.html", f"site/qa/runs/{night.run_id}.html"}
    assert all("Site  " in text for text in said)


def test_a_baseline_whose_corpus_is_gone_keeps_no_night_from_its_record(here: Path, ray_here: None) -> None:
    suite = a_suite()
    first = run_night(suite, date=FIRST)
    (here / "answers" / FIRST / "a.parquet").unlink()
    second = run_night(suite, date=SECOND)
    [spec] = second.specs
    assert spec.night is not None
    assert spec.night.gate is not None
    assert first.specs[0].night is not None
    baseline = first.specs[0].night.run_id
    assert spec.night.gate.verdict == "INCONCLUSIVE"
    assert spec.night.gate.reason.startswith(f"the baseline {baseline} can't be used; ")
    assert spec.trouble.startswith(f"the baseline {baseline} (latest: {FIRST}) can't be used: ")
    assert str(here) not in json.dumps(spec.night.model_dump(mode="json"))
    assert night_exit_code(second) == 5


def test_a_policy_that_names_what_is_not_there_ends_in_2(here: Path, ray_here: None) -> None:
    night = run_night(a_suite("gate.rules.1.slice=[colour]"), date=FIRST)
    assert "rules[1].slice: the run has no slice by colour" in str(night.specs[0].error)
    assert night_exit_code(night) == 2
    assert read_nights(open_store("out"), "qa") == []


def test_tonights_checkpoint_is_found_and_an_unchanged_one_costs_nothing(here: Path, ray_here: None) -> None:
    texts = ["good film", "bad film"]
    table = pa.table({"id": ["a", "b"], "text": texts, "truth": ["LABEL_1", "LABEL_0"]})
    pq.write_table(table, here / "films.parquet")
    model = save_classifier(here / "registry" / f"{FIRST}-step900", texts=texts)
    shutil.copytree(model, here / "registry" / f"{SECOND}-step1000")
    shutil.copytree(model, here / "registry" / f"{SECOND}-step900")
    spec = {
        "corpus": {"uri": "films.parquet", "columns": {"id": "id", "prompt": "text", "reference": "truth"}},
        "systems": [{"kind": "sequence-classification", "name": "m", "checkpoint": f"{here}/registry/{{date}}*"}],
        "indicators": [{"kind": "label_mismatch"}],
        "engine": {"device": "cpu"},
    }
    (here / "films.yaml").write_text(yaml.safe_dump(spec))
    suite = load_suite("name: films\nspecs: [films.yaml]", source="s", overrides=[f"output={here}/out"])
    nights = [run_night(suite, date=date).specs[0] for date in (FIRST, SECOND)]
    assert [night.error for night in nights] == [None, None]
    assert [night.done.shards_computed for night in nights if night.done] == [1, 0]
    assert [night.night.checkpoints for night in nights if night.night] == [
        {"m": f"{FIRST}-step900"},
        {"m": f"{SECOND}-step1000"},
    ]
    assert len({night.night.run_id for night in nights if night.night}) == 1

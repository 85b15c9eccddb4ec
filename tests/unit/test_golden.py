"""Outputs that stored work relies on: none changes unless its version does."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.engine import stages
from halluc_ray.engine.selection import hash_texts
from halluc_ray.engine.shards import cut, shard_of
from halluc_ray.indicators.protocol import ScoringBatch
from halluc_ray.indicators.registry import BUILTIN
from halluc_ray.indicators.tables import scores_to_columns
from halluc_ray.models.versions import SEMANTICS_VERSIONS
from halluc_ray.records import OUTCOMES, StageKind
from halluc_ray.records.schemas import COUNTS, GENERATIONS, SCHEMA_VERSION, SCORES, verdict_schema
from tests.unit import golden
from tests.unit.engine.whole import answers, begin, plan_of, report_of, spec_of, write

SCHEMA = "records.schemas.SCHEMA_VERSION"
ANSWERS = [
    ("Paris", ["Paris"]),
    ("The Paris!", ["paris"]),
    ("It is Paris, of course", ["Paris", "Lutetia"]),
    ("Lyon", ["Paris"]),
    ("I don't know.", ["Paris"]),
    ("我不知道", ["巴黎"]),
    ("巴黎。", ["巴黎"]),
    ("北京", ["巴黎"]),
    ("Yes, it does.", ["yes"]),
    ("Hard to say", ["no"]),
    ("", ["Paris"]),
    ("<think>Paris</think> Lyon", ["Paris"]),
    ("Paris", None),
    (None, ["Paris"]),
    ("１２３", ["123"]),
]
NUMBERS = [
    ("12 died", "Ten died."),
    ("Thirty % fell", "百分之三十"),
    ("about 1.2 million", "1,234,567 people"),
    ("1.5 km", "1,500 m"),
    ("In 1999 there were 3", "three of them, 1999"),
    ("I cannot answer that.", "5"),
    ("no number", "5"),
    ("", "5"),
    (None, "5"),
    ("5", None),
]
LABELS = [("positive", ["1"]), ("0", ["0"]), ("Neg ", ["neg"]), ("maybe", ["1"]), (None, ["1"]), ("1", None)]
CHOICES = [
    ({"no": -2.0, "yes": -1.0}, ["yes"]),
    ({"no": -1.0, "yes": -1.0}, ["yes"]),
    ({"no": -1.0, "of course": -2.5, "yes": -3.0}, ["yes", "of course"]),
    ({"no": -900.0, "yes": -901.0}, ["yes"]),
    ({"no": -math.inf, "yes": -math.inf}, ["yes"]),
    ({"no": -1.0, "yes": -math.inf}, ["yes"]),
    ({"sure": -1.0, "yes": -2.0}, ["sure", "yes"]),
    ({"no": -1.0, "yes": -2.0}, ["maybe"]),
    ({"no": -1.0, "yes": -2.0}, None),
    (None, ["yes"]),
]
RATED = [
    given and [{"text": text, "logprob": value, "num_tokens": 1 + len(text) // 3} for text, value in given.items()]
    for given, _ in CHOICES
]
BATCHES = {
    "answer_mismatch": (
        {"response": [response for response, _ in ANSWERS], "reference": [answers for _, answers in ANSWERS]},
        [{}, {"mode": "contains"}],
    ),
    "choice_mass": (
        {"option_scores": RATED, "reference": [true for _, true in CHOICES]},
        [{}, {"below": 0.9}],
    ),
    "choice_mismatch": (
        {
            "option_scores": RATED,
            "reference": [true for _, true in CHOICES],
            "column:best": [true and true[-1] for _, true in CHOICES],
        },
        [{}, {"best": "best"}, {"choose_by": "per_token"}, {"choose_by": "per_byte"}],
    ),
    "label_mismatch": (
        {"response": [label for label, _ in LABELS], "reference": [labels for _, labels in LABELS]},
        [{}, {"labels": {"0": "neg", "1": "positive"}}],
    ),
    "low_similarity": ({"similarity": [0.31, 0.2, 0.12, -0.3, None, float("nan")]}, [{"at": 0.2}, {"at": 0}]),
    "recorded_label": ({"label": ["yes", "No", "1", "0.0", "maybe", None, "TRUE"]}, [{}]),
    "recorded_score": (
        {"column:s": [0.1, 0.5, 0.9, None, float("nan")], "column:v": [True, True, False, True, None]},
        [{"column": "s", "below": 0.5}, {"column": "s", "at_or_above": 0.5, "valid": "v"}],
    ),
    "unsupported_number": ({"response": [r for r, _ in NUMBERS], "context": [c for _, c in NUMBERS]}, [{}, {"at": 2}]),
}


def test_every_built_in_indicator_is_held():
    assert BATCHES.keys() == BUILTIN.keys()


@pytest.mark.parametrize("kind", sorted(BATCHES))
def test_indicator(kind):
    columns, variants = BATCHES[kind]
    found = []
    for options in variants:
        indicator = BUILTIN[kind](BUILTIN[kind].Options.model_validate(options))
        batch = ScoringBatch({name: pa.array(values) for name, values in columns.items()})
        scores = indicator.score(batch)
        table = pa.table(scores_to_columns(scores))
        codes = indicator.decide(scores.score, scores.state)
        outcomes = [OUTCOMES[code].label for code in codes]
        rows = [{**row, "outcome": outcome} for row, outcome in zip(table.to_pylist(), outcomes, strict=True)]
        found.append({"options": options, "rows": rows})
    version = BUILTIN[kind].semantics_version
    golden.hold(kind, found, version=version, what=f"indicator {kind}", where="its `semantics_version`")


def test_schemas():
    found = {
        name: str(schema) for name, schema in (("generations", GENERATIONS), ("scores", SCORES), ("counts", COUNTS))
    }
    found["verdicts"] = str(verdict_schema(2))
    found["outcomes"] = {outcome.label: int(outcome) for outcome in OUTCOMES}
    golden.hold(
        "schemas", found, version=SCHEMA_VERSION, what="a stored schema", where="records.schemas.SCHEMA_VERSION"
    )


def test_names_of_stages_and_shards():
    found = {
        "stage": stages.stage(StageKind.COUNT, {"upstream": ["generate-0"], "thresholds": [{"at": 0.5}]}).name,
        "shards": [shard_of(source, {"where": '"a" > 1'}).key for source in cut("f", [2, 2, 5], shard_rows=4)],
        "hashes": [str(value) for value in hash_texts(pa.array(["", "a", "巴黎"]))],
    }
    golden.hold("names", found, version=SCHEMA_VERSION, what="an address", where=SCHEMA)


def test_counts_and_addresses_of_a_recorded_run(tmp_path):
    corpus = write(tmp_path / "c" / "one.parquet", answers(range(40)))
    changes = {
        "slices": ["topic"],
        "corpus": {"cluster": "source", "where": "words < 9"},
        "summaries": [{"name": "w", "column": "words"}],
    }
    spec = spec_of(corpus, tmp_path / "out", **changes)
    [system] = plan_of(spec).record.systems
    run = begin(spec)
    report_of(run)
    counts = pq.read_table(pa.BufferReader(run.store.read(f"runs/{run.run_id}/counts.parquet")))
    found = {
        "stages": [system.generate, *system.scores, system.count],
        "counts": [" | ".join(map(str, row.values())) for row in counts.to_pylist()],
    }
    recorded, answered = SEMANTICS_VERSIONS["recorded"], BUILTIN["answer_mismatch"].semantics_version
    version = f"{SCHEMA_VERSION}.{stages.COUNT_VERSION}.{recorded}.{answered}"
    where = f"{SCHEMA}, engine.stages.COUNT_VERSION, models.versions or the `semantics_version` of answer_mismatch"
    golden.hold("recorded_run", found, version=version, what="a recorded run", where=where)


def test_a_change_without_a_version_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    monkeypatch.setenv(golden.UPDATE, "1")
    golden.hold("x", {"a": [1, 2]}, version=1, what="x", where="`version`")
    golden.hold("x", {"a": [1, 2]}, version=1, what="x", where="`version`")
    with pytest.raises(AssertionError, match=r"under the same version 1: .*Raise `version`.*difference: /a/1: 2 -> 3"):
        golden.hold("x", {"a": [1, 3]}, version=1, what="x", where="`version`")
    golden.hold("x", {"a": [1, 3]}, version=2, what="x", where="`version`")
    monkeypatch.delenv(golden.UPDATE)
    with pytest.raises(AssertionError, match=r"no golden file x.v3.json"):
        golden.hold("x", {}, version=3, what="x", where="`version`")
    assert json.loads((tmp_path / "x.v1.json").read_text()) == {"a": [1, 2]}

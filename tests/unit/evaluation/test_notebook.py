"""The Python face as a notebook uses it: names that complete, data frames, mistakes said plainly."""

from __future__ import annotations

import os

import pandas as pd
import pytest

import halluc_ray
from halluc_ray.config import RunSpec, spec_from
from halluc_ray.errors import InputError, SpecError
from halluc_ray.evaluation.notebook import with_systems
from halluc_ray.evaluation.shown import frame_of
from halluc_ray.reports.report import Rate

ANSWERS = pd.DataFrame({"answer": ["Paris.", "Lyon", None], "gold": ["Paris", "Paris", "Paris"]})
COLUMNS = {"response": "answer", "reference": "gold"}


def test_the_two_names_complete():
    assert {"evaluate", "score"} <= set(dir(halluc_ray))


def test_a_data_frame_is_scored():
    judged = halluc_ray.score(ANSWERS, [{"kind": "answer_mismatch"}], columns=COLUMNS)
    assert judged["answer_mismatch"].to_pylist() == ["supported", "hallucinated", "failed"]


def test_a_list_of_dicts_is_scored():
    rows = [{"response": "Paris", "reference": "Paris"}, {"response": None, "reference": "Paris"}]
    judged = halluc_ray.score(rows, [{"kind": "answer_mismatch"}])
    assert judged["answer_mismatch"].to_pylist() == ["supported", "failed"]


def test_two_columns_of_one_name_are_refused():
    judged = halluc_ray.score(ANSWERS, [{"kind": "answer_mismatch"}], columns=COLUMNS)
    again = {"kind": "answer_mismatch"}
    for table, indicators in ((judged, [again]), (ANSWERS, [again, again])):
        with pytest.raises(SpecError, match="there would be two columns called 'answer_mismatch'"):
            halluc_ray.score(table, indicators, columns=COLUMNS)
    assert "twice" in halluc_ray.score(judged, [again | {"name": "twice"}], columns=COLUMNS).column_names


def test_an_indicator_without_a_kind():
    with pytest.raises(SpecError, match=r"indicators\[1\]\.kind: required, but missing"):
        halluc_ray.score(ANSWERS, [{"kind": "answer_mismatch"}, {"kid": "x"}], columns=COLUMNS)


def test_a_mapping_is_refused_as_yaml_would_be(tmp_path):
    with pytest.raises(SpecError, match="systms: unknown key; did you mean 'systems'"):
        halluc_ray.evaluate({"corpus": {"uri": tmp_path}, "systms": [], "indicators": [{"kind": "answer_mismatch"}]})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"no spec at .*night\.yaml"):
        halluc_ray.evaluate(tmp_path / "night.yaml")


RECORDED = [{"kind": "recorded", "name": "a"}, {"kind": "recorded", "name_from": "model"}]


def spec_of(tmp_path, systems) -> RunSpec:
    return spec_from(
        {"corpus": {"uri": tmp_path}, "systems": systems, "indicators": [{"kind": "answer_mismatch"}], "output": "o"}
    )


def test_systems_in_place_of_the_specs(tmp_path):
    other = {"kind": "recorded", "name": "b"}
    changed = with_systems(spec_of(tmp_path, RECORDED), ["a", other])
    assert [system.name for system in changed.systems] == ["a", "b"]
    assert (changed.corpus, changed.output) == (spec_of(tmp_path, RECORDED).corpus, "o")
    with pytest.raises(SpecError, match=r"no system called 'c'; it has a$"):
        with_systems(spec_of(tmp_path, RECORDED), ["c"])


def test_an_address_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "before:1")
    with pytest.raises(InputError):
        halluc_ray.evaluate(spec_of(tmp_path, RECORDED[:1]), address="other:2")
    assert os.environ["RAY_ADDRESS"] == "before:1"


def test_rates_as_a_frame():
    def rate(cell, rate):
        counts = {"supported": 2, "abstained": 0, "undecided": 0, "not_applicable": 0, "failed": 0}
        ends = {"low": 0.0, "high": 1.0, "confidence": 0.95, "answered_share": 1.0}
        return Rate("m", "k", cell, rows=3, hallucinated=1, rate=rate, **counts, **ends)

    rows = (rate({}, 1 / 3), rate({"lang": "zh"}, 0.5), rate({"lang": None, "rate": 7}, 0.25))
    frame = frame_of(rows, Rate)
    assert list(frame.columns[:5]) == ["system", "indicator", "slice", "lang", "slice.rate"]
    assert frame["slice"].tolist() == ["", "lang", "lang, rate"]
    assert frame["rate"].tolist() == [1 / 3, 0.5, 0.25]
    assert frame["slice.rate"].tolist()[2] == 7
    assert frame_of((), Rate).columns.tolist()[:3] == ["system", "indicator", "slice"]

"""The Python face as a notebook uses it: names that complete, data frames, mistakes said plainly."""

from __future__ import annotations

import pandas as pd
import pytest

import halluc_ray
from halluc_ray.errors import SpecError

ANSWERS = pd.DataFrame({"answer": ["Paris.", "Lyon", None], "gold": ["Paris", "Paris", "Paris"]})
COLUMNS = {"response": "answer", "reference": "gold"}


def test_the_two_names_complete():
    assert {"evaluate", "score"} <= set(dir(halluc_ray))


def test_a_data_frame_is_scored():
    judged = halluc_ray.score(ANSWERS, [{"kind": "answer_mismatch"}], columns=COLUMNS)
    assert judged["answer_mismatch"].to_pylist() == ["supported", "hallucinated", "failed"]


def test_an_indicator_without_a_kind():
    with pytest.raises(SpecError, match=r"indicators\[1\]\.kind: required, but missing"):
        halluc_ray.score(ANSWERS, [{"kind": "answer_mismatch"}, {"kid": "x"}], columns=COLUMNS)


def test_a_mapping_is_refused_as_yaml_would_be(tmp_path):
    with pytest.raises(SpecError, match="systms: unknown key; did you mean 'systems'"):
        halluc_ray.evaluate({"corpus": {"uri": tmp_path}, "systms": [], "indicators": [{"kind": "answer_mismatch"}]})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"no spec at .*night\.yaml"):
        halluc_ray.evaluate(tmp_path / "night.yaml")

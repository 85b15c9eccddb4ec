"""Scores as stored columns."""

import numpy as np
import pyarrow as pa

from halluc_ray.indicators.protocol import EVIDENCE_CHARS
from halluc_ray.indicators.rows import Verdict, scores_of, without_score
from halluc_ray.indicators.tables import coded, scores_to_columns
from halluc_ray.records.outcomes import Outcome
from halluc_ray.records.schemas import SCORES


def test_columns_are_those_of_the_schema_in_its_types() -> None:
    long = "巴" * (EVIDENCE_CHARS + 9)
    verdicts = [
        Verdict(1.0, reason="mismatch", span_start=3, span_stop=5, span="ab", against=long),
        without_score(Outcome.ABSTAINED, "refusal"),
        Verdict(0.0),
    ]
    columns = scores_to_columns(scores_of(verdicts))
    wanted = [field for field in SCORES if field.name not in ("row", "draw")]
    assert list(columns) == [field.name for field in wanted]
    assert [column.type for column in columns.values()] == [field.type for field in wanted]
    assert columns["score"].to_pylist() == [1.0, None, 0.0]
    assert columns["state"].to_pylist() == [255, Outcome.ABSTAINED, 255]
    assert columns["span_start"].to_pylist() == [3, None, None]
    assert columns["reason"].to_pylist() == ["mismatch", "refusal", None]
    assert columns["against"].to_pylist() == [long[:EVIDENCE_CHARS], None, None]


def test_no_rows_give_empty_columns() -> None:
    assert {len(column) for column in scores_to_columns(scores_of([])).values()} == {0}


def test_codes_become_names() -> None:
    column = coded(np.array([2, 0, 1, 2]), [None, "a", "b"])
    assert pa.types.is_dictionary(column.type)
    assert column.to_pylist() == ["b", None, "a", "b"]

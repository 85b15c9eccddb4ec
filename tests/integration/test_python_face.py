"""`score` in memory and `run` on the command line judge alike, row by row."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from typer.testing import CliRunner

import halluc_ray
from halluc_ray.cli.app import app

COLUMNS = {"id": "id", "prompt": "prompt", "context": "source", "response": "response", "label": "label_hallucinated"}
INDICATORS = [{"kind": "unsupported_number"}, {"kind": "recorded_label"}]


def test_score_in_memory_equals_the_command_lines_verdicts(corpora: Path, ray_here: None, tmp_path: Path) -> None:
    table = pq.read_table(corpora / "begin" / "part-000.parquet")
    spec = {
        "corpus": {"uri": str(corpora / "begin"), "columns": COLUMNS},
        "systems": [{"kind": "recorded", "name": "dialogue"}],
        "indicators": INDICATORS,
        "engine": {"shard_rows": 1000},
        "output": str(tmp_path / "out"),
    }
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    ran = CliRunner().invoke(app, ["run", str(path)])
    assert ran.exit_code == 0, ran.output
    report = halluc_ray.evaluate(path)
    rows = report.samples(limit=len(table)).set_index("id").sort_index()
    judged = halluc_ray.score(table, INDICATORS, columns=COLUMNS).to_pandas().set_index("id").sort_index()
    assert len(rows) == len(judged) == len(table)
    for indicator in ("unsupported_number", "recorded_label"):
        assert rows[indicator].tolist() == judged[indicator].tolist()
    assert {"hallucinated", "supported"} <= set(judged["unsupported_number"])
    hallucinated = report.rates.query("indicator == 'recorded_label' and slice == ''")["hallucinated"].item()
    assert hallucinated == (judged["recorded_label"] == "hallucinated").sum()


def test_rows_that_are_no_plain_text_are_judged_alike(ray_here: None, tmp_path: Path) -> None:
    """Nulls, bytes that are no UTF-8, lists of passages and of answers, in columns that an indicator reads or not."""
    table = pa.table(
        {
            "id": [f"r{k}" for k in range(7)],
            "response": ["4", "5", None, "4", "4", "4 of 9", "4"],
            "reference": pa.array([[b"4"], [b"4"], [b"4"], [b"\xff"], [b"4", None], None, []], pa.list_(pa.binary())),
            "context": pa.array([["4", "5"], ["6"], ["x"], ["4"], [None], None, ["9", "4"]], pa.list_(pa.string())),
            "label": [True, False, True, False, None, True, False],
        }
    )
    (tmp_path / "corpus").mkdir()
    pq.write_table(table, tmp_path / "corpus" / "a.parquet")
    indicators = [{"kind": "answer_mismatch"}, {"kind": "unsupported_number"}, {"kind": "recorded_label"}]
    report = halluc_ray.evaluate(
        {
            "corpus": {"uri": str(tmp_path / "corpus"), "columns": {n: n for n in table.column_names}},
            "systems": [{"kind": "recorded", "name": "s"}],
            "indicators": indicators,
            "output": str(tmp_path / "out"),
            "max_failed": 1.0,
        }
    )
    ran = report.samples(limit=len(table)).set_index("id").sort_index()
    judged = halluc_ray.score(table, indicators)
    for indicator in (entry["kind"] for entry in indicators):
        assert judged[indicator].to_pylist() == ran[indicator].tolist(), indicator

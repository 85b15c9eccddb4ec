"""`score` in memory and `run` on the command line judge alike, row by row."""

from pathlib import Path

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

"""Recorded answers: how a whole run over many rows compares with pandas reading and counting the same file.

    python -m benchmarks.recorded_rows --rows 1000000

Both judge a score column against a threshold by system. pandas keeps nothing; a run commits a verdict for every row,
checks that the outcomes add up, and writes a report. Start-up is left out of each.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import seconds_beyond_start

SYSTEMS = 16


def prepare(folder: Path, rows: int) -> None:
    """Two files of scores by system."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True)
    for part in range(2):
        ids = np.arange(part * rows // 2, (part + 1) * rows // 2)
        table = pa.table(
            {
                "id": [f"r{k}" for k in ids],
                "model": [f"system {k % SYSTEMS}" for k in ids],
                "score": rng.random(len(ids), dtype=np.float32),
                "valid": rng.random(len(ids)) > 0.03,
                "words": rng.integers(5, 400, len(ids)),
            }
        )
        pq.write_table(table, folder / f"part-{part}.parquet", compression="zstd")


def pandas_s(folder: Path) -> float:
    """Seconds that pandas takes to read and count."""
    started = time.monotonic()
    table = pd.concat([pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))])
    valid = table[table["valid"]]
    valid.assign(hallucinated=valid["score"] < 0.5).groupby("model").agg({"hallucinated": "mean", "words": "mean"})
    return time.monotonic() - started


def main() -> None:
    """Measure in rounds and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name) / "corpus"
        prepare(corpus, options.rows)
        spec = {
            "corpus": {"uri": str(corpus), "columns": {"id": "id"}},
            "systems": [{"kind": "recorded", "name_from": "model"}],
            "indicators": [{"kind": "recorded_score", "column": "score", "below": 0.5, "valid": "valid"}],
            "summaries": [{"name": "mean words", "column": "words", "where": "valid"}],
        }
        pairs = [(seconds_beyond_start(spec, Path(name) / "run"), pandas_s(corpus)) for _ in range(options.rounds)]
    for ours, theirs in pairs:
        print(f"run {options.rows / ours:,.0f} rows/s, pandas {options.rows / theirs:,.0f} rows/s")
    print(f"time of a run over pandas: {statistics.median(ours / theirs for ours, theirs in pairs):.2f}")


if __name__ == "__main__":
    main()

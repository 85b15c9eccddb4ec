"""Two runs of the same samples: what `compare` takes, beside pandas merging the two tables in memory.

    python -m benchmarks.compare_pairs --rows 500000 2000000

Each comparison runs in a process of its own, whose peak resident memory is printed. pandas is given both systems'
verdicts as Parquet, merges them on the id, counts the discordant pairs by slice, and has statsmodels test them.
`compare` also pairs what a corpus may name twice, reads both answers of what flipped, and corrects over the family.
Their discordant pairs are held against each other. The two runs are made before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray import evaluate

_PEAK = """
from pathlib import Path
def peak_bytes():
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
"""
_OURS = """
import json, sys
from halluc_ray import compare
pairs = next(cell for cell in compare(*sys.argv[1:3], by="id").differences if not cell.slice)
print(json.dumps({"worse": pairs.worse, "better": pairs.better, "peak": peak_bytes()}))
"""
_PANDAS = """
import json, sys
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar
a, b = (pd.read_parquet(path) for path in sys.argv[1:3])
both = a.merge(b, on="id", suffixes=("_a", "_b"))
def tested(pairs):
    table = pd.crosstab(pairs["wrong_a"], pairs["wrong_b"])
    return mcnemar(table, exact=True), table
tested(both)
for _, pairs in both.groupby("topic_a"):
    tested(pairs)
_, table = tested(both)
print(json.dumps({"worse": int(table.loc[False, True]), "better": int(table.loc[True, False]), "peak": peak_bytes()}))
"""
TOPICS = 12


def prepare(folder: Path, rows: int) -> list[str]:
    """Two runs over corpora of equal ids, and the same verdicts as plain tables; the URIs of the runs."""
    rng = np.random.default_rng(3)
    runs = []
    for name, wrong in (("a", 0.10), ("b", 0.11)):
        corpus = folder / f"{name}.parquet"
        hallucinated = rng.random(rows) < wrong
        table = pa.table(
            {
                "id": [f"r{k}" for k in range(rows)],
                "topic": [f"topic {k % TOPICS}" for k in range(rows)],
                "label": ["yes" if bad else "no" for bad in hallucinated],
            }
        )
        pq.write_table(table, corpus, row_group_size=65_536)
        pq.write_table(table.drop(["label"]).append_column("wrong", pa.array(hallucinated)), folder / f"{name}.flat")
        spec = {
            "corpus": {"uri": str(corpus), "columns": {"id": "id"}},
            "systems": [{"kind": "recorded", "name": "tuned"}],
            "indicators": [{"kind": "recorded_label", "column": "label"}],
            "slices": ["topic"],
            "output": str(folder / "out"),
        }
        runs.append(f"{folder / 'out'}/runs/{evaluate(spec).run_id}")
    return runs


def measured(program: str, *arguments: str) -> dict[str, float]:
    """Run in a new process: what it found, its peak memory in bytes, and seconds."""
    started = time.monotonic()
    command = [sys.executable, "-c", _PEAK + program, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    return json.loads(done.stdout) | {"seconds": time.monotonic() - started}


def main() -> None:
    """Measure each size and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000, 2_000_000])
    options = parser.parse_args()
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            runs = prepare(folder, rows)
            theirs = measured(_PANDAS, str(folder / "a.flat"), str(folder / "b.flat"))
            ours = measured(_OURS, *runs)
        agree = all(ours[key] == theirs[key] for key in ("worse", "better"))
        time_ratio, memory_ratio = (ours[what] / theirs[what] for what in ("seconds", "peak"))
        print(
            f"{rows:,} pairs: compare {ours['seconds']:.1f} s, {ours['peak'] / 1e6:,.0f} MB; "
            f"pandas {theirs['seconds']:.1f} s, {theirs['peak'] / 1e6:,.0f} MB; time {time_ratio:.2f} and memory "
            f"{memory_ratio:.2f} of pandas; the same discordant pairs: {agree}"
        )


if __name__ == "__main__":
    main()

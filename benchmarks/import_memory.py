"""Memory of an import: peaks of two files, one four times the other, each in a process of its own.

    python -m benchmarks.import_memory --megabytes 60 240

A source is streamed, so the peaks should be within a tenth of each other. Prints the peak resident memory, the speed,
and whether the rows add up. Arrow takes memory from the system here: its own pool holds back blocks of 16 MB, more or
fewer from run to run, which would hide a small growth or feign one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_WORDS = [f"w{number:04}" for number in range(4_000)]
_CHILD = """
import json, resource, sys
from halluc_ray.corpora.importing import ImportOptions, import_corpus
from halluc_ray.corpora.importing.mapping import parse_mapping
mapper = parse_mapping([sys.argv[3]])
done = import_corpus(sys.argv[1], sys.argv[2], ImportOptions(mapper, sys.argv[3]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"peak": peak, "records": done.records, "rows": done.rows, "rejected": sum(done.rejected.values())}))
"""
MAPPING = "id=qid,prompt=question.text,context=join(passages[].text),reference=answers[],lang='en'"


def write_source(path: Path, megabytes: float) -> int:
    """A JSON Lines file of that size, with a broken line in every thousand; returns its lines."""
    draw = random.Random(5)
    lines = size = 0
    with path.open("w", encoding="utf-8") as file:
        while size < megabytes * 1e6:
            record = {
                "qid": f"q{lines}",
                "question": {"text": " ".join(draw.choices(_WORDS, k=12))},
                "passages": [{"text": " ".join(draw.choices(_WORDS, k=40))} for _ in range(draw.randint(1, 4))],
                "answers": draw.choices(_WORDS, k=2),
                "score": draw.random(),
            }
            line = json.dumps(record) if lines % 1000 else '{"qid": "broken"'
            size += file.write(line + "\n")
            lines += 1
    return lines


def measured(source: Path, out: Path, mapping: str = MAPPING) -> dict[str, float]:
    """Import in a new process: its peak resident memory in bytes, counts, and seconds."""
    started = time.monotonic()
    command = [sys.executable, "-c", _CHILD, str(source), str(out), mapping]
    environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600, env=environment)
    return json.loads(done.stdout) | {"seconds": time.monotonic() - started}


def main() -> None:
    """Measure each size and print the ratio of the last peak to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[60, 240])
    options = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        for place, megabytes in enumerate(options.megabytes):
            source = Path(name) / "source.jsonl"
            lines = write_source(source, megabytes)
            found = measured(source, Path(name) / f"out-{place}")
            peaks.append(found["peak"])
            adds_up = found["records"] == lines == found["rows"] + found["rejected"]
            print(
                f"{megabytes:g} MB: peak {found['peak'] / 1e6:,.0f} MB, {megabytes / found['seconds']:,.1f} MB/s, "
                f"{lines:,} lines = {found['rows']:,} rows + {found['rejected']:,} rejected: {adds_up}"
            )
    print(f"last peak over first: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()

"""Time whole `halluc-ray run` commands, start-up taken off by a run of ten rows."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

_LIMIT_S = 3_600


def seconds_beyond_start(spec: dict[str, Any], folder: Path) -> float:
    """Wall time of a fresh run of all rows less that of a fresh run of ten of them, in seconds."""
    file = sorted(Path(spec["corpus"]["uri"]).glob("*.parquet"))[0]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pq.ParquetFile(file).read_row_group(0).slice(0, 10), folder / "ten.parquet")
    few = {**spec, "corpus": {**spec["corpus"], "uri": str(folder / "ten.parquet")}}
    return run_s(spec, folder / "all") - run_s(few, folder / "few")


def run_s(spec: dict[str, Any], folder: Path) -> float:
    """Wall time of one fresh `halluc-ray run`, in seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**spec, "output": str(folder / "out")}))
    started = time.monotonic()
    command = [sys.executable, "-m", "halluc_ray.cli.app", "run", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=_LIMIT_S)
    return time.monotonic() - started

"""A night as a process of its own, so that it can be killed or stand beside another."""

import os
import subprocess
import sys
from pathlib import Path

from infra.up.head import RayHead


def start_night(here: Path, head: RayHead, date: str, *overrides: str) -> subprocess.Popen[str]:
    """`halluc-ray nightly suite.yaml` in a folder, on a cluster, in a process group of its own."""
    command = [sys.executable, "-m", "halluc_ray.cli.app", "nightly", "suite.yaml", "--date", date]
    return subprocess.Popen(
        [*command, *(word for text in overrides for word in ("--set", text))],
        cwd=here,
        env=os.environ | head.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

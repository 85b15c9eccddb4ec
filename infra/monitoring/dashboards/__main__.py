"""Writes the dashboards: `python -m infra.monitoring.dashboards [--runbook URL] [--out FOLDER]`.

What stands beside this file is what it writes; a test holds the two to each other.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from infra.monitoring.dashboards.cluster import cluster_dashboard
from infra.monitoring.dashboards.frame import RUNBOOK, numbered
from infra.monitoring.dashboards.nightly import nightly_dashboard
from infra.monitoring.dashboards.run import run_dashboard

DASHBOARDS = {"run": run_dashboard, "cluster": cluster_dashboard, "nightly": nightly_dashboard}


def text_of(name: str, *, runbook: str = RUNBOOK) -> str:
    """A dashboard as Grafana reads it.

    Args:
        name: one of `DASHBOARDS`.
        runbook: address of the published docs/operations.md.
    """
    built = numbered(DASHBOARDS[name](runbook=runbook))
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every dashboard."""
    parser = argparse.ArgumentParser(prog="python -m infra.monitoring.dashboards", description="Writes the dashboards.")
    parser.add_argument("--runbook", default=RUNBOOK, help="address of the published docs/operations.md")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for the JSON files")
    given = parser.parse_args()
    for name in DASHBOARDS:
        (given.out / f"{name}.json").write_text(text_of(name, runbook=given.runbook), "utf-8")


if __name__ == "__main__":
    main()

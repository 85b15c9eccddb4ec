"""The configuration of `infra/monitoring` for this machine: its own addresses, and a pace for watching.

Knows the shape of that file; starts nothing. Called by `machine`.
"""

from __future__ import annotations

from pathlib import Path

import yaml

_MONITORING = Path(__file__).parents[1] / "monitoring"
_PACE = "5s"


def configuration(*, discovery_path: Path, exporter: str) -> str:
    """YAML text of a configuration with the same jobs and rules.

    Args:
        discovery_path: where Ray lists its nodes.
        exporter: `host:port` of `halluc-ray exporter`.
    """
    config = yaml.safe_load((_MONITORING / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    jobs["ray"]["file_sd_configs"] = [{"files": [str(discovery_path)], "refresh_interval": _PACE}]
    jobs["halluc_ray_nights"]["static_configs"] = [{"targets": [exporter]}]
    jobs["halluc_ray_nights"]["scrape_interval"] = _PACE
    config["global"] = {"scrape_interval": _PACE, "scrape_timeout": _PACE, "evaluation_interval": _PACE}
    config["rule_files"] = [str(_MONITORING / name) for name in config["rule_files"]]
    config.pop("alerting", None)  # nobody listens on this machine
    return str(yaml.safe_dump(config, sort_keys=False))


def command(folder: Path, *, port: int) -> list[str]:
    """How Prometheus is started on a folder with a `prometheus.yml`."""
    return [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'series'}",
        "--storage.tsdb.retention.time=30d",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

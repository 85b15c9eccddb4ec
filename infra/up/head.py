"""A Ray head on this machine with ports, token and folder of its own, ended without `ray stop`.

Knows Ray's command line; never imports Ray. Called by `machine`, and by tests that need a cluster.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infra.object_store.server import free_ports
from infra.up import processes

_START_S = 90.0
_STOP_S = 15.0
_PROBE = "import ray; ray.init(address='auto', logging_level='ERROR')"
_STORE_BYTES = 200_000_000  # of Ray's own object store: only tasks and counts pass through it


@dataclass(slots=True)
class RayHead:
    """`ray start --head` in a folder of its own.

    Attributes:
        folder: of its session, token and log; keep its path short, sockets lie in it.
        num_cpus, num_gpus: what the node claims to have; None: what Ray finds.
        accelerator: type of GPU that it claims to have, such as H100.
        dashboard_wanted: whether jobs can be submitted.
        address: where drivers connect.
        dashboard: URL that jobs are submitted to.
        metrics: `host:port` where the node shows its metrics, with or without a dashboard.
        settings: more of the head's environment, which jobs and actors inherit.
        mark: folder that its processes are told by; default: its own.
    """

    folder: Path
    num_cpus: int | None = 2
    num_gpus: int | None = 2
    accelerator: str = ""
    dashboard_wanted: bool = False
    address: str = ""
    dashboard: str = ""
    metrics: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    mark: Path | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a driver or the job client needs to reach it."""
        return {
            "RAY_ADDRESS": self.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    @property
    def discovery_path(self) -> Path:
        """The file in which Ray lists its nodes for Prometheus; there is one only beside a dashboard."""
        return self.folder / "r" / "prom_metrics_service_discovery.json"

    @property
    def pid(self) -> int:
        """Process id of `ray start`, once launched."""
        if self._process is None:
            raise RuntimeError("this Ray head was not launched")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until the cluster answers; bounded."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start, and return at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        token = self.folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        port, board, client, agent, metrics, scaler_metrics, board_metrics = free_ports(7)
        self.address, self.dashboard = f"127.0.0.1:{port}", f"http://127.0.0.1:{board}"
        self.metrics = f"127.0.0.1:{metrics}"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
        command += ["--node-ip-address=127.0.0.1", f"--port={port}", f"--temp-dir={self.folder / 'r'}"]
        command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={board}", f"--ray-client-server-port={client}"]
        command += [f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}"]
        command += ["--min-worker-port=0", "--max-worker-port=0", f"--object-store-memory={_STORE_BYTES}"]
        command += [f"--include-dashboard={str(self.dashboard_wanted).lower()}"]
        command += [] if self.num_cpus is None else [f"--num-cpus={self.num_cpus}"]
        command += [] if self.num_gpus is None else [f"--num-gpus={self.num_gpus}"]
        if self.accelerator:
            command += [f"--resources={json.dumps({f'accelerator_type:{self.accelerator}': 1})}"]
        # Else two heads of one machine ask for the same two ports, and each one's Prometheus is shown the other's.
        own = {"AUTOSCALER_METRIC_PORT": str(scaler_metrics), "DASHBOARD_METRIC_PORT": str(board_metrics)}
        environment = {**os.environ, **self.settings, **self.environment, **own}
        del environment["RAY_ADDRESS"]  # of a cluster to join
        self._process = processes.launch(
            command, log_path=self.folder / "log", environment=environment, mark=self.mark or self.folder
        )

    def wait(self) -> None:
        """Return once drivers can connect, and where there is a dashboard, jobs can be submitted.

        Raises:
            RuntimeError: it ended, or took longer than 90 s; what was started is ended.
        """
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.3)
        self.stop()
        log = (self.folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"Ray did not start within {_START_S:.0f} s: {log}")

    def stop(self) -> None:
        """End the cluster at once: the processes that it started, and nobody else's."""
        if self._process is None:
            return
        found = [] if self._process.poll() is not None else [psutil.Process(self._process.pid)]
        processes.end(found, grace_s=0)
        self._process.wait(_STOP_S)
        if self.mark is None:  # else others carry it too, and its owner ends them
            processes.end(processes.marked(self.folder), grace_s=0)
        self._process = None

    def _answers(self) -> bool:
        if not self.dashboard_wanted:
            return self._listens() and self._takes_drivers()
        token = (self.folder / "token").read_text()
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{self.dashboard}/api/jobs/", headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - http on 127.0.0.1
                return bool(answer.status == 200)
        except OSError:
            return False

    def _listens(self) -> bool:
        """A probe costs seconds of a processor, which the start needs: none before somebody is there to answer it."""
        host, _, port = self.address.partition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=1):
                return True
        except OSError:
            return False

    def _takes_drivers(self) -> bool:
        try:
            done = subprocess.run(  # noqa: S603 - arguments are ours
                [sys.executable, "-c", _PROBE], env=os.environ | self.environment, capture_output=True, timeout=60
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

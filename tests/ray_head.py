"""A real Ray cluster of one node for tests: own ports, own token, ended by its own process ids."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_START_S = 90.0
_STOP_S = 15.0


@dataclass(slots=True)
class RayHead:
    """`ray start --head` in a folder of its own.

    Attributes:
        folder: of its session, token and log; keep its path short, sockets lie in it.
        num_cpus, num_gpus, accelerator: what the node claims to have.
        address: where drivers connect.
        dashboard: URL that jobs are submitted to.
    """

    folder: Path
    num_cpus: int = 2
    num_gpus: int = 2
    accelerator: str = ""
    dashboard_wanted: bool = False
    address: str = ""
    dashboard: str = ""
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

    def start(self) -> None:
        """Start and wait until the cluster answers; bounded."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "token").write_text(secrets.token_hex(32))
        port, board, client, metrics = _free_ports(4)
        low = 20_000 + (port * 7) % 9_000
        self.address, self.dashboard = f"127.0.0.1:{port}", f"http://127.0.0.1:{board}"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        command += ["--node-ip-address=127.0.0.1", f"--port={port}", f"--temp-dir={self.folder / 'r'}"]
        command += [f"--dashboard-port={board}", f"--ray-client-server-port={client}", "--disable-usage-stats"]
        command += [f"--metrics-export-port={metrics}", f"--min-worker-port={low}", f"--max-worker-port={low + 900}"]
        command += [f"--num-cpus={self.num_cpus}", f"--num-gpus={self.num_gpus}"]
        if self.accelerator:
            command += [f'--resources={{"accelerator_type:{self.accelerator}": 1}}']
        command += [f"--include-dashboard={str(self.dashboard_wanted).lower()}", "--object-store-memory=200000000"]
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | self.environment
        environment.pop("RAY_ADDRESS")
        log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        self._await_ready()

    def _await_ready(self) -> None:
        probe = "import ray; ray.init(address='auto', logging_level='ERROR'); print(ray.cluster_resources()['CPU'])"
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            done = subprocess.run(
                [sys.executable, "-c", probe], env=os.environ | self.environment, capture_output=True, timeout=60
            )
            if done.returncode == 0:
                return
            time.sleep(0.5)
        self.stop()
        raise RuntimeError(f"Ray did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End the cluster: the processes that name its folder, and nobody else's."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(_STOP_S)
        mine = [p for p in psutil.process_iter(["cmdline"]) if str(self.folder) in " ".join(p.info["cmdline"] or [])]
        for process in mine:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(mine, _STOP_S)
        self._process = None


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()

"""The server as a user starts it: from a shell, stopped by a signal, data kept."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from halluc_ray.storage import open_store

ROOT = Path(__file__).parent.parent.parent


def started(data: Path) -> tuple[subprocess.Popen[str], str, str]:
    command = [sys.executable, "-m", "infra.object_store.server", "--data", str(data)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = "".join(process.stdout.readline() for _ in range(6))
    endpoint, output = re.search(r"endpoint: (\S+)", said), re.search(r"output: (\S+)", said)
    assert endpoint is not None, said
    assert output is not None, said
    for name, value in re.findall(r"export (\w+)=(\S+)", said):
        os.environ[name] = value
    return process, endpoint.group(1), output.group(1)


def test_from_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "my-secret-key")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for turn in (1, 2):
        process, endpoint, output = started(tmp_path)
        try:
            assert os.environ["AWS_ACCESS_KEY_ID"] == "me"
            store = open_store(output, endpoint=endpoint)
            assert store.put_new("kept", b"x") is (turn == 1)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert (tmp_path / "identities.json").stat().st_mode & 0o077 == 0

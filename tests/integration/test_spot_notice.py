"""The notice of a spot machine's end: asked for as EC2 wants it, and handed to Ray as Ray takes it."""

import contextlib
import datetime
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "cluster" / "ray" / "spot_notice.py"
# A `ray` that notes what it was asked for.
NOTING = """#!/bin/sh
printf '%s\\n' "$@" > "$NOTED"
"""
# Parses the arguments as Ray's own command does, and starts nothing.
PARSE = """
import json, sys
from ray.scripts.scripts import cli
print(json.dumps(cli.commands[sys.argv[1]].make_context(sys.argv[1], sys.argv[2:]).params))
"""


@contextlib.contextmanager
def metadata_service(answers: list[tuple[int, str]]) -> Iterator[tuple[str, list[str]]]:
    """EC2's metadata service, version 2: a token by PUT, without which nothing is told. The last answer stays."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._say(200 if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else 400, "the-token")

        def do_GET(self) -> None:
            asked.append(self.path)
            if self.headers["X-aws-ec2-metadata-token"] != "the-token":
                return self._say(401, "")
            return self._say(*(answers.pop(0) if len(answers) > 1 else answers[0]))

        def _say(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join(timeout=10)


def environment(folder: Path, address: str) -> dict[str, str]:
    tool = folder / "ray"
    tool.write_text(NOTING)
    tool.chmod(0o755)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "NOTED": str(folder / "noted"),
        "EC2_METADATA": address,
        "EC2_NOTICE_PERIOD_S": "0.05",
        "http_proxy": "http://127.0.0.1:9",
    }


def test_notice_drains_the_node(tmp_path: Path) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=119)
    told = json.dumps({"action": "terminate", "time": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
    with metadata_service([(404, ""), (500, ""), (200, told)]) as (address, asked):
        done = subprocess.run(
            [sys.executable, SCRIPT], env=environment(tmp_path, address), capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert asked == ["/latest/meta-data/spot/instance-action"] * 3
    assert "500" in done.stderr, "an answer that says nothing is told, and asked for again"
    noted = (tmp_path / "noted").read_text().splitlines()
    taken = subprocess.run(
        [sys.executable, "-c", PARSE, *noted], capture_output=True, text=True, timeout=60, check=False
    )
    assert taken.returncode == 0, taken.stderr
    params = json.loads(taken.stdout.splitlines()[-1])
    assert 60 < params.pop("deadline_remaining_seconds") <= 119
    assert params == {
        "address": "auto",
        "node_id": None,
        "reason": "DRAIN_NODE_REASON_PREEMPTION",
        "reason_message": f"spot machine: terminate at {json.loads(told)['time']}",
    }


def test_without_a_notice_nothing_is_drained(tmp_path: Path) -> None:
    with metadata_service([(404, "")]) as (address, asked):
        waiting = subprocess.Popen([sys.executable, SCRIPT], env=environment(tmp_path, address))
        deadline = time.monotonic() + 30
        while len(asked) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert waiting.poll() is None
        waiting.kill()
        waiting.wait(10)
    assert len(asked) >= 4
    assert not (tmp_path / "noted").exists()


def test_workers_on_aws_start_it() -> None:
    config = yaml.safe_load((ROOT / "cluster" / "ray" / "aws.yaml").read_text())
    started = config["worker_start_ray_commands"][-1]
    assert f"/home/ray/halluc-ray/{SCRIPT.relative_to(ROOT)}" in started
    assert started.endswith("&"), "setting a node up does not wait for it"

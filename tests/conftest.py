"""Fixtures that many tests share: annotated corpora, and a real S3 server."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from infra.object_store.server import ObjectServer, free_ports
from infra.up.head import RayHead

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Folder of real annotated corpora, one folder each; skips where it is missing."""
    folder = Path(os.environ.get("HALLUC_RAY_CORPORA") or ROOT.parent / "shared" / "corpora")
    if not folder.is_dir():
        pytest.skip(f"no annotated corpora at {folder}; set HALLUC_RAY_CORPORA")
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """A real S3 server with one bucket; the environment holds its admin keys while it runs."""
    server = ObjectServer(tmp_path_factory.mktemp("s3"), port=free_ports(1)[0])
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        for name, value in (server.environment | {"AWS_EC2_METADATA_DISABLED": "true"}).items():
            patch.setenv(name, value)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def ray_head(s3_server: ObjectServer) -> Iterator[RayHead]:
    """A real Ray cluster of one node that claims two CPUs and eight H100s, and has the keys of the S3 server."""
    folder = Path(tempfile.mkdtemp(prefix="hr"))
    head = RayHead(folder, num_gpus=8, accelerator="H100")
    try:
        head.start()
        yield head
    finally:
        head.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ray_here(s3_server: ObjectServer) -> Iterator[None]:
    """An embedded Ray cluster that evaluations in this process share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        try:
            yield
        finally:
            ray.shutdown()


@pytest.fixture(scope="session")
def sentiment_checkpoint(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier that the example fits, on half of its 8,000 rows: about half a minute."""
    folder = tmp_path_factory.mktemp("models") / "sentiment"
    example = ROOT / "examples" / "train_sentiment.py"
    command = [sys.executable, str(example), "--corpus", str(corpora / "sst2"), "--rows", "4000", "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=280)
    return folder


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    """SIGINT is heard here and in child processes, also where a shell's background would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)

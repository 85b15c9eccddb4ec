"""A fresh, empty store of each kind."""

import secrets
from pathlib import Path

import pytest

from halluc_ray.storage import ObjectStore, open_store


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return open_store(str(tmp_path / "out"))
    server = request.getfixturevalue("s3_server")
    return open_store(f"s3://{server.bucket}/tests/{secrets.token_hex(6)}", endpoint=server.endpoint)

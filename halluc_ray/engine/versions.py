"""What must be the same in a driver and its actors: Python, Ray, and the package itself.

Of the package the bytes of its modules are compared, since an editable install or an uploaded folder of
another commit has the same version. What a model's numbers depend on besides (torch, transformers) is
part of the plan, see `models.numerics`. Plain values, so that any version can read them. Called by
running (the driver's side) and the worker.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import halluc_ray
from halluc_ray.errors import VersionMismatch

PACKAGE = "halluc-ray"
_DIGITS = 12
_REMEDIES = {
    "python": "start the driver and every node from the same environment or image",
    "ray": "start the driver and every node from the same environment or image",
    PACKAGE: "give the nodes the driver's package: submit the job with the working directory or wheel that the driver "
    "has, or install the same one on every node",
}


@functools.cache
def versions_here() -> dict[str, str]:
    """Name -> version of this process; of the package also a digest of its modules (some 10 ms, once)."""
    try:
        own = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        own = "not installed"
    return {
        "python": platform.python_version(),
        "ray": metadata.version("ray"),
        PACKAGE: f"{own} ({source_digest(Path(halluc_ray.__file__).parent)})",
    }


def source_digest(folder: Path) -> str:
    """Digest of the Python modules below a folder: their places in it, and their bytes."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return total.hexdigest()[:_DIGITS]


def check_same(driver: Mapping[str, str], *, here: Mapping[str, str], node: str) -> None:
    """Refuse to work for a driver that has other versions.

    Args:
        driver: `versions_here` of the driver.
        here: that of this process.
        node: this process' node, for the message.

    Raises:
        VersionMismatch: names the node, what differs, both versions, and what to do.
    """
    differ = [name for name in driver if here.get(name) != driver[name]]
    if not differ:
        return
    pairs = "; ".join(f"{name}: the driver has {driver[name]}, the node {here.get(name, 'none')}" for name in differ)
    places = f" from {Path(halluc_ray.__file__).parent}" if PACKAGE in differ else ""
    remedies = "; ".join(dict.fromkeys(_REMEDIES[name] for name in differ))
    raise VersionMismatch(f"node {node}{places}: {pairs}; {remedies}")


def mismatch_of_cluster(text: str) -> VersionMismatch | None:
    """Ray's own refusal to connect, where it is one of versions; None for any other text."""
    rays = re.findall(r"^\s*Ray: (\S+)", text, re.MULTILINE)
    pythons = re.findall(r"^\s*Python: (\S+)", text, re.MULTILINE)
    if len(rays) < 2 or len(pythons) < 2:
        return None
    pairs = [("Python", pythons), ("Ray", rays)]
    differ = "; ".join(f"{name}: the cluster has {v[0]}, this process {v[1]}" for name, v in pairs if v[0] != v[1])
    return VersionMismatch(f"{differ}; {_REMEDIES['ray']}")

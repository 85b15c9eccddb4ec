"""What must be the same in a driver and its actors: Python, Ray, and the package itself.

Of the package the bytes of its modules are compared, since an editable install or an uploaded folder of
another commit has the same version. What a model's numbers depend on besides (torch, transformers) is
part of the plan, see `models.numerics`. Plain values, so that any version can read them. Called by
running (the driver's side) and the worker.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from halluc_ray.errors import VersionMismatch

log = logging.getLogger(__name__)

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
    digest = source_digest(_folder())
    return {"python": platform.python_version(), "ray": metadata.version("ray"), PACKAGE: f"{own} ({digest})"}


def place_here() -> str:
    """Where this process has the package from: machine, folder, and the folder's identity."""
    folder = _folder()
    return f"{platform.node()}:{folder}:{folder.stat().st_ino}"


def _folder() -> Path:
    return Path(__file__).resolve().parents[1]


def source_digest(folder: Path) -> str:
    """Digest of the Python modules below a folder: their places in it, and their bytes.

    What is hidden is none: editors leave locks and copies there that do not travel, or lead nowhere.
    """
    modules = {path.relative_to(folder): path for path in folder.rglob("*.py")}
    shown = {place.as_posix(): path for place, path in modules.items() if not any(p[0] == "." for p in place.parts)}
    total = hashlib.sha256()
    for place, path in sorted(shown.items()):
        total.update(f"{place} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:_DIGITS]


def check_same(driver: Mapping[str, str], *, place: str, here: Mapping[str, str]) -> None:
    """Refuse to work for a driver that has other versions.

    Where both read one folder it was edited since the driver began: whoever edits it knows, and is warned.

    Args:
        driver: `versions_here` of the driver.
        place: `place_here` of the driver.
        here: `versions_here` of this process.

    Raises:
        VersionMismatch: what differs, both versions, and what to do; the caller names the node.
    """
    differ = [name for name in driver if here.get(name) != driver[name]]
    if differ == [PACKAGE] and place == place_here():
        log.warning("package edited under the run", extra={"driver_has": driver[PACKAGE], "actor_has": here[PACKAGE]})
        return
    if differ:
        pairs = "; ".join(
            f"{name}: the driver has {driver[name]}, the node {here.get(name, 'none')}" for name in differ
        )
        whence = f" (in {_folder()})" if PACKAGE in differ else ""
        remedies = "; ".join(dict.fromkeys(_REMEDIES[name] for name in differ))
        raise VersionMismatch(f"{pairs}{whence}; {remedies}")


def mismatch_of_cluster(text: str) -> VersionMismatch | None:
    """Ray's own refusal to connect, where it is one of versions; None for any other text."""
    rays = re.findall(r"^\s*Ray: (\S+)", text, re.MULTILINE)
    pythons = re.findall(r"^\s*Python: (\S+)", text, re.MULTILINE)
    if len(rays) < 2 or len(pythons) < 2:
        return None
    pairs = [("Python", pythons), ("Ray", rays)]
    differ = "; ".join(f"{name}: the cluster has {v[0]}, this process {v[1]}" for name, v in pairs if v[0] != v[1])
    return VersionMismatch(f"{differ}; {_REMEDIES['ray']}")

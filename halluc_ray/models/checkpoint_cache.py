"""The node's checkpoints: digests of their files, and copies fetched from object stores.

A checkpoint is fetched once per node: under a file lock, into a temporary folder, checked against
its digest, then renamed, so that a folder that is there is whole. Knows bytes and names; does not
know models. Callers: `checkpoints` (digests), wiring inside an actor (fetch).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from halluc_ray.config.cache import cache_folder
from halluc_ray.config.digest_cache import KnownFile, cached_digest
from halluc_ray.errors import InputChanged, InputError, StoreUnavailable
from halluc_ray.models.checkpoint_sources import FolderSource, Source, SourceFile


def file_digests(source: Source, files: Iterable[SourceFile], *, cache: Path | None = None) -> dict[str, str]:
    """sha256 of each file's bytes, by name; a file is read again only when its size or version changed."""
    return {
        file.name: cached_digest(_known(source, file), partial(_sha256, source, file), cache=cache) for file in files
    }


def fetch_checkpoint(
    source: Source, files: Mapping[str, str], *, digest: str, cache: Path | None = None, wait_s: float = 1800
) -> Path:
    """A local folder that holds exactly the planned checkpoint.

    Args:
        source: where it lies.
        files: planned name -> sha256.
        digest: the planned checkpoint digest; names the folder in the cache.
        cache: root of the cache; default: `cache_folder()`.
        wait_s: seconds to wait for another process of this node that fetches the same checkpoint.

    Raises:
        InputChanged: the files are no longer the planned ones.
        StoreUnavailable: the other process was not done in time (retryable).
    """
    if isinstance(source, FolderSource):
        _check(source, files, cache)
        return source.folder
    home = (cache or cache_folder()) / "checkpoints"
    home.mkdir(parents=True, exist_ok=True)
    target = home / digest
    try:
        with FileLock(home / f"{digest}.lock", timeout=wait_s):
            if target.is_dir() and not _is_intact(target, files, cache):
                shutil.rmtree(target)
            if not target.is_dir():
                _download(source, files, target)
    except Timeout as error:
        raise StoreUnavailable(
            f"checkpoint {source.uri}: another process of this node is fetching it into {target}, and was not done "
            f"after {wait_s:.0f} s"
        ) from error
    return target


def _download(source: Source, files: Mapping[str, str], target: Path) -> None:
    for stale in target.parent.glob(f".{target.name}-*"):
        shutil.rmtree(stale)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        listed = {file.name: file for file in source.files()}
        for name, planned in files.items():
            if name not in listed:
                raise _changed(source.uri, name)
            found = hashlib.sha256()
            (unfinished / name).parent.mkdir(exist_ok=True)
            with (unfinished / name).open("wb") as out:
                for chunk in source.chunks(listed[name]):
                    found.update(chunk)
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            if found.hexdigest() != planned:
                raise _changed(source.uri, name)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check(source: FolderSource, files: Mapping[str, str], cache: Path | None) -> None:
    listed = {file.name: file for file in source.files()}
    missing = [name for name in files if name not in listed]
    if missing:
        raise _changed(source.uri, missing[0])
    found = file_digests(source, [listed[name] for name in files], cache=cache)
    for name, planned in files.items():
        if found[name] != planned:
            raise _changed(source.uri, name)


def _is_intact(folder: Path, files: Mapping[str, str], cache: Path | None) -> bool:
    try:
        _check(FolderSource(folder, str(folder)), files, cache)
    except InputError:
        return False
    return True


def _changed(uri: str, name: str) -> InputChanged:
    return InputChanged(f"checkpoint {uri}: {name} is no longer the file that was planned; plan again")


def _known(source: Source, file: SourceFile) -> KnownFile:
    if isinstance(source, FolderSource):
        return KnownFile(str(source.folder / file.name), file.size, file.version, written_ns=int(file.version))
    return KnownFile(f"{source.uri}/{file.name}", file.size, file.version)


def _sha256(source: Source, file: SourceFile) -> str:
    found = hashlib.sha256()
    for chunk in source.chunks(file):
        found.update(chunk)
    return found.hexdigest()

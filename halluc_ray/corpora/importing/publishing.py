"""Where an import is written, and how it appears at once or not at all.

In a folder: everything is written beside OUT under a hidden name, and takes OUT's name when it is whole.
In a bucket: the files are staged on this machine; while they are put, an empty Parquet object stands
among them, which every reader of corpora refuses by name, and it goes last. Knows files, not rows.
Caller: the import.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from filelock import FileLock, Timeout

from halluc_ray.errors import InputError, StoreError
from halluc_ray.storage.opening import open_store
from halluc_ray.storage.store import ObjectStore
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

MANIFEST = "_manifest.json"
REJECTED = "_rejected.jsonl"
"""With an underscore, as readers of Parquet folders pass over such names."""
UNFINISHED = "import-is-unfinished.parquet"
KIND = "halluc-ray import"
_LOCK = ".lock"
_PART = re.compile(r"part-\d{5,}\.parquet")
_OVERWRITE = "choose another OUT, or say --overwrite to replace it"


@dataclass(slots=True)
class Target:
    """A place to import into.

    Attributes:
        staging: folder for the files, empty at first.
        uri: OUT, as a spec would name it.
    """

    staging: Path
    uri: str
    _store: ObjectStore | None = None
    _out: Path | None = None
    _old: tuple[str, ...] = ()

    def publish(self, names: list[str]) -> None:
        """Make the staged files OUT's content, in this order; what an earlier import left goes.

        Raises:
            StoreError: the folder or the bucket refuses.
        """
        if self._store is not None:
            self._put(self._store, names)
        elif self._out is not None:
            _take_name(self.staging, self._out)

    def _put(self, store: ObjectStore, names: list[str]) -> None:
        self._claim(store)
        for name in set(self._old) - {UNFINISHED}:
            store.delete(name)
        for name in names:
            store.put(name, (self.staging / name).read_bytes())
        store.delete(UNFINISHED)

    def _claim(self, store: ObjectStore) -> None:
        """Put the mark of an unfinished import, unless OUT is no longer what it was when it was checked.

        A mark that was there then is of an import that died; the import of this time takes it over.
        """
        if UNFINISHED not in self._old and not store.put_new(UNFINISHED, b""):
            raise InputError(f"another import writes to {self.uri}; wait for it, or choose another OUT")
        changed = {info.key for info in store.list("")} ^ {*self._old, UNFINISHED}
        if changed:
            if UNFINISHED not in self._old:
                store.delete(UNFINISHED)
            raise InputError(
                f"{self.uri} changed while the source was read ({', '.join(sorted(changed)[:3])}); nothing was "
                "written: import again, or choose another OUT"
            )


@contextmanager
def target(out: str, *, overwrite: bool) -> Iterator[Target]:
    """Check OUT before anything is read, and give a folder to write in; it is gone at the end.

    Raises:
        InputError: OUT holds something; or another import writes to it.
        SpecError: OUT names no place.
    """
    match parse_uri(out):
        case LocalPlace(path):
            _check_old(_local_names(path), str(path), overwrite, lambda: (path / MANIFEST).read_bytes())
            with _beside(path) as staging:
                yield Target(staging, str(path), _out=path)
        case S3Place():
            store = open_store(out)
            names = tuple(info.key for info in store.list(""))
            _check_old(names, store.uri, overwrite, lambda: store.read(MANIFEST))
            with tempfile.TemporaryDirectory(prefix="halluc-ray-import-") as name:
                yield Target(Path(name), store.uri, _store=store, _old=names)
        case other:
            assert_never(other)


def _local_names(path: Path) -> tuple[str, ...]:
    if path.is_dir():
        return tuple(sorted(entry.name for entry in path.iterdir()))
    if path.exists():
        raise InputError(f"{path} is a file; OUT is a folder, which is made")
    return ()


def _check_old(names: tuple[str, ...], where: str, overwrite: bool, manifest: Callable[[], bytes]) -> None:
    """An unfinished import may be replaced; a whole one if the user says so; anything else never."""
    if not names:
        return
    if UNFINISHED in names:
        _check_foreign({name for name in names if not _PART.fullmatch(name)} - {UNFINISHED, MANIFEST, REJECTED}, where)
        return
    if MANIFEST not in names:
        raise InputError(
            f"{where} holds {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}, which no import wrote; "
            "choose an empty OUT"
        )
    if not overwrite:
        raise InputError(f"{where} holds an import already; {_OVERWRITE}")
    _check_foreign(set(names) - _written_by(manifest(), where), where)


def _check_foreign(foreign: set[str], where: str) -> None:
    if foreign:
        told = ", ".join(sorted(foreign)[:3])
        raise InputError(f"{where} holds {told} beside an import; move that away, or choose another OUT")


def _written_by(manifest: bytes, where: str) -> set[str]:
    try:
        read = json.loads(manifest)
        files = {str(file["name"]) for file in read["files"]}
        if read["kind"] != KIND:
            raise ValueError(f"its kind is {read['kind']!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where}/{MANIFEST} is not that of an import ({error}); choose another OUT") from error
    return files | {MANIFEST, REJECTED, _LOCK}


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    staging = path.parent / f".{path.name}.importing"
    try:
        staging.mkdir(parents=True, exist_ok=True)
        lock = FileLock(staging / _LOCK)
        lock.acquire(blocking=False)
        ours = staging.stat().st_ino
    except Timeout as error:
        raise InputError(f"another import writes to {path}; wait for it, or choose another OUT") from error
    except OSError as error:
        raise StoreError(f"can not write beside {path}: {error.strerror}; choose another OUT") from error
    try:
        for entry in staging.iterdir():  # what a killed import left
            if entry.name != _LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        yield staging
    finally:
        if staging.is_dir() and staging.stat().st_ino == ours:  # else it is OUT now, and this is the next import's
            shutil.rmtree(staging, ignore_errors=True)
        lock.release()


def _take_name(staging: Path, out: Path) -> None:
    """Held until the folder has its name: nobody else may clear it before."""
    try:
        if out.exists():
            old = out.parent / f".{out.name}.replaced"
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
            staging.rename(out)
            shutil.rmtree(old, ignore_errors=True)
        else:
            staging.rename(out)
        (out / _LOCK).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"can not write {out}: {error.strerror}; the folder above it must be writable") from error

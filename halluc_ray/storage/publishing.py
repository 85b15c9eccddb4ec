"""A folder of files that appears at once or not at all, and replaces only what its own kind wrote.

In a folder: everything is written beside OUT under a hidden name, and takes OUT's name when it is whole.
In a bucket: the files are staged on this machine; while they are put, an empty object stands among them,
whose name says that they are not whole, and it goes last. Knows files, not rows. Callers: imports of
corpora, exports of runs.
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

_LOCK = ".lock"
_OVERWRITE = "choose another OUT, or say --overwrite to replace it"


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published, and by which names its files are known.

    Attributes:
        noun: `import` or `export`, for messages and hidden names.
        manifest: name of the file that lists the others; begins with an underscore, as readers of
            Parquet folders pass over such names.
        unfinished: empty object among files that are not whole yet.
        part: names of the data files.
        beside: names of other files that may be written.
    """

    noun: str
    manifest: str
    unfinished: str
    part: re.Pattern[str]
    beside: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        """What the manifest says that it is of."""
        return f"halluc-ray {self.noun}"


@dataclass(slots=True)
class Target:
    """A place to publish in.

    Attributes:
        staging: folder for the files, empty at first.
        uri: OUT, as a spec would name it.
    """

    staging: Path
    uri: str
    publication: Publication
    _store: ObjectStore | None = None
    _out: Path | None = None
    _old: tuple[str, ...] = ()

    def publish(self, names: list[str]) -> None:
        """Make the staged files OUT's content, in this order; what was published there before goes.

        Raises:
            StoreError: the folder or the bucket refuses.
        """
        if self._store is not None:
            self._put(self._store, names)
        elif self._out is not None:
            _take_name(self.staging, self._out)

    def _put(self, store: ObjectStore, names: list[str]) -> None:
        self._claim(store)
        for name in set(self._old) - {self.publication.unfinished}:
            store.delete(name)
        for name in names:
            store.put(name, (self.staging / name).read_bytes())
        store.delete(self.publication.unfinished)

    def _claim(self, store: ObjectStore) -> None:
        """Put the mark of unfinished files, unless OUT is no longer what it was when it was checked.

        A mark that was there then is of a command that died; this one takes it over.
        """
        noun, mark = self.publication.noun, self.publication.unfinished
        if mark not in self._old and not store.put_new(mark, b""):
            raise InputError(f"another {noun} writes to {self.uri}; wait for it, or choose another OUT")
        changed = {info.key for info in store.list("")} ^ {*self._old, mark}
        if changed:
            if mark not in self._old:
                store.delete(mark)
            raise InputError(
                f"{self.uri} changed while the source was read ({', '.join(sorted(changed)[:3])}); nothing was "
                f"written: {noun} again, or choose another OUT"
            )


@contextmanager
def target(out: str, *, publication: Publication, overwrite: bool) -> Iterator[Target]:
    """Check OUT before anything is read, and give a folder to write in; it is gone at the end.

    Args:
        out: a folder or `s3://bucket/prefix`.
        publication: what will be published.
        overwrite: replace an earlier one of the same noun.

    Raises:
        InputError: OUT holds something; or another command writes to it.
        SpecError: OUT names no place.
    """
    match parse_uri(out):
        case LocalPlace(path):
            _Old(publication, str(path), lambda: (path / publication.manifest).read_bytes()).check(
                _local_names(path), overwrite=overwrite
            )
            with _beside(path, publication) as staging:
                yield Target(staging, str(path), publication, _out=path)
        case S3Place():
            store = open_store(out)
            names = tuple(info.key for info in store.list(""))
            _Old(publication, store.uri, lambda: store.read(publication.manifest)).check(names, overwrite=overwrite)
            with tempfile.TemporaryDirectory(prefix=f"halluc-ray-{publication.noun}-") as name:
                yield Target(Path(name), store.uri, publication, _store=store, _old=names)
        case other:
            assert_never(other)


def _local_names(path: Path) -> tuple[str, ...]:
    if path.is_dir():
        return tuple(sorted(entry.name for entry in path.iterdir()))
    if path.exists():
        raise InputError(f"{path} is a file; OUT is a folder, which is made")
    return ()


@dataclass(frozen=True, slots=True)
class _Old:
    """What OUT holds already, and whether it may go."""

    publication: Publication
    where: str
    manifest: Callable[[], bytes]

    def check(self, names: tuple[str, ...], *, overwrite: bool) -> None:
        """Unfinished files may be replaced; whole ones if the user says so; anything else never."""
        noun, manifest, where = self.publication.noun, self.publication.manifest, self.where
        if not names:
            return
        if self.publication.unfinished in names:
            ours = {self.publication.unfinished, manifest, *self.publication.beside}
            self._refuse({name for name in names if not self.publication.part.fullmatch(name)} - ours)
            return
        if manifest not in names:
            raise InputError(
                f"{where} holds {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}, which no {noun} wrote; "
                "choose an empty OUT"
            )
        if not overwrite:
            raise InputError(f"{where} holds an {noun} already; {_OVERWRITE}")
        self._refuse(set(names) - self._written())

    def _refuse(self, foreign: set[str]) -> None:
        if foreign:
            told = ", ".join(sorted(foreign)[:3])
            raise InputError(
                f"{self.where} holds {told} beside an {self.publication.noun}; move that away, or choose another OUT"
            )

    def _written(self) -> set[str]:
        try:
            read = json.loads(self.manifest())
            files = {str(file["name"]) for file in read["files"]}
            if read["kind"] != self.publication.kind:
                raise ValueError(f"its kind is {read['kind']!r}")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.where}/{self.publication.manifest} is not that of an {self.publication.noun} ({error}); "
                "choose another OUT"
            ) from error
        return files | {self.publication.manifest, *self.publication.beside, _LOCK}


@contextmanager
def _beside(path: Path, publication: Publication) -> Iterator[Path]:
    staging = path.parent / f".{path.name}.{publication.noun}ing"
    try:
        staging.mkdir(parents=True, exist_ok=True)
        lock = FileLock(staging / _LOCK)
        lock.acquire(blocking=False)
        ours = staging.stat().st_ino
    except Timeout as error:
        raise InputError(f"another {publication.noun} writes to {path}; wait for it, or choose another OUT") from error
    except OSError as error:
        raise StoreError(f"can not write beside {path}: {error.strerror}; choose another OUT") from error
    try:
        for entry in staging.iterdir():  # what a killed command left
            if entry.name != _LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        yield staging
    finally:
        if staging.is_dir() and staging.stat().st_ino == ours:  # else it is OUT now, and this is the next command's
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

"""A folder as an object store, with the same promises as S3.

A reader never sees half an object: bytes go to a hidden file beside the target, are flushed to
disk, and then take its name (`put`: rename; `put_new`: exclusive hard link). Knows the file system,
nothing of what is stored. Caller: `open_store`.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from halluc_ray.errors import ObjectChanged, ObjectMissing, StoreError, StoreFull, StoreUnavailable
from halluc_ray.storage.store import ObjectInfo

_TEMPORARY = ".tmp-"
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EINTR}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_WHAT_TO_DO = {
    errno.ENOSPC: "the disk is full; free some space and run again, what is committed stands",
    errno.EDQUOT: "the disk quota is used up; free some space and run again, what is committed stands",
    errno.EACCES: "this user may not; grant write access or choose another output",
    errno.EPERM: "this user may not; grant write access or choose another output",
    errno.EROFS: "the file system is read-only; choose another output",
    errno.EISDIR: "a folder is where the object should be; choose another output",
    errno.ENOTDIR: "a file is where a folder should be; choose another output",
    errno.EEXIST: "a file is where a folder should be; choose another output",
    errno.ENAMETOOLONG: "the path is too long for this file system; choose a shorter output",
}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalStore:
    """ObjectStore over a folder. Safe for many threads, processes and (POSIX) nodes; picklable."""

    def __init__(self, root: str | Path) -> None:
        """The folder need not exist: the first write makes it."""
        self._root = Path(root).expanduser().absolute()

    def __repr__(self) -> str:
        return f"LocalStore({str(self._root)!r})"

    @property
    def uri(self) -> str:
        """Absolute path of the root."""
        return str(self._root)

    def read(self, key: str) -> bytes:
        """See ObjectStore."""
        path = self._path(key)
        with _explained(path):
            return path.read_bytes()

    def read_range(self, key: str, *, offset: int, length: int, etag: str | None = None) -> bytes:
        """See ObjectStore."""
        path = self._path(key)
        with _explained(path), path.open("rb", buffering=0) as file:
            found = _etag(os.fstat(file.fileno()))
            if etag is not None and found != etag:
                raise ObjectChanged(f"{path} changed while it was read: expected version {etag}, found {found}")
            return _pread(file.fileno(), offset=offset, length=length)

    def info(self, key: str) -> ObjectInfo | None:
        """See ObjectStore."""
        path = self._path(key)
        try:
            with _explained(path):
                stat = path.stat()
        except ObjectMissing:
            return None
        return _info(key, stat) if path.is_file() else None

    def put(self, key: str, data: bytes) -> ObjectInfo:
        """See ObjectStore; the bytes are on disk when it returns."""
        path = self._path(key)
        with _explained(path, writing=True), _written_beside(path, data) as temporary:
            stat = temporary.stat()
            temporary.replace(path)
            _flush_folder(path.parent)
        return _info(key, stat)

    def put_new(self, key: str, data: bytes) -> bool:
        """See ObjectStore; the bytes and their name are on disk when it returns."""
        path = self._path(key)
        with _explained(path, writing=True):
            if path.is_file():
                return False
            with _written_beside(path, data) as temporary:
                won = _link_new(temporary, path)
                _flush_folder(path.parent)
        return won

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See ObjectStore."""
        folder = prefix.rpartition("/")[0]
        base = self._path(folder) if folder else self._root
        with _explained(base):
            found = sorted(self._walk(base, folder + "/" if folder else "", prefix), key=lambda info: info.key)
        yield from found

    def delete(self, key: str) -> None:
        """See ObjectStore."""
        path = self._path(key)
        try:
            with _explained(path, writing=True):
                path.unlink()
        except ObjectMissing:
            return

    def _path(self, key: str) -> Path:
        pieces = key.split("/")
        if any(piece in ("", ".", "..") or piece.startswith(_TEMPORARY) or "\0" in piece for piece in pieces):
            raise StoreError(f"{key!r} is no key of {self._root}: keys are relative, with no empty, '.' or '..' piece")
        return self._root.joinpath(*pieces)

    def _walk(self, folder: Path, folder_key: str, prefix: str) -> Iterator[ObjectInfo]:
        try:
            entries = list(os.scandir(folder))
        except _ABSENT:
            return
        for entry in entries:
            key = folder_key + entry.name
            if entry.name.startswith(_TEMPORARY):
                continue
            if entry.is_dir():
                if (key + "/").startswith(prefix) or prefix.startswith(key + "/"):
                    yield from self._walk(Path(entry.path), key + "/", prefix)
            elif key.startswith(prefix):
                try:
                    stat = entry.stat()
                except FileNotFoundError:  # deleted since the folder was read
                    continue
                yield _info(key, stat)


def _info(key: str, stat: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, stat.st_size, _etag(stat), stat.st_mtime)


def _etag(stat: os.stat_result) -> str:
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}-{stat.st_ino:x}"


def _pread(descriptor: int, *, offset: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, offset)):
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b"".join(pieces)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


@contextmanager
def _written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """A hidden file in the target's folder with the bytes flushed to disk; gone at the end."""
    _make_folder(path.parent)
    temporary = path.with_name(_TEMPORARY + secrets.token_hex(8))
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _link_new(temporary: Path, path: Path) -> bool:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise StoreError(
                f"{path.parent}: this file system makes no hard links ({error.strerror}), which commits need; "
                "choose an output on a local disk, on NFS or in S3"
            ) from error
        raise
    return True


@contextmanager
def _explained(path: Path, *, writing: bool = False) -> Iterator[None]:
    """Turn what the operating system raises into the house's errors, with the path and what to do."""
    try:
        yield
    except OSError as error:
        if (isinstance(error, _ABSENT) and not writing) or isinstance(error, FileNotFoundError):
            raise ObjectMissing(f"{path} is not there") from error
        reason = f"{'can not write' if writing else 'can not read'} {path}: {error.strerror or error}"
        if error.errno in _PASSING:
            raise StoreUnavailable(f"{reason}; the file system may recover, the same command goes on") from error
        kind = StoreFull if error.errno in _FULL else StoreError
        raise kind(f"{reason}; {_WHAT_TO_DO.get(error.errno or 0, 'check the output folder')}") from error

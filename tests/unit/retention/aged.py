"""Stores in a folder whose objects can be made older, and that stop or die at a chosen call."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from halluc_ray.storage import ObjectStore, commits
from halluc_ray.storage.local import LocalStore

DAY = 86_400.0
CALLS = ("read", "info", "put", "put_new", "list", "delete")


def age(root: Path | str, days: float, *, under: str = "") -> None:
    """Make what lies under a prefix so many days older."""
    for path in sorted(Path(root).rglob("*")):
        if path.is_file() and path.relative_to(root).as_posix().startswith(under):
            stat = path.stat()
            os.utime(path, (stat.st_atime - days * DAY, stat.st_mtime - days * DAY))


def listing(store: ObjectStore, prefix: str = "") -> dict[str, str]:
    return {info.key: info.etag for info in store.list(prefix)}


def held(store: ObjectStore, prefix: str = "") -> dict[str, bytes]:
    return {info.key: store.read(info.key) for info in store.list(prefix)}


def broken_commits(store: ObjectStore) -> list[str]:
    """Markers that name a part which is not there."""
    found = []
    for info in store.list("stages/"):
        if "/commits/" in info.key:
            _, stage, _, name = info.key.split("/")
            commit = commits.read_commit(store, stage, name.removesuffix(".json"))
            prefix = f"stages/{stage}/parts/{commit.shard}.{commit.attempt}"
            parts = [f"{prefix}{'.' if part else ''}{part}.parquet" for part in commit.parts]
            found += [info.key for part in parts if store.info(part) is None]
    return found


class _Hooked(LocalStore):
    """Every call goes through `on_call`, which makes it or does not."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._lock = threading.Lock()

    def on_call(self, name: str, key: str, call: Callable[[], Any]) -> Any:
        raise NotImplementedError

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in CALLS:
            return found
        return lambda key, *rest, **named: self.on_call(name, key, lambda: found(key, *rest, **named))


class Watched(_Hooked):
    """Tells of every call before it is made; `before` may block, or raise and so keep it from happening."""

    def __init__(self, root: str, before: Callable[[str, str], None]) -> None:
        super().__init__(root)
        self._before = before

    def on_call(self, name: str, key: str, call: Callable[[], Any]) -> Any:
        with self._lock:
            self._before(name, key)
        return call()


class Died(BaseException):
    """The process is gone; nothing after it runs."""


class Dying(_Hooked):
    """Its user dies around the n-th write: before it, or after it took effect; no later call is made."""

    def __init__(self, root: str, *, writes: int, effect: bool) -> None:
        super().__init__(root)
        self._left, self._effect, self._dead = writes, effect, False

    def on_call(self, name: str, key: str, call: Callable[[], Any]) -> Any:
        with self._lock:
            if self._dead:
                raise Died
            self._left -= name in ("put", "put_new", "delete")
            if self._left > 0 or name not in ("put", "put_new", "delete"):
                return call()
            self._dead = True
            if self._effect:
                call()
            raise Died

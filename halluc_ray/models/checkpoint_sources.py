"""Where a checkpoint's bytes lie: a folder, a prefix of an object store, or a hub snapshot.

Knows how to list files and stream them; does not know which of them matter. Callers: `checkpoints`,
`checkpoint_cache`. The object store comes in as an argument, opened at the checkpoint's prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from halluc_ray.errors import InputError, SpecError

MAIN_REVISION = "main"
CHUNK_BYTES = 8 * 2**20
POOLING = "1_Pooling/config.json"
"""The one file below a checkpoint's top that matters: how a sentence embedder pools."""
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
_HUB_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_HUB_PICKLES = ["pytorch_model*.bin", "adapter_model.bin"]


class StoredObject(Protocol):
    """One listed object of a store."""

    @property
    def key(self) -> str:
        """Key relative to the store's root."""

    @property
    def size(self) -> int:
        """Size in bytes."""

    @property
    def etag(self) -> str:
        """Changes whenever the bytes do."""


class ObjectReader(Protocol):
    """The part of an object store that reading a checkpoint needs."""

    @property
    def uri(self) -> str:
        """Root of the store, as a user would write it."""

    def read_range(self, key: str, *, offset: int, length: int, etag: str | None = None) -> bytes:
        """`length` bytes from `offset`, of the version that `etag` names."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key starts with `prefix`."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a checkpoint: relative name, size in bytes, and a version that changes with its bytes."""

    name: str
    size: int
    version: str


class Source(Protocol):
    """A place that holds one checkpoint."""

    @property
    def uri(self) -> str:
        """The place, as a user would write it."""

    def files(self) -> list[SourceFile]:
        """Files at the top of the checkpoint, and `POOLING`, by name."""

    def chunks(self, file: SourceFile, *, limit: int | None = None) -> Iterator[bytes]:
        """The file's bytes in pieces, at most `limit` in all."""


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A checkpoint in a local folder."""

    folder: Path
    uri: str

    def files(self) -> list[SourceFile]:
        """Files of the folder; the version is the modification time in nanoseconds."""
        paths = [*sorted(self.folder.iterdir()), self.folder / POOLING]
        found = [(path, path.stat()) for path in paths if path.is_file()]
        named = [(path.relative_to(self.folder).as_posix(), stat) for path, stat in found]
        return sorted(
            (SourceFile(name, stat.st_size, str(stat.st_mtime_ns)) for name, stat in named), key=lambda file: file.name
        )

    def chunks(self, file: SourceFile, *, limit: int | None = None) -> Iterator[bytes]:
        """See `Source.chunks`."""
        left = file.size if limit is None else min(limit, file.size)
        with (self.folder / file.name).open("rb") as stream:
            while left > 0 and (chunk := stream.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk


@dataclass(frozen=True, slots=True)
class StoreSource:
    """A checkpoint under an object store's root."""

    store: ObjectReader

    @property
    def uri(self) -> str:
        """The store's root."""
        return self.store.uri

    def files(self) -> list[SourceFile]:
        """Objects directly under the root, and `POOLING`; the version is the ETag."""
        found = [
            SourceFile(info.key, info.size, info.etag)
            for info in self.store.list("")
            if "/" not in info.key or info.key == POOLING
        ]
        return sorted(found, key=lambda file: file.name)

    def chunks(self, file: SourceFile, *, limit: int | None = None) -> Iterator[bytes]:
        """See `Source.chunks`. Raises ObjectChanged where the object is replaced meanwhile."""
        stop = file.size if limit is None else min(limit, file.size)
        for offset in range(0, stop, CHUNK_BYTES):
            length = min(CHUNK_BYTES, stop - offset)
            yield self.store.read_range(file.name, offset=offset, length=length, etag=file.version)


def open_source(
    uri: str,
    *,
    revision: str = MAIN_REVISION,
    store: ObjectReader | None = None,
    where: str = "system",
    key: str = "checkpoint",
    pickled: bool = False,
) -> Source:
    """Find a checkpoint.

    Args:
        uri: a folder, an `s3://bucket/prefix`, or a hub id such as `org/name`.
        revision: branch, tag or commit, for a hub id alone.
        store: the object store opened at `uri`; needed for `s3://`.
        where: path of the section that names it, for messages.
        key: of that section that names it.
        pickled: bring `.bin` weights from the hub too, to convert them.

    Raises:
        SpecError: `uri` is neither, or has no revisions and one is asked for.
        InputError: the hub has no such checkpoint, or can't be reached.
    """
    if uri.startswith("s3://"):
        if store is None:
            raise SpecError(f"{where}.{key}: {uri!r} lies in an object store, and none was opened for it")
        _refuse_revision(revision, uri, where)
        return StoreSource(store)
    folder = Path(uri).expanduser()
    if folder.is_dir():
        _refuse_revision(revision, uri, where)
        return FolderSource(folder.resolve(), uri)
    if folder.exists() or not _HUB_ID.match(uri):
        raise SpecError(f"{where}.{key}: {uri!r} is no folder here, no s3:// prefix and no hub id; correct the path")
    return FolderSource(_hub_snapshot(uri, revision, _HUB_PATTERNS + (_HUB_PICKLES if pickled else [])), uri)


def _refuse_revision(revision: str, uri: str, where: str) -> None:
    if revision != MAIN_REVISION:
        raise SpecError(
            f"{where}.revision: {revision!r} has no effect on {uri}, which is no hub id; remove it, "
            "or name the place of that revision"
        )


def _hub_snapshot(hub_id: str, revision: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=patterns))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise InputError(
            f"checkpoint {hub_id!r} (revision {revision!r}) is no folder here and is not in the local hub cache, and "
            "the hub can't be reached; give a folder or an s3:// prefix, or download it where there is a network"
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise InputError(
            f"checkpoint {hub_id!r} (revision {revision!r}): the hub refused ({error}); check the id, the revision "
            "and the access token"
        ) from error

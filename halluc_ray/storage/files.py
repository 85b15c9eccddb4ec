"""The corpus as files: which ones a URI names, and whether they are still what was planned.

A file is known by URI, size and version; each is compared before and after it is read. Knows paths
and buckets, not what the files hold (see `corpus_parquet`, `digests`). Callers: the plan, shard reading.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, assert_never

from fsspec.utils import glob_translate  # type: ignore[import-untyped]

from halluc_ray.errors import InputChanged, InputError
from halluc_ray.storage.store import ObjectInfo
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

if TYPE_CHECKING:
    from halluc_ray.storage.s3 import S3Store

_SUFFIX = ".parquet"
_FOLDERS_SEARCHED = 1_000  # for a hint in a message; the tree may be huge
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One corpus file, as it was when it was listed.

    Attributes:
        uri: absolute path, or `s3://bucket/key`.
        size: bytes.
        version: changes when the file does: mtime in nanoseconds, or the ETag.
        endpoint: S3-compatible server that holds it, where not AWS.
        region: its region.
    """

    uri: str
    size: int
    version: str
    endpoint: str | None = None
    region: str | None = None


def list_files(uri: str, *, endpoint: str | None = None, region: str | None = None) -> tuple[CorpusFile, ...]:
    """The corpus files that a URI names, in byte order of their URIs.

    Args:
        uri: a file (any name); a folder or `s3://bucket/prefix` (its own *.parquet, hidden ones left
            out, subfolders not entered); or a pattern, where `*` stays within a folder and a piece `**`
            is any number of folders (`folder/**/*.parquet`); what a pattern matches is taken as it is.
        endpoint: address of an S3-compatible server.
        region: the bucket's region.

    Raises:
        SpecError: the URI names no kind of store that is known.
        InputError: nothing is there; says what was looked for and what was found instead.
        StoreError: the bucket refuses.
    """
    match parse_uri(uri):
        case LocalPlace(path):
            found = [_local_file(match) for match in _local_matches(path)]
        case S3Place(bucket, key):
            found = _s3_matches(s3_bucket(bucket, endpoint=endpoint, region=region), key, uri)
        case other:
            assert_never(other)
    return tuple(sorted(found, key=lambda file: file.uri.encode(errors="surrogateescape")))


def verify_unchanged(file: CorpusFile) -> None:
    """Look at the file a second time: after reading it, or when reading it failed.

    Raises:
        InputChanged: size or version are no longer the planned ones, or the file is gone.
    """
    match parse_uri(file.uri):
        case LocalPlace(path):
            try:
                stat = path.stat()
            except FileNotFoundError as error:
                raise InputChanged(
                    f"{file.uri} was removed after the run was planned; put it back or plan anew"
                ) from error
            except OSError as error:
                raise InputError(f"{file.uri} can not be read: {error.strerror}") from error
            now = (stat.st_size, str(stat.st_mtime_ns))
        case S3Place(bucket, key):
            info = s3_bucket(bucket, endpoint=file.endpoint, region=file.region).info(key)
            if info is None:
                raise InputChanged(f"{file.uri} was removed after the run was planned; put it back or plan anew")
            now = (info.size, info.etag)
        case other:
            assert_never(other)
    if now != (file.size, file.version):
        raise InputChanged(
            f"{file.uri} changed after the run was planned: {file.size} bytes, version {file.version} then; "
            f"{now[0]} bytes, version {now[1]} now; start the run again to plan with the new file"
        )


def s3_bucket(bucket: str, *, endpoint: str | None, region: str | None) -> S3Store:
    """The store over a whole bucket; one per process, so that connections are shared."""
    from halluc_ray.storage.s3 import shared_store  # boto3 takes a while to load, and local runs never need it

    return shared_store(bucket, endpoint=endpoint, region=region)


def _local_file(path: Path) -> CorpusFile:
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror}; mend it or leave it out of corpus.uri") from error
    return CorpusFile(str(path), stat.st_size, str(stat.st_mtime_ns))


def _local_matches(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        return _folder_files(path)
    if not _MAGIC.search(str(path)):
        raise InputError(f"{path} is not there{_near_name(path)}; corpus.uri is a file, a folder or a pattern")
    matches = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - Path.glob has no absolute patterns
    if files := [match for match in matches if match.is_file()]:
        return files
    fixed = Path(*_before_magic(path.parts))
    raise InputError(f"the pattern {path} matches no file{_inventory(fixed)}")


def _folder_files(folder: Path) -> list[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise InputError(f"the folder {folder} can not be read: {error.strerror}; grant read access") from error
    found = [entry for entry in entries if _is_corpus_name(entry.name) and not entry.is_dir()]
    if not found:
        raise InputError(f"the folder {folder} holds no *{_SUFFIX} file{_inventory(folder)}")
    return found


def _is_corpus_name(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _before_magic(pieces: Iterable[str]) -> list[str]:
    fixed = []
    for piece in pieces:
        if _MAGIC.search(piece):
            break
        fixed.append(piece)
    return fixed


def _near_name(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor is its folder {path.parent})"
    near = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _inventory(folder: Path) -> str:
    if not folder.is_dir():
        return f"; the folder {folder} is not there"
    own = [entry.name for entry in folder.iterdir() if entry.is_file()]
    deeper = sum(
        _is_corpus_name(name) for _, _, names in islice(os.walk(folder), 1, _FOLDERS_SEARCHED) for name in names
    )
    if deeper:
        return f"; its subfolders hold {deeper}: write {folder}/**/*{_SUFFIX}"
    return _kinds(own)


def _kinds(names: Iterable[str]) -> str:
    kinds = Counter(PurePosixPath(name).suffix or "no suffix" for name in names)
    if not kinds:
        return "; it is empty"
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))
    return f"; it holds {listed}; only Parquet is read; `halluc-ray import` makes it of others"


def _s3_matches(store: S3Store, key: str, uri: str) -> list[CorpusFile]:
    magic = _MAGIC.search(key)
    if key and (alone := store.info(key)) is not None:
        infos = [alone]
    elif magic:
        pattern = re.compile(glob_translate(key))
        infos = [info for info in store.list(key[: magic.start()]) if pattern.match(info.key)]
        if not infos:
            raise InputError(f"the pattern {uri} matches no object; check it against the bucket's listing")
    else:
        infos = _s3_folder(store, f"{key}/" if key else "", uri)
    return [CorpusFile(f"{store.uri}/{info.key}", info.size, info.etag, store.endpoint, store.region) for info in infos]


def _s3_folder(store: S3Store, prefix: str, uri: str) -> list[ObjectInfo]:
    own: list[ObjectInfo] = []
    others: list[str] = []
    deeper = 0
    for info in store.list(prefix):
        name = info.key[len(prefix) :]
        if "/" in name:
            deeper += name.endswith(_SUFFIX)
        elif _is_corpus_name(name):
            own.append(info)
        else:
            others.append(name)
    if own:
        return own
    if deeper:
        raise InputError(
            f"{uri} holds no *{_SUFFIX} of its own; below it are {deeper}: write {uri.rstrip('/')}/**/*{_SUFFIX}"
        )
    raise InputError(f"{uri} holds no *{_SUFFIX} object{_kinds(others)}")

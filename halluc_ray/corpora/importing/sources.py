"""Which files a SOURCE names, and what format each is in.

A file, a folder, a glob, `s3://bucket/prefix`, a folder that `datasets` saved, or a hub id. Knows names
and listings, not what files hold. Caller: the import.
"""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal, assert_never, get_args

from fsspec.utils import glob_translate  # type: ignore[import-untyped]

from halluc_ray.errors import InputError
from halluc_ray.storage.files import CorpusFile, s3_bucket
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
_BY_SUFFIX: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
_NOT_DATA = {
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
}
_SAVED = ("state.json", "dataset_dict.json")
_HUB_ID = re.compile(r"^(?:hf://(?:datasets/)?)?([A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)$")
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read.

    Attributes:
        file: where it is, its size and version.
        name: relative to the source; part of row ids, so that they are the same wherever the source lies.
        format: how it is read.
        compression: gzip, bz2, xz or zstd, by its last suffix.
    """

    file: CorpusFile
    name: str
    format: Format
    compression: str | None = None


@dataclass(frozen=True, slots=True)
class SavedDataset:
    """A folder that `datasets` saved with `save_to_disk`."""

    path: Path


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A dataset on the hub."""

    id: str


Source = tuple[SourceFile, ...] | SavedDataset | HubDataset


def find_source(source: str, *, format: Format | None = None) -> Source:
    """What a SOURCE stands for.

    Args:
        source: as the user wrote it.
        format: how to read the files, where their names do not say it.

    Raises:
        SpecError: a scheme that is not known.
        InputError: nothing is there, files of several formats are, or a format that is not read.
    """
    if source.startswith("hf://") and (hub := _HUB_ID.match(source)):
        return HubDataset(hub[1])
    match parse_uri(source):
        case LocalPlace(path):
            if path.is_dir() and any((path / name).is_file() for name in _SAVED):
                return SavedDataset(path)
            if not path.exists() and not _MAGIC.search(source) and _is_hub_id(source):
                return HubDataset(source)
            named = _local_files(path)
        case S3Place(bucket, key):
            named = _s3_files(bucket, key, source)
        case other:
            assert_never(other)
    return _in_one_format(source, named, format)


def format_of(name: str) -> tuple[Format | None, str | None]:
    """Format and compression that a file's name tells.

    >>> format_of("samples.jsonl.gz"), format_of("notes.txt")
    (('jsonl', 'gzip'), (None, None))
    """
    path = PurePosixPath(name.lower())
    compression = COMPRESSIONS.get(path.suffix)
    stem = PurePosixPath(path.stem) if compression else path
    return _BY_SUFFIX.get(stem.suffix), compression


def _is_hub_id(source: str) -> bool:
    """Two plain words with a slash, whose last word has no suffix of a file."""
    return bool(_HUB_ID.match(source)) and "/" in source and format_of(source) == (None, None)


def _local_files(path: Path) -> list[tuple[str, CorpusFile]]:
    if path.is_file():
        return [(path.name, _stat(path))]
    if path.is_dir():
        return [
            (entry.name, _stat(entry)) for entry in sorted(path.iterdir()) if entry.is_file() and _is_data(entry.name)
        ]
    if _MAGIC.search(str(path)):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute patterns
        if files := [entry for entry in found if entry.is_file()]:
            root = _folder_of_all(files)
            return [(entry.relative_to(root).as_posix(), _stat(entry)) for entry in files]
        raise InputError(f"the pattern {path} matches no file; check it with: ls {path}")
    if path.exists():
        raise InputError(f"{path} is neither a file nor a folder; write what it gives into a file first")
    hint = "; a dataset on the hub is written hf://owner/name" if not path.parent.exists() else ""
    raise InputError(f"{path} is not there{hint}; SOURCE is a file, a folder, a pattern, an s3:// URI or a hub id")


def _s3_files(bucket: str, key: str, source: str) -> list[tuple[str, CorpusFile]]:
    store = s3_bucket(bucket, endpoint=None, region=None)
    magic = _MAGIC.search(key)
    if key and not magic and (alone := store.info(key)) is not None:
        infos = [alone]
    elif magic:
        pattern = re.compile(glob_translate(key))
        infos = [info for info in store.list(key[: magic.start()]) if pattern.match(info.key)]
    else:
        prefix = f"{key}/" if key else ""
        infos = [info for info in store.list(prefix) if _is_data(info.key[len(prefix) :])]
    if not infos:
        raise InputError(f"{source}: no object there that can be imported; check it against the bucket's listing")
    root = PurePosixPath(key[: magic.start()] if magic else key)
    root = root if not magic or key[: magic.start()].endswith("/") else root.parent
    found = []
    for info in infos:
        name = PurePosixPath(info.key)
        relative = name.name if info.key == key else name.relative_to(root).as_posix()
        found.append((relative, CorpusFile(f"{store.uri}/{info.key}", info.size, info.etag)))
    return found


def _is_data(name: str) -> bool:
    if name.startswith((".", "_")) or "/" in name or name in _NOT_DATA:
        return False
    return format_of(name)[0] is not None


def _in_one_format(source: str, named: Iterable[tuple[str, CorpusFile]], format: Format | None) -> Source:
    files = []
    for name, file in named:
        by_name, compression = format_of(name)
        chosen = format or by_name
        if chosen is None:
            raise InputError(f"{name} has no suffix that tells its format; say --format, one of {', '.join(FORMATS)}")
        if compression and chosen in ("parquet", "arrow"):
            raise InputError(f"{name}: compressed {chosen} files are not read; decompress it first")
        files.append(SourceFile(file, _as_text(name), chosen, compression))
    if not files:
        raise InputError(f"{source} holds no file that can be imported ({', '.join(_BY_SUFFIX)}, also compressed)")
    kinds = Counter(file.format for file in files)
    if len(kinds) > 1:
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        raise InputError(
            f"{source} holds files of several formats ({told}); name one kind, such as {_one_kind(source, files)}"
        )
    return tuple(files)


def _one_kind(source: str, files: list[SourceFile]) -> str:
    """A pattern for the files that are like the first."""
    suffixes = PurePosixPath(files[0].name).suffixes[-2 if files[0].compression else -1 :]
    folder = source.rpartition("/")[0] if _MAGIC.search(source) else source.rstrip("/")
    return f"{folder}/*{''.join(suffixes)}"


def _folder_of_all(files: list[Path]) -> Path:
    root = files[0].parent
    while not all(file.is_relative_to(root) for file in files):
        root = root.parent
    return root


def _as_text(name: str) -> str:
    """A file's name as text; bytes in it that are no UTF-8 get a mark in their place."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _stat(path: Path) -> CorpusFile:
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror}; mend it or leave it out") from error
    return CorpusFile(str(path), stat.st_size, str(stat.st_mtime_ns))

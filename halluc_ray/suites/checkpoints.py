"""Tonight's checkpoint: a pattern over a model registry, that is, folders of checkpoints in a store.

`s3://models/tuned/{date}*` names folders below `s3://models/tuned`; of those that match, the last one in
natural order is taken (step-1000 after step-900). Order is by name and never by time, so that a night that
is run again finds the same. Knows stores, not what a checkpoint holds. Called by `tonight`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from halluc_ray.config import Store
from halluc_ray.errors import InputError, SpecError
from halluc_ray.storage import open_store

_MAGIC = re.compile(r"[*?\[]")
_DATE = "{date}"
_CONFIGS = ("config.json", "adapter_config.json")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that a pattern led to.

    Attributes:
        uri: where it lies.
        name: its folder below the pattern's fixed part.
    """

    uri: str
    name: str


def is_pattern(checkpoint: str) -> bool:
    """Whether it stands for one of several folders, or for a dated one."""
    return bool(_MAGIC.search(checkpoint)) or _DATE in checkpoint


def find_checkpoint(pattern: str, *, date: str, store: Store, where: str) -> Found:
    """The folder with a `config.json` (or `adapter_config.json`) that matches, last in natural order.

    Args:
        pattern: a path or s3:// URI; `*`, `?` and `[...]` stay within a folder's name.
        date: what `{date}` stands for.
        store: how an S3-compatible store is reached.
        where: the key in the suite, for messages.

    Raises:
        InputError: nothing matches; says what is there.
        SpecError: the pattern has no fixed part to look below.
    """
    root, pieces = _split(pattern.rstrip("/"), date=date)
    if not root:
        raise SpecError(f"{where}: {pattern!r} has no folder before the pattern; write registry/{pattern}")
    registry = open_store(root, endpoint=store.endpoint, region=store.region)
    folders = [info.key.split("/")[:-1] for info in registry.list("") if info.key.rpartition("/")[2] in _CONFIGS]
    matching = [f for f in folders if len(f) == len(pieces) and all(map(fnmatchcase, f, pieces))]
    if not matching:
        there = [("/".join(f)) for f in sorted(folders, key=_natural)[-_SHOWN:]]
        raise InputError(
            f"{where}: no checkpoint at {root}/{'/'.join(pieces)}; "
            + (f"the last ones in {root}: {', '.join(there)}" if there else f"{root} holds none at all")
        )
    name = "/".join(max(matching, key=_natural))
    return Found(f"{root}/{name}", name)


def _split(pattern: str, *, date: str) -> tuple[str, list[str]]:
    """The fixed part, and the pieces from the first one that varies."""
    pieces = pattern.split("/")
    first = next(k for k, piece in enumerate(pieces) if is_pattern(piece))
    return "/".join(pieces[:first]), [piece.replace(_DATE, date) for piece in pieces[first:]]


def _natural(folder: Iterable[str]) -> list[list[tuple[int, str]]]:
    """Digits count as numbers: step-1000 comes after step-900.

    >>> max([["step-900"], ["step-1000"]], key=_natural)
    ['step-1000']
    """
    return [
        [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]
        for name in folder
    ]

"""Marks: that something was garbage when it was seen first, so that it goes only when it still is later.

A stage or a run has one small mark, which stands for whatever lies in it and holds as long as nothing was
written there since. Lost attempts have one mark for thousands of parts, each with its ETag. Age is that of
the mark as an object, by the store's clock. Called by `collecting`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from halluc_ray.config import canonical_json
from halluc_ray.config.digest import digest
from halluc_ray.errors import ObjectMissing, StoreError
from halluc_ray.retention.contents import READERS
from halluc_ray.retention.garbage import Garbage, Reason
from halluc_ray.storage import ObjectInfo, ObjectStore, keys

PARTS_PER_MARK = 5_000


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark.

    Attributes:
        key: of its object.
        made: when, Unix seconds by the store's clock; None where the store does not tell.
        reason: why what it names was garbage.
        name: of the stage or run.
        parts: (key, ETag) of each lost part; empty for a whole stage or run.
    """

    key: str
    made: float | None
    reason: str
    name: str
    parts: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Marked:
    """Garbage that a mark covers, since when; `key` is None where nothing had to be marked."""

    garbage: Garbage
    key: str | None
    made: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Garbage held against the marks.

    Attributes:
        marked: what a mark covers.
        unmarked: what none covers.
        stale: keys of marks that cover nothing any more.
    """

    marked: Sequence[Marked]
    unmarked: Sequence[Garbage]
    stale: Sequence[str]


def read_marks(store: ObjectStore) -> list[Mark]:
    """All marks.

    Raises:
        StoreError: one is damaged.
    """
    infos = list(store.list(keys.mark_key()))
    with ThreadPoolExecutor(READERS) as pool:
        read = pool.map(lambda info: _decode(store, info), infos)
        return [mark for mark in read if mark is not None]


def mark(store: ObjectStore, garbage: Garbage) -> None:
    """Mark garbage that no mark covers; a mark that is there already stands."""
    for key, content in _marks_of(garbage):
        store.put_new(key, canonical_json(content).encode())


def judge(found: Iterable[Garbage], marks: Iterable[Mark]) -> Judged:
    """Tell garbage that was seen before from what is new."""
    by_name: dict[tuple[str, str], list[Mark]] = {}
    stale = []
    for known in marks:
        by_name.setdefault((known.reason, known.name), []).append(known)
        stale.append(known.key)
    marked: list[Marked] = []
    unmarked: list[Garbage] = []
    for garbage in found:
        known_here = by_name.get((garbage.reason, garbage.name), [])
        covered, rest = _whole(garbage, known_here) if garbage.is_whole else _by_part(garbage, known_here)
        marked += covered
        unmarked += rest
    holding = {entry.key for entry in marked}
    return Judged(marked, unmarked, [key for key in stale if key not in holding])


def _whole(garbage: Garbage, marks: Sequence[Mark]) -> tuple[list[Marked], list[Garbage]]:
    newest = garbage.newest
    for known in marks:
        if known.made is not None and newest is not None and newest <= known.made:
            return [Marked(garbage, known.key, known.made)], []
    return [], [garbage]


def _by_part(garbage: Garbage, marks: Sequence[Mark]) -> tuple[list[Marked], list[Garbage]]:
    left = {(info.key, info.etag): info for info in garbage.objects}
    covered = []
    for known in marks:
        if known.made is None:
            continue
        if held := tuple(left.pop(entry) for entry in sorted(known.parts & left.keys())):
            covered.append(Marked(Garbage(garbage.reason, garbage.name, held), known.key, known.made))
    return covered, [Garbage(garbage.reason, garbage.name, tuple(left.values()))] if left else []


def _marks_of(garbage: Garbage) -> Iterable[tuple[str, dict[str, object]]]:
    named: dict[str, object] = {"reason": garbage.reason, "name": garbage.name}
    if garbage.is_whole:
        yield keys.mark_key(digest(named)), named
        return
    for start in range(0, len(garbage.objects), PARTS_PER_MARK):
        chunk = garbage.objects[start : start + PARTS_PER_MARK]
        content = named | {"parts": [[info.key, info.etag] for info in chunk]}
        yield keys.mark_key(digest(content)), content


def _decode(store: ObjectStore, info: ObjectInfo) -> Mark | None:
    try:
        said = json.loads(store.read(info.key))
        parts = frozenset((key, etag) for key, etag in said.get("parts", ()))
        return Mark(info.key, info.modified, str(Reason(said["reason"])), said["name"], parts)
    except ObjectMissing:
        return None  # another collector was here since it was listed
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{store.uri}/{info.key} is no mark of garbage collection ({error}); delete it") from error

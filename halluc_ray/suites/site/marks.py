"""The mark in the head of each page of a site: what it was made from, and what of the texts is on it.

Two pages with equal marks are equal, as long as the corpus is where it was. Knows the packaged files of pages
and how a mark is found in a page; not what a page says. Called by `night_pages`, `suite_page`, `rendering`.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable

from halluc_ray.config import digest
from halluc_ray.errors import ObjectMissing
from halluc_ray.reports.publishing import RULES, Rule
from halluc_ray.storage import ObjectStore

_HEAD_BYTES = 400
_MARK = re.compile(r'<meta name="halluc-ray-page" content="([\w-]+)">')
_PACKAGED = ("templates", "vendor")


def mark_of(rule: Rule, *inputs: str) -> str:
    """The mark of a page that is made from some inputs by this version."""
    return f"{rule}-{digest([_pages_digest(), *inputs], length=16)}"


def read_mark(store: ObjectStore, key: str) -> str | None:
    """The mark of a page that stands; None where there is no page, or one without a mark."""
    try:
        head = store.read_range(key, offset=0, length=_HEAD_BYTES)
    except ObjectMissing:
        return None
    found = _MARK.search(head.decode("utf-8", errors="replace"))
    return found[1] if found else None


def is_looser(mark: str | None, rule: Rule) -> bool:
    """Whether a page may hold more of the texts than a rule lets pass; true of a page without a mark."""
    kept = (mark or "").partition("-")[0]
    return kept not in RULES or RULES.index(kept) > RULES.index(rule)


def is_stricter(mark: str | None, rule: Rule) -> bool:
    """Whether a page was made under a rule that lets less pass than this one; false of a page without a mark."""
    kept = (mark or "").partition("-")[0]
    return kept in RULES and RULES.index(kept) < RULES.index(rule)


@cache
def _pages_digest() -> str:
    """Of the templates, scripts and styles that pages are made of, and of the package's version."""
    found = hashlib.sha256(metadata.version("halluc-ray").encode())
    for folder in _PACKAGED:
        for name, data in sorted(_files(files("halluc_ray.reports").joinpath(folder), "")):
            found.update(f"{folder}/{name} {len(data)} ".encode() + data)
    return found.hexdigest()


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        found += _files(entry, f"{name}/") if entry.is_dir() else [(name, entry.read_bytes())]
    return found

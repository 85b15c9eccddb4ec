"""Where an import is written: the names of its files. How it appears is `storage.publishing`'s part.

Caller: the import.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

from halluc_ray.storage.publishing import Publication, Target
from halluc_ray.storage.publishing import target as target_of

MANIFEST = "_manifest.json"
REJECTED = "_rejected.jsonl"
IMPORT = Publication(
    noun="import",
    manifest=MANIFEST,
    unfinished="import-is-unfinished.parquet",
    part=re.compile(r"part-\d{5,}\.parquet"),
    beside=frozenset({REJECTED}),
)


def target(out: str, *, overwrite: bool) -> AbstractContextManager[Target]:
    """A place for an import. Raises as `storage.publishing.target`."""
    return target_of(out, publication=IMPORT, overwrite=overwrite)

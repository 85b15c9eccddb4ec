"""The manifest beside an imported corpus: where it came from, what was made of it, what it holds.

No time, path or machine is in it, so that the same source gives the same bytes. Caller: the import.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from halluc_ray.corpora.importing.account import ImportOptions, ImportResult
from halluc_ray.corpora.importing.publishing import IMPORT
from halluc_ray.corpora.importing.sources import HubDataset, Source, SourceFile
from halluc_ray.storage.digests import digests

if TYPE_CHECKING:
    from halluc_ray.corpora.importing.writer import PartFile

VERSION = 1


def manifest_text(
    result: ImportResult, *, options: ImportOptions, source: dict[str, Any], files: Sequence[dict[str, Any]]
) -> str:
    """The manifest as JSON text."""
    return (
        json.dumps(
            {
                "kind": IMPORT.kind,
                "version": VERSION,
                "source": source,
                "read_as": {name: value for name, value in asdict(options.reading).items() if value is not None},
                "map": options.described,
                "id": "row" if options.id_from_row else "mapped",
                "keep": options.keep if isinstance(options.keep, str) else sorted(options.keep),
                "limit": options.limit,
                "records": result.records,
                "imported": result.imported,
                "rejected": sum(result.rejected.values()),
                "rejected_by_reason": result.rejected,
                "rows": result.rows,
                "rows_with_an_id_seen_before": result.duplicates.rows,
                "columns": {
                    name: {"holds": kind.value, "nulls": result.nulls[name]} for name, kind in result.columns.items()
                },
                "left_out": list(result.left_out),
                "renamed": result.renamed,
                "nan_read_as_null": result.nan_as_null,
                "files": list(files),
                "made_with": {name: metadata.version(name) for name in ("halluc-ray", "pyarrow")},
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def source_entries(source: Source, files: Sequence[SourceFile]) -> dict[str, Any]:
    """The source's files by name, size and digest; sha256, or the ETag of an object stored without."""
    if isinstance(source, HubDataset):
        return {"hub": source.id}
    found = digests([file.file for file in files])
    return {
        "files": [
            {"name": file.name, "bytes": file.file.size, "format": file.format, "digest": _named(digest)}
            for file, digest in zip(files, found, strict=True)
        ]
    }


def file_entries(parts: Sequence[PartFile]) -> list[dict[str, Any]]:
    """The written files: name, rows, size, digest."""
    entries = []
    for part in parts:
        with part.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        entries.append(
            {"name": part.path.name, "rows": part.rows, "bytes": part.path.stat().st_size, "digest": _named(digest)}
        )
    return entries


def _named(digest: str) -> str:
    return digest if ":" in digest else f"sha256:{digest}"

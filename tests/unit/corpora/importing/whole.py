"""A whole import in one call, for the tests of this folder."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from halluc_ray.corpora.importing import ImportOptions, ImportResult, import_corpus
from halluc_ray.corpora.importing.mapping import parse_mapping
from halluc_ray.corpora.importing.presets import preset
from halluc_ray.corpora.importing.reading import ReadingOptions


def imported(
    source: Path | str, out: Path | str, mapping: str, *, reading: dict[str, Any] | None = None, **options: Any
) -> ImportResult:
    """Import with a mapping, or with `preset NAME`."""
    name = mapping.removeprefix("preset ")
    mapper = preset(name) if name != mapping else parse_mapping([mapping])
    return import_corpus(
        str(source), str(out), ImportOptions(mapper, mapping, ReadingOptions(**reading or {}), **options)
    )


def rows(out: Path) -> list[dict[str, Any]]:
    """Every row of an imported corpus, in order."""
    return [row for path in sorted(out.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def rejected(out: Path) -> list[dict[str, Any]]:
    """The lines of _rejected.jsonl."""
    path = out / "_rejected.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def write_lines(path: Path, *records: Any) -> Path:
    """JSON Lines; bytes go in as they are."""
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path

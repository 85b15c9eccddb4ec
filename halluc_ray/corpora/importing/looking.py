"""A look at a source before it is imported: its fields with types and examples, and a mapping to start from.

Reads the first records only, writes nothing, decides nothing. Caller: the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halluc_ray.corpora.importing.presets import detected_preset
from halluc_ray.corpora.importing.reading import ReadingOptions, read_records, source_files
from halluc_ray.corpora.importing.records import Record
from halluc_ray.corpora.importing.sources import find_source
from halluc_ray.corpora.importing.values import plain_text

RECORDS = 500
_MAX_PATHS = 200
_MAX_DEPTH = 16
_MOSTLY = 0.5
"""Share of records that must fill a path, or one of the same name that more of them fill is proposed."""
_TEXTS = frozenset({"text", "content", "value", "body"})
"""What objects call their text: of `passages[].title` and `passages[].text`, the latter."""
_BARE = re.compile(r"[^\s.\[\](),='\"][^.\[\](),='\"]*")
_USUAL = {
    "id": (
        "id",
        "qid",
        "question_id",
        "sample_id",
        "example_id",
        "uid",
        "guid",
        "_id",
        "doc_id",
        "idx",
        "index",
        "key",
    ),
    "prompt": ("prompt", "question", "query", "instruction", "input", "problem", "user_query", "src", "source", "text"),
    "context": ("context", "passage", "passages", "document", "article", "evidence", "knowledge", "documents"),
    "reference": (
        *("reference", "references", "answers", "answer", "gold", "target", "targets", "ref", "best_answer", "label"),
        *("correct_answers", "right_answer", "expected", "ground_truth", "output"),
    ),
    "options": ("options", "choices", "candidates"),
    "response": (
        *("response", "prediction", "completion", "generation", "output", "model_answer", "generated_text", "mt"),
        *("hypothesis", "predictions", "responses", "summary"),
    ),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One path that records have.

    Attributes:
        path: as a mapping names it.
        kinds: what it holds.
        share: of records that have a value there.
        example: the first value, as text.
    """

    path: str
    kinds: tuple[str, ...]
    share: float
    example: str


@dataclass(frozen=True, slots=True)
class SourceLook:
    """What the first records look like.

    Attributes:
        records: how many were looked at.
        rejected: how many of them can't be read.
        fields: every path, in order of appearance.
        mapping: a `--map` to start from, by names alone; empty where no name is known.
        preset: the harness whose samples these look like.
    """

    records: int
    rejected: int
    fields: tuple[Field, ...]
    mapping: str
    preset: str | None


def look_at(source: str, reading: ReadingOptions) -> SourceLook:
    """Look at the first records.

    Raises:
        InputError: as the import would.
    """
    found = find_source(source, format=reading.format)
    records = read_records(found, source_files(found, reading), reading, on_bytes=lambda count: None)
    seen: dict[str, tuple[dict[str, None], list[Any]]] = {}
    taken = rejected = 0
    preset = None
    for record in records:
        if taken + rejected == RECORDS:
            records.close()  # type: ignore[attr-defined]
            break
        if not isinstance(record, Record):
            rejected += 1
            continue
        taken += 1
        preset = preset or detected_preset(record.value)
        for path, kind, value in _paths(record.value):
            if path not in seen and len(seen) < _MAX_PATHS:
                seen[path] = ({}, [0, None])
            if path in seen:
                kinds, tally = seen[path]
                kinds[f"list of {kind}" if "[]" in path else kind] = None
                tally[0] += value is not None
                tally[1] = value if tally[1] is None else tally[1]
    fields = tuple(
        Field(path, tuple(k for k in kinds if k != "null") or ("null",), min(1.0, tally[0] / taken), _shown(tally[1]))
        for path, (kinds, tally) in seen.items()
    )
    return SourceLook(taken, rejected, fields, _proposed(fields), preset)


def _paths(value: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    for name, inner in value.items():
        path = _joined(before, name)
        if depth == _MAX_DEPTH:
            yield path, "nested", None
        elif isinstance(inner, Mapping):
            yield from _paths(inner, path, depth + 1)
        elif isinstance(inner, list | tuple):
            yield from _elements(inner, f"{path}[]", depth + 1)
        else:
            yield path, _kind(inner), inner


def _elements(values: list[Any] | tuple[Any, ...], path: str, depth: int) -> Iterator[tuple[str, str, Any]]:
    first = next((value for value in values if value is not None), None)
    if depth == _MAX_DEPTH:
        yield path, "nested", None
    elif isinstance(first, Mapping):
        yield from _paths(first, path, depth + 1)
    elif isinstance(first, list | tuple):
        yield from _elements(first, f"{path}[]", depth + 1)
    else:
        yield path, _kind(first), first


def _joined(before: str, name: str) -> str:
    if _BARE.fullmatch(name) and name == name.strip():
        return f"{before}.{name}" if before else name
    quote = '"' if "'" in name else "'"
    return f"{before}[{quote}{name}{quote}]"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case bytes():
            return "bytes"
        case _:
            return type(value).__name__


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return "" if value is None else " ".join(plain_text(value)[:200].split())


def _proposed(fields: Sequence[Field]) -> str:
    by_name: dict[str, list[tuple[bool, bool, bool, int, str]]] = {}
    for position, field in enumerate(fields):
        names = field.path.replace("[]", "").lower().replace(" ", "_").split(".")
        for name in dict.fromkeys(names):
            rank = (field.share < _MOSTLY, name != names[-1], names[-1] not in _TEXTS, position, field.path)
            by_name.setdefault(name, []).append(rank)
    best = {name: min(ranks)[-1] for name, ranks in by_name.items()}
    chosen: dict[str, str] = {}
    for column, usual in _USUAL.items():
        found = next((best[name] for name in usual if name in best and best[name] not in chosen.values()), None)
        if found is not None:
            chosen[column] = f"join({found})" if column in ("prompt", "context") and "[]" in found else found
    return ",".join(f"{column}={path}" for column, path in chosen.items())

"""From a shard's rows to what a model is given: samples, and the rows that none is made of.

Knows roles and placeholders; does not know models. Called by shard runs and the preview.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halluc_ray.engine.roles import BETWEEN_PASSAGES, to_texts, to_words
from halluc_ray.engine.rows import ShardRows
from halluc_ray.models.execution import Failure
from halluc_ray.records import Sample, Turn

_NO_FIELDS = frozenset({"messages", "image", "options"})


def samples_of(
    rows: ShardRows,
    reasons: Sequence[str | None],
    *,
    columns: Sequence[str] = (),
    images: Sequence[tuple[bytes, ...] | str] | None = None,
) -> tuple[list[Sample], list[Failure]]:
    """Samples of the rows without a reason to fail, and the others.

    Args:
        rows: the shard's selected rows.
        reasons: why each row can't be run; None where it can.
        columns: corpus columns that placeholders name.
        images: of each row, or why it has none; None where no system reads images.
    """
    fields = _fields(rows, columns)
    turns, options = _lists(rows, "messages"), _options(rows)
    samples, failures = [], []
    for k, (row, id_) in enumerate(zip(rows.rows.tolist(), rows.ids.to_pylist(), strict=True)):
        pictures = () if images is None else images[k]
        if reasons[k] is not None or isinstance(pictures, str):
            failures.append(Failure(row, id_, str(reasons[k] or pictures)))
            continue
        own = {name: text for name, values in fields.items() if (text := values[k]) is not None}
        spoken = tuple(Turn(turn["role"], turn["content"]) for turn in turns[k] or ())
        samples.append(Sample(row, id_, own, turns=spoken, images=pictures, options=options[k]))
    return samples, failures


def _fields(rows: ShardRows, columns: Sequence[str]) -> dict[str, list[str | None]]:
    texts: dict[str, list[str | None]] = {}
    for role, values in rows.roles.items():
        if role == "reference":
            texts[role] = [None if v is None else BETWEEN_PASSAGES.join(v) for v in values.to_pylist()]
        elif role not in _NO_FIELDS:
            texts[role] = to_texts(values).values.to_pylist()
    for column in columns:
        texts[column] = to_words(rows.table.column(column).combine_chunks()).values.to_pylist()
    return texts


def _lists(rows: ShardRows, role: str) -> list[Any]:
    return rows.roles[role].to_pylist() if role in rows.roles else [None] * len(rows)


def _options(rows: ShardRows) -> list[tuple[str, ...]]:
    """What each row may choose from: its options and its true answers, each once, sorted."""
    pairs = zip(_lists(rows, "options"), _lists(rows, "reference"), strict=True)
    return [tuple(sorted({*(given or ()), *(true or ())})) for given, true in pairs]

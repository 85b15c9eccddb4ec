"""Scores as Arrow columns, and the small pieces that whole-column indicators build them from.

Knows the schema of stored scores; does not know any indicator. Called by the indicators and by the
engine, which stores what `scores_to_columns` gives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.indicators.protocol import EVIDENCE_CHARS, Codes, Scores
from halluc_ray.records.schemas import SCORED, SCORES


def scores_to_columns(scores: Scores) -> dict[str, pa.Array]:
    """The columns of `SCORES` beside `row` and `draw`, typed as the schema says.

    A score that is NaN, or whose state is not SCORED, becomes null; a span of -1 likewise; evidence
    is cut at EVIDENCE_CHARS characters.
    """
    spanless = scores.span_start < 0
    columns = {
        "state": pa.array(scores.state, type=pa.uint8()),
        "score": pa.array(scores.score, type=pa.float64(), mask=(scores.state != SCORED) | np.isnan(scores.score)),
        "reason": _dictionary(scores.reason),
        "span_start": pa.array(scores.span_start, type=pa.int32(), mask=spanless),
        "span_stop": pa.array(scores.span_stop, type=pa.int32(), mask=spanless),
        "span": _cut(scores.span),
        "against": _cut(scores.against),
    }
    return {field.name: columns[field.name] for field in SCORES if field.name in columns}


def coded(codes: npt.NDArray[np.integer], names: Sequence[str | None]) -> pa.DictionaryArray:
    """A column of few texts: `names[code]` for each code; a name of None is null."""
    known = [name for name in names if name is not None]
    index = np.array([-1 if name is None else known.index(name) for name in names], dtype=np.int32)[codes]
    return pa.DictionaryArray.from_arrays(pa.array(index, mask=index < 0), pa.array(known, type=pa.string()))


def whole_column(
    score: npt.NDArray[np.float64],
    state: Codes,
    *,
    reason: pa.Array,
    against: pa.Array | None = None,
    span: pa.Array | None = None,
) -> Scores:
    """Scores of an indicator that judges the response as a whole; `span`, where not null, covers it."""
    if span is None:
        stop = np.full(len(score), -1, dtype=np.int32)
        span = pa.nulls(len(score), pa.string())
    else:
        stop = pc.fill_null(pc.utf8_length(span), -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Scores(
        score=np.where(state == SCORED, score, np.nan),
        state=state,
        reason=reason,
        span_start=np.where(stop >= 0, 0, -1).astype(np.int32),
        span_stop=stop,
        span=span,
        against=pa.nulls(len(score), pa.string()) if against is None else against,
    )


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column as one plain array: no chunks, no dictionary."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def _dictionary(texts: pa.Array | list[str | None]) -> pa.Array:
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, type=pa.string())
    wanted = SCORES.field("reason").type
    return array.cast(wanted) if isinstance(array, pa.DictionaryArray) else array.dictionary_encode().cast(wanted)


def _cut(texts: pa.Array | list[str | None]) -> pa.Array:
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, type=pa.string())
    return pc.utf8_slice_codeunits(flat(array).cast(pa.string()), 0, EVIDENCE_CHARS)

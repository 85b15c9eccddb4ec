"""Arrow schemas of everything that is committed, with their version.

A unit is one draw of one selected row. Units of a part are ordered by (row, draw); the parts of
score and count stages are aligned with the generate part by position.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 2

_NAME = pa.dictionary(pa.int32(), pa.string())

OPTION_SCORE = pa.struct([("text", pa.string()), ("logprob", pa.float64()), ("num_tokens", pa.int32())])
"""One option under a language model: natural logarithm of its probability after the prompt, and its length."""

GENERATIONS = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),  # offset in the shard's row range
        pa.field("draw", pa.uint16(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("system", _NAME),  # only where one stage holds several systems
        pa.field("failure", _NAME),  # why there is no output; null: there is one
        pa.field("text", pa.string()),  # the answer; null for recorded ones: they stay in the corpus
        pa.field("raw_text", pa.string()),  # all that was generated, where `text` is a part of it
        pa.field("probability", pa.float64()),  # of the predicted label
        pa.field("logprob", pa.float64()),  # natural logarithm, summed over the output's tokens
        pa.field("similarity", pa.float64()),  # cosine, of systems that match two things
        pa.field("option_scores", pa.list_(OPTION_SCORE)),  # sorted by text
        pa.field("num_prompt_tokens", pa.int32()),
        pa.field("num_output_tokens", pa.int32()),
        pa.field("num_reasoning_tokens", pa.int32()),  # of the output's tokens
        pa.field("truncated", pa.bool_()),
        pa.field("finish", _NAME),  # stop | length | label | choice | tie
    ]
)

SCORED = 255
"""`state` of a unit that has a score; otherwise `state` is the code of its outcome."""

SCORES = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("draw", pa.uint16(), nullable=False),
        pa.field("state", pa.uint8(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("reason", _NAME),
        pa.field("span_start", pa.int32()),  # characters of the response
        pa.field("span_stop", pa.int32()),
        pa.field("span", pa.string()),
        pa.field("against", pa.string()),
    ]
)

COUNTS = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("slice", pa.int16(), nullable=False),  # 0: all rows; k: the k-th slice of the spec
        pa.field("cell", pa.string(), nullable=False),  # JSON list of the slice's values
        pa.field("system", pa.string(), nullable=False),
        pa.field("item", pa.int16(), nullable=False),  # indicator or summary, by position
        pa.field("stat", pa.string(), nullable=False),
        pa.field("value", pa.int64(), nullable=False),
    ]
)


def verdict_schema(num_indicators: int) -> pa.Schema:
    """Schema of a count stage's main part: one outcome code per unit and indicator."""
    fixed = [GENERATIONS.field(name) for name in ("row", "draw", "id", "system", "failure")]
    return pa.schema(fixed + [pa.field(f"outcome_{k}", pa.uint8(), nullable=False) for k in range(num_indicators)])

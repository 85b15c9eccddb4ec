"""Texts in CSV that a spreadsheet would run as formulas.

Answers of models and texts of corpora are not to be trusted, and a cell that begins with `=` is run by whoever
opens the file. Such texts, and those that begin with an apostrophe, get an apostrophe before them: taking one
away from every text that begins with one gives the text back. Pure. Callers: `datasets`, `rates`.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_STARTS_A_FORMULA = "^['=+\\-@\\t\\r\\n＝＋－＠]"
_IS_A_NUMBER = r"^[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?$"


def guarded(table: pa.Table) -> tuple[pa.Table, int]:
    """The table with an apostrophe before texts and names of columns that begin as a formula does and are no number.

    Returns:
        The table, and how many cells were changed; names are not counted.

    >>> table, changed = guarded(pa.table({"response": ["=1+1", "-5", "'tis", "a=b", None]}))
    >>> table["response"].to_pylist(), changed
    (["'=1+1", '-5', "''tis", 'a=b', None], 2)
    """
    changed = 0
    for at, field in enumerate(table.schema):
        if not pa.types.is_string(field.type):
            continue
        column = table.column(at)
        risky = pc.fill_null(_risky(column), False)
        number = pc.sum(risky).as_py() or 0
        if number:
            marked = pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)
            table = table.set_column(at, field, marked)
            changed += number
    return table.rename_columns(guarded_schema(table.schema).names), changed


def guarded_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of a table that is guarded: a slice's column has whatever name the corpus gave it."""
    names = pa.array(schema.names, pa.string())
    marked = pc.if_else(_risky(names), pc.binary_join_element_wise("'", names, ""), names).to_pylist()
    return pa.schema([field.with_name(name) for field, name in zip(schema, marked, strict=True)])


def _risky(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    starts = pc.match_substring_regex(column, _STARTS_A_FORMULA)
    return pc.and_not(starts, pc.match_substring_regex(column, _IS_A_NUMBER))

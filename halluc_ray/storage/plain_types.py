"""Corpus columns in the few Arrow types that kernels take, with bytes that are no text as bytes.

Writers promise UTF-8 in string columns and do not always keep it; a column that breaks the promise is
handed on as binary, so that the rows at fault can be told. Pure on Arrow. Callers: row reading, samples,
the plan.
"""

from __future__ import annotations

import pyarrow as pa


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with every type `without_views`."""
    return pa.schema([field.with_type(without_views(field.type)) for field in schema])


def without_views(kind: pa.DataType) -> pa.DataType:
    """The type as Arrow's kernels take it: string and binary views, alone or in lists, become plain."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) and without_views(kind.value_type) != kind.value_type:
        return pa.list_(without_views(kind.value_type))
    if pa.types.is_large_list(kind) and without_views(kind.value_type) != kind.value_type:
        return pa.large_list(without_views(kind.value_type))
    return kind


def plain_table(table: pa.Table) -> pa.Table:
    """The table in plain types; string columns that hold bytes which are no UTF-8 become binary ones."""
    table = table.cast(plain_schema(table.schema))
    for position, field in enumerate(table.schema):
        column = table.column(position)
        if not _keeps_its_promise(column):
            table = table.set_column(position, field.name, column.cast(_as_binary(field.type)))
    return table


def _keeps_its_promise(column: pa.ChunkedArray) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _as_binary(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(_as_binary(kind.value_type))
    if pa.types.is_dictionary(kind):
        return _as_binary(kind.value_type)
    return pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()

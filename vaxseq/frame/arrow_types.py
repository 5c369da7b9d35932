"""Arrow types that vaex doesn't have, as such that it has."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.dataset.table_columns import Columns
from vaxseq.expressions.values import is_text


def held(columns: Columns) -> Columns:
    """The columns as a frame can hold them; categories of text stay categories, those of numbers are the numbers."""
    return {
        name: _held(column) if isinstance(column, pa.Array | pa.ChunkedArray) else column
        for name, column in columns.items()
    }


def _held(column: Any) -> Any:
    if isinstance(column, pa.ExtensionArray) or isinstance(column.type, pa.BaseExtensionType):
        return column
    kind = column.type
    if pa.types.is_dictionary(kind):
        if pa.types.is_string_view(kind.value_type):
            return column.cast(pa.dictionary(kind.index_type, pa.large_string()))
        return column if is_text(kind.value_type) else _held(column.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return _held(pc.run_end_decode(column))
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _even(column)
    return column


def _even(column: Any) -> Any:
    """Lists that all have the same length, as arrays of a fixed one; others as they are."""
    lengths = pc.unique(pc.list_value_length(column))
    if column.null_count or len(lengths) != 1 or not lengths[0].as_py():
        return column
    fixed = pa.list_(column.type.value_type, lengths[0].as_py())
    nested = pa.types.is_list(column.type.value_type) or pa.types.is_large_list(column.type.value_type)
    return column if nested else column.cast(fixed)

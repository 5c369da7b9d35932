"""Columns of foreign tables as arrays that a frame can hold: shared where they may be, cast where they must."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.errors import OptionError, SourceError
from vaxseq.expressions.values import is_text

Columns = dict[str, Any]

_TAKEN = "biufMm"  # NumPy kinds that a frame has as they are


def pandas_columns(data: Any) -> Columns:
    """A pandas frame's columns: NumPy's as views, all others as Arrow has them."""
    if data.columns.nlevels > 1:
        remedy = "Flatten them: frame.columns = ['_'.join(names) for names in frame.columns]."
        raise OptionError(f"frame: its columns have {data.columns.nlevels} levels of names, expected one. {remedy}")
    names = _checked(data.columns)
    return {name: _pandas(name, data.iloc[:, place]) for place, name in enumerate(names)}


def _pandas(name: str, series: Any) -> Any:
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in _TAKEN:
        return np.ascontiguousarray(series.to_numpy())  # a matrix behind the frame has its columns strided
    if type(series.dtype).__name__ == "SparseDtype":
        return np.asarray(series)
    return _arrow(name, _as_arrow(name, series))


def arrow_columns(table: pa.Table) -> Columns:
    """An Arrow table's columns."""
    names = _checked(table.column_names)
    return {name: _arrow(name, column) for name, column in zip(names, table.columns, strict=True)}


def mapped_columns(data: Mapping[Any, Any]) -> Columns:
    """A dict's arrays, of NumPy, Arrow, pandas and polars, or lists of values with None where one is missing."""
    columns: Columns = {}
    for name, values in zip(_checked(data), data.values(), strict=True):
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            got = type(values).__name__
            raise OptionError(f"frame: column {name!r}: got {got}, expected an array or a list, a value for each row.")
        if isinstance(values, np.ndarray) and values.ndim and values.dtype.kind in _TAKEN:
            columns[name] = values
        elif type(values).__module__.startswith("pandas.") and hasattr(values, "to_numpy"):
            columns[name] = _pandas(name, _as_series(values))
        else:
            columns[name] = _arrow(name, _as_arrow(name, values))
    return columns


def structured_columns(data: npt.NDArray[Any]) -> Columns:
    """A structured array's fields as views; a record array's and a memory map's likewise."""
    if data.ndim != 1:
        raise OptionError(f"frame: a structured array of shape {data.shape}, expected one record a row.")
    plain = data.view(np.ndarray)
    columns: Columns = {}
    for name in data.dtype.names or ():
        field = plain[name] if not np.ma.isMaskedArray(data) else data[name]
        if field.dtype.names is not None:
            raise SourceError(f"frame: column {name!r}: a record inside a record. Name its fields as columns.")
        columns[name] = field if field.dtype.kind in _TAKEN else _arrow(name, _as_arrow(name, field))
    return columns


def _as_series(values: Any) -> Any:
    import pandas as pd

    return pd.Series(values)


def _as_arrow(name: str, values: Any) -> Any:
    if hasattr(values, "to_arrow"):  # polars
        return values.to_arrow()
    try:
        if isinstance(values, np.ndarray) and values.dtype.kind in "US":
            return pa.array(values.astype(str).tolist(), pa.large_string())
        if isinstance(values, np.ndarray) and values.ndim > 1:
            raise TypeError(f"an array of shape {values.shape} and type {values.dtype}")
        return pa.array(values, from_pandas=not isinstance(values, list | tuple))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        what = str(error).partition("\n")[0]
        raise SourceError(f"frame: column {name!r} can't be read: {what}. Give all its values one type.") from error


def _arrow(name: str, column: Any) -> Any:
    """Types that vaex doesn't have as such that it has; categories of text stay categories."""
    if isinstance(column, pa.ExtensionArray) or isinstance(column.type, pa.BaseExtensionType):
        return column
    kind = column.type
    if pa.types.is_dictionary(kind):
        if pa.types.is_string_view(kind.value_type):
            return column.cast(pa.dictionary(kind.index_type, pa.large_string()))
        return column if is_text(kind.value_type) else _arrow(name, column.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        import pyarrow.compute as pc

        return _arrow(name, pc.run_end_decode(column))
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _even(column)
    return column


def _even(column: Any) -> Any:
    """Lists that all have the same length, as arrays of a fixed one; others as they are."""
    import pyarrow.compute as pc

    lengths = pc.unique(pc.list_value_length(column))
    if column.null_count or len(lengths) != 1 or not lengths[0].as_py():
        return column
    fixed = pa.list_(column.type.value_type, lengths[0].as_py())
    nested = pa.types.is_list(column.type.value_type) or pa.types.is_large_list(column.type.value_type)
    return column if nested else column.cast(fixed)


def _checked(names: Iterable[Any]) -> list[str]:
    """The names as text, each once."""
    texts = [str(name) for name in names]
    twice = sorted({name for name in texts if texts.count(name) > 1})
    if twice:
        raise OptionError(f"frame: the column {twice[0]!r} is there twice. Rename one.")
    return texts

"""Columns of foreign tables as arrays, NumPy's or Arrow's: shared where they may be.

``where`` begins the messages: "frame", "records", or the source of a conversion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.errors import OptionError, SourceError

Columns = dict[str, Any]

_TAKEN = "biufMm"  # NumPy kinds that stay as they are


def pandas_columns(data: Any, where: str) -> Columns:
    """A pandas frame's columns, its index among them: NumPy's as views, all others as Arrow has them."""
    if data.columns.nlevels > 1:
        remedy = "Flatten them: frame.columns = ['_'.join(names) for names in frame.columns]."
        raise OptionError(f"{where}: its columns have {data.columns.nlevels} levels of names, expected one. {remedy}")
    names = _checked(data.columns, where)
    columns = {name: _pandas(name, data.iloc[:, place], where) for place, name in enumerate(names)}
    index = index_frame(data, where)
    return columns if index is None else {**pandas_columns(index, where), **columns}


def index_frame(data: Any, where: str) -> Any:
    """A pandas frame's index as a frame, where it says more than the row's number; else None.

    Raises:
        SourceError: its name is that of a column which says something else, or is there twice.
    """
    index = data.index
    unnamed = all(name is None for name in index.names)
    if index.nlevels == 1 and unnamed and index.dtype.kind in "iu":  # numbers that a selection has left
        return None
    if (
        index.nlevels == 1
        and index.name in data.columns
        and index.equals(data[[index.name]].set_index(index.name).index)
    ):
        return None
    remedy = "Rename it with rename_axis(), or drop it with reset_index(drop=True)."
    try:
        found = data.iloc[:, :0].reset_index()
    except ValueError as error:  # two levels of one name
        raise SourceError(f"{where}: the index {list(index.names)} can't become a column: {error}. {remedy}") from error
    for name in found.columns:
        if name in data.columns:
            raise SourceError(
                f"{where}: the index {list(index.names)} can't become a column: a column is called {name!r}. {remedy}"
            )
    return found


def _pandas(name: str, series: Any, where: str) -> Any:
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in _TAKEN:
        return np.ascontiguousarray(series.to_numpy())  # a matrix behind the frame has its columns strided
    if type(series.dtype).__name__ == "SparseDtype":
        return np.asarray(series)
    return _as_arrow(name, series, where)


def arrow_columns(table: pa.Table, where: str) -> Columns:
    """An Arrow table's columns."""
    return dict(zip(_checked(table.column_names, where), table.columns, strict=True))


def mapped_columns(data: Mapping[Any, Any], where: str) -> Columns:
    """A dict's arrays, of NumPy, Arrow, pandas and polars, or lists of values with None where one is missing."""
    columns: Columns = {}
    for name, values in zip(_checked(data, where), data.values(), strict=True):
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            got = type(values).__name__
            raise OptionError(
                f"{where}: column {name!r}: got {got}, expected an array or a list, a value for each row."
            )
        if isinstance(values, np.ndarray) and values.ndim and values.dtype.kind in _TAKEN:
            columns[name] = values
        elif type(values).__module__.startswith("pandas.") and hasattr(values, "to_numpy"):
            columns[name] = _pandas(name, _as_series(values), where)
        else:
            columns[name] = _as_arrow(name, values, where)
    return columns


def structured_columns(data: npt.NDArray[Any], where: str) -> Columns:
    """A structured array's fields as views; a record array's and a memory map's likewise."""
    if data.ndim != 1:
        raise OptionError(f"{where}: a structured array of shape {data.shape}, expected one record a row.")
    plain = data.view(np.ndarray)
    columns: Columns = {}
    for name in data.dtype.names or ():
        field = plain[name] if not np.ma.isMaskedArray(data) else data[name]
        if field.dtype.names is not None:
            raise SourceError(f"{where}: column {name!r}: a record inside a record. Name its fields as columns.")
        columns[name] = field if field.dtype.kind in _TAKEN else _as_arrow(name, field, where)
    return columns


def _as_series(values: Any) -> Any:
    import pandas as pd

    return pd.Series(values)


def _as_arrow(name: str, values: Any, where: str) -> Any:
    if isinstance(values, np.ndarray) and values.dtype.kind == "c":
        remedy = "Make two columns of it, of the real and the imaginary part"
        raise SourceError(f"{where}: column {name!r}: complex numbers, expected real ones. {remedy}.")
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
        raise SourceError(f"{where}: column {name!r} can't be read: {what}. Give all its values one type.") from error


def repeated_names(names: Iterable[str]) -> list[str]:
    """The names that are there more than once, sorted.

    >>> repeated_names(["b", "a", "b", "c"])
    ['b']
    """
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _checked(names: Iterable[Any], where: str) -> list[str]:
    """The names as text, each once."""
    texts = [str(name) for name in names]
    twice = repeated_names(texts)
    if twice:
        raise OptionError(f"{where}: the column {twice[0]!r} is there twice. Rename one.")
    return texts

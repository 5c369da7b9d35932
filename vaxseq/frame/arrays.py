"""Array columns of Arrow files as vaex understands arrays: NumPy blocks of (rows, ...), cut out as they are read.

vaex takes a fixed-size list for a list of any length, which nothing but Python can read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.expressions.values import from_raw
from vaxseq.frame.vaex_internals import LazyColumn, array_fingerprint


class ArrayColumn(LazyColumn):
    """Fixed-size lists of numbers; a missing row, or element, is NaN."""

    def __init__(self, lists: pa.ChunkedArray, dtype: np.dtype[Any] | None = None) -> None:
        self.lists = lists
        shape, leaf = [], lists.type
        while pa.types.is_fixed_size_list(leaf):
            shape.append(leaf.list_size)
            leaf = leaf.value_type
        stored = np.dtype(np.float32 if pa.types.is_float16(leaf) else leaf.to_pandas_dtype())
        if dtype is None:
            missing = stored.kind != "f" and any(map(_any_missing, lists.chunks))
            dtype = np.dtype(np.float64) if missing else stored
        self.dtype = dtype  # of the whole column, so that each part of it is alike
        self.shape = (len(lists), *shape)

    def __len__(self) -> int:
        return len(self.lists)

    def __getitem__(self, rows: Any) -> Any:
        if not isinstance(rows, slice):
            return self[rows : rows + 1][0] if rows != -1 else self[-1:][0]
        start, stop, step = rows.indices(len(self))
        part = self.lists.slice(start, max(stop - start, 0))
        if not len(part):
            return np.zeros((0, *self.shape[1:]), self.dtype)
        data = from_raw(part).data.astype(self.dtype, copy=False)
        return data if step == 1 else data[::step]

    def trim(self, i1: int, i2: int) -> ArrayColumn:
        """Rows ``i1`` to ``i2``, still lazy."""
        return ArrayColumn(self.lists.slice(i1, i2 - i1), self.dtype)

    def to_numpy(self) -> Any:
        """All rows."""
        return self[:]

    def tolist(self) -> list[Any]:
        """All rows as lists; None where missing."""
        return list(self.lists.to_pylist())

    def _fingerprint(self) -> str:
        return f"column-arrays-{array_fingerprint(self[:])}"


def is_array(kind: pa.DataType) -> bool:
    """Whether each row is an array of numbers."""
    if not pa.types.is_fixed_size_list(kind):
        return False
    while pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _any_missing(array: pa.Array) -> bool:
    if array.null_count:
        return True
    return pa.types.is_fixed_size_list(array.type) and _any_missing(array.values)

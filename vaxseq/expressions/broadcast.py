"""What every kernel shares: operands in one shape, and which rows of the result are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.table import Operand
from vaxseq.expressions.values import Mask, Value, as_float, widen

Array = npt.NDArray[Any]


def operand(value: Value) -> Value:
    """A column as kernels take it: contiguous, numbers as int64 or float64, bool and the rest as they are."""
    data = value.data
    if isinstance(data, pa.Array):
        return value
    if not data.flags.c_contiguous:  # SIMD loops may round differently on strided data
        value = Value(np.ascontiguousarray(data), value.missing)
    return value if data.dtype == np.bool_ else widen(value)


def integer(value: Value) -> Value:
    """A bool as int64; other numbers as they are."""
    return Value(value.data.astype(np.int64), value.missing) if value.data.dtype == np.bool_ else value


def floats(value: Value) -> Array:
    """Numbers as contiguous float64 with NaN where missing."""
    data: Array = as_float(value).data
    return data


def arrays(*values: Value) -> list[Array]:
    """The data, with row axes lined up: a scalar column meets an array column element by element."""
    width = max(value.data.ndim for value in values)
    if width <= 1:
        return [value.data for value in values]
    lined = []
    for value in values:
        data = value.data
        if 0 < data.ndim < width:
            data = data.reshape(data.shape[0], *[1] * (width - data.ndim), *data.shape[1:])
        lined.append(data)
    try:
        np.broadcast_shapes(*[data.shape[1:] for data in lined])
    except ValueError:
        shapes = " and ".join(str(value.shape) for value in values)
        what = "array columns of different shapes don't combine"
        raise FeatureTypeError(f"{what}; got rows of shape {shapes}.") from None
    return lined


def missing_rows(value: Operand) -> Mask | None:
    """Which rows are missing, or None when none is (found by one cheap pass)."""
    if isinstance(value, str):
        return None
    data = value.data
    if isinstance(data, pa.Array):
        mask = text_nulls(data)
        return mask if mask is not None and mask.any() else None
    if data.dtype.kind in "fMm":
        if data.ndim == 0:
            return None
        mask = value.is_missing()
        return mask if mask.any() else None
    return value.missing


def text_nulls(data: pa.Array) -> Mask | None:
    """The rows of a text array that are null, also by way of a null in the dictionary."""
    null_values = isinstance(data, pa.DictionaryArray) and data.dictionary.null_count
    if not data.null_count and not null_values:
        return None
    if null_values:
        data = data.dictionary.take(data.indices)
    return np.asarray(data.is_null().to_numpy(zero_copy_only=False), dtype=bool)


def either(*masks: Mask | None) -> Mask | None:
    """The union of the masks."""
    result: Mask | None = None
    for mask in masks:
        if mask is not None:
            result = mask if result is None else result | mask
    return result


def truth(data: Array, missing: Mask | None) -> Value:
    """A bool Value; False under every missing row, so that equal rows have equal bits."""
    if missing is None:
        return Value(data)
    data[missing] = False
    return Value(data, missing)


def whole(data: Array, missing: Mask | None) -> Value:
    """An int64 Value; 0 under every missing row."""
    if missing is None:
        return Value(data)
    data[missing] = 0
    return Value(data, missing)

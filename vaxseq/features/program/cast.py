"""The last node of every feature: the one cast from float64 or int64 to the input's storage type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.program import Function
from vaxseq.expressions.values import Value, as_float

_SAFE = 65_000.0  # every float type holds it


def cast_to(dtype_name: str) -> Function:
    """The function that casts a block to ``dtype_name``; missing stays missing, and nothing wraps or overflows.

    It raises FeatureTypeError for text, times, floats into an integer type, and numbers that the type can't hold.
    """
    dtype = np.dtype(dtype_name)
    if dtype.kind == "f":
        return lambda value: _to_float(value, dtype)
    return lambda value: _to_whole(value, dtype)


def _to_float(value: Value, dtype: np.dtype[Any]) -> Value:
    data = value.data
    if isinstance(data, pa.Array) or data.dtype.kind not in "biuf":
        raise _unfit(value, dtype)
    if data.dtype == dtype:
        return value
    if data.dtype.kind != "f":
        data = as_float(value).data
    if data.size == 1 and -_SAFE < data.item() < _SAFE:  # one record: spares the cost of errstate
        return Value(data.astype(dtype))
    try:
        with np.errstate(over="raise"):
            return Value(data.astype(dtype))
    except FloatingPointError:
        largest = float(np.nanmax(np.abs(np.where(np.isinf(data), 0, data))))
        top = float(np.finfo(dtype).max)
        raise FeatureTypeError(
            f"got {largest:.6g}, expected at most {top:.6g}, the largest {dtype}. Scale it, or take a wider dtype"
        ) from None


def _to_whole(value: Value, dtype: np.dtype[Any]) -> Value:
    data = value.data
    if isinstance(data, pa.Array) or data.dtype.kind not in ("b" if dtype.kind == "b" else "biu"):
        raise _unfit(value, dtype)
    if data.dtype == dtype:
        return value
    if data.size and not np.can_cast(data.dtype, dtype):
        present = data if value.missing is None else data[~value.missing]
        limits = np.iinfo(dtype)
        if present.size and (present.min() < limits.min or present.max() > limits.max):
            raise FeatureTypeError(
                f"got {present.min()} to {present.max()}, expected {limits.min} to {limits.max}, the range of {dtype}. "
                "Take a wider dtype"
            )
    return Value(data.astype(dtype), value.missing)


_REMEDIES = {
    "text": "Turn text into numbers by a step: vocabulary, one_hot, hash or length",
    "datetime": "Turn times into numbers by a step: parts, cyclical or elapsed",
    "timedelta": "Turn durations into numbers by an expression or a step",
}


def _unfit(value: Value, dtype: np.dtype[Any]) -> FeatureTypeError:
    remedy = _REMEDIES.get(value.kind, "End with {cast: int}, or take a float dtype")
    return FeatureTypeError(f"its last value is {value.kind}, expected what fits {dtype}. {remedy}")

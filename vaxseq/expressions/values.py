"""A block of one column inside the program: NumPy data, or Arrow text, and which rows are missing.

One convention for missing values, so that no operation has to guess:

* float: NaN is missing, ``missing`` is None;
* datetime64, timedelta64: NaT is missing, ``missing`` is None;
* integers and bool: ``missing`` is a mask of shape (rows,), or None when nothing is;
* text: a null of the Arrow array (string, large_string or dictionary of them), ``missing`` is None;
* an array per row: data of shape (rows, ...); a null row becomes NaN (integers turn float64 then).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.errors import ExpressionError, FeatureTypeError

Kind = Literal["bool", "int", "float", "datetime", "timedelta", "text"]
Mask = npt.NDArray[np.bool_]

_KINDS: dict[str, Kind] = {"b": "bool", "i": "int", "u": "int", "f": "float", "M": "datetime", "m": "timedelta"}


@dataclass(frozen=True, slots=True)
class Value:
    """One column's block. ``data`` is an ndarray, or a pyarrow string array for text."""

    data: Any
    missing: Mask | None = None

    def __len__(self) -> int:
        return len(self.data)

    @property
    def kind(self) -> Kind:
        return "text" if isinstance(self.data, pa.Array) else _KINDS[self.data.dtype.kind]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: () for a scalar column."""
        return () if isinstance(self.data, pa.Array) else tuple(self.data.shape[1:])

    def is_missing(self) -> Mask:
        """Which rows are missing, shape (rows,); a row of an array column when any element is."""
        if isinstance(self.data, pa.Array):
            if self.data.null_count == 0:
                return np.zeros(len(self.data), dtype=bool)
            return np.asarray(self.data.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        kind = self.data.dtype.kind
        if kind == "f":
            mask: Mask = np.isnan(self.data)
        elif kind in "Mm":
            mask = np.isnat(self.data)
        elif self.missing is not None:
            return self.missing
        else:
            return np.zeros(len(self.data), dtype=bool)
        return mask if mask.ndim <= 1 else np.asarray(mask.any(axis=tuple(range(1, mask.ndim))))

    def compress(self, mask: Mask) -> Value:
        """The rows where ``mask`` is True."""
        if isinstance(self.data, pa.Array):
            return Value(self.data.filter(pa.array(mask)))
        return Value(self.data[mask], None if self.missing is None else self.missing[mask])

    def take(self, indices: npt.NDArray[np.int64]) -> Value:
        """The rows at ``indices``."""
        if isinstance(self.data, pa.Array):
            return Value(self.data.take(pa.array(indices)))
        missing = None if self.missing is None else self.missing.take(indices)
        return Value(np.take(self.data, indices, axis=0), missing)

    def slice(self, start: int, stop: int) -> Value:
        """Rows ``start`` to ``stop``, without a copy."""
        if isinstance(self.data, pa.Array):
            return Value(self.data.slice(start, stop - start))
        return Value(self.data[start:stop], None if self.missing is None else self.missing[start:stop])


def widen(value: Value) -> Value:
    """Numbers as int64 or float64 (bool as int64), so that no narrow type can wrap.

    uint64 becomes float64, as in NumPy's own mixed arithmetic. Other kinds come back as they are.

    Raises:
        ExpressionError: a uint64 that a float64 would round.
    """
    data = value.data
    if isinstance(data, pa.Array) or data.dtype.kind in "Mm":
        return value
    if data.dtype == np.uint64:
        _check_exact(data, value.missing)
        return as_float(value)
    if data.dtype.kind == "f":
        return as_float(value)
    return value if data.dtype == np.int64 else Value(data.astype(np.int64), value.missing)


def _check_exact(data: npt.NDArray[np.uint64], missing: Mask | None) -> None:
    """A key or an identifier must not become its neighbour."""
    if data.size == 0 or int(data.max()) <= 2**53:
        return
    lowest = data & (~data + np.uint64(1))  # the last bit that is set
    rounded = data // np.maximum(lowest, np.uint64(1)) > np.uint64(2**53)
    if missing is not None:
        rounded &= ~missing.reshape(-1, *[1] * (data.ndim - 1))
    if rounded.any():
        raise ExpressionError(
            f"a uint64 beyond 2**53 in an expression; got {int(data[rounded][0])}, which a float64 would round. Use "
            "the column itself with a step (vocabulary, hash), or declare it as int64 or text when it is converted."
        )


def as_float(value: Value) -> Value:
    """Numbers and bool as float64 with NaN where missing."""
    data = value.data
    if isinstance(data, pa.Array) or data.dtype.kind in "Mm":
        raise FeatureTypeError(f"expected numbers, got {value.kind}")
    if value.missing is None:
        return value if data.dtype == np.float64 else Value(data.astype(np.float64))
    floats = data.astype(np.float64)
    floats[value.missing] = np.nan
    return Value(floats)


def from_raw(raw: Any) -> Value:
    """A raw column block as a Value: NumPy (masked too), pyarrow Array or ChunkedArray, pandas Series, list.

    Raises:
        FeatureTypeError: a type that no expression or step can read (binary, struct, ragged list).
    """
    if isinstance(raw, pa.ChunkedArray):
        raw = raw.chunk(0) if raw.num_chunks == 1 else _combine(raw)
    if isinstance(raw, pa.Array):
        return _from_arrow(raw)
    if isinstance(raw, np.ma.MaskedArray):
        return masked(np.ascontiguousarray(raw.data), np.ma.getmaskarray(raw))
    if isinstance(raw, np.ndarray) and raw.dtype.kind in "biufMm":
        return Value(_native(raw))
    if isinstance(raw, np.ndarray) and raw.dtype.kind == "c":
        raise FeatureTypeError(
            f"got {raw.dtype}, expected real numbers. Make two columns of it, of the real and the imaginary part."
        )
    return from_raw(pa.array(raw, from_pandas=True))


def _combine(raw: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(raw.type):
        raw = raw.unify_dictionaries()
    combined = raw.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):  # pyarrow keeps zero chunks, or >2 GB of text, chunked
        if combined.num_chunks > 1:
            return _combine(raw.cast(pa.large_string()))
        return combined.chunk(0) if combined.num_chunks else pa.array([], raw.type)
    return combined


def _native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def masked(data: npt.NDArray[Any], mask: Mask) -> Value:
    """A column block whose rows (or elements) under ``mask`` are missing."""
    data = _native(data)
    if not mask.any():
        return Value(data)
    if data.ndim > 1:
        if data.dtype.kind != "f":
            data = data.astype(np.float64)
        return Value(
            np.where(mask if mask.ndim == data.ndim else mask.reshape(-1, *[1] * (data.ndim - 1)), np.nan, data)
        )
    if data.dtype.kind == "f":
        return Value(np.where(mask, np.asarray(np.nan, data.dtype), data))
    if data.dtype.kind in "Mm":
        return Value(np.where(mask, np.array("NaT", data.dtype), data))
    return Value(data, mask)


def _from_arrow(array: pa.Array) -> Value:
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        if isinstance(array, pa.FixedShapeTensorArray):
            return _tensors(array)
        return _from_arrow(array.storage)
    if pa.types.is_dictionary(kind):
        if is_text(kind.value_type):
            return Value(array)
        return _from_arrow(array.dictionary_decode())
    if is_text(kind):
        return Value(array if not pa.types.is_string_view(kind) else array.cast(pa.large_string()))
    if pa.types.is_fixed_size_list(kind):
        return _fixed_size_list(array, None)
    if pa.types.is_decimal(kind):
        array = array.cast(pa.float64())
    elif pa.types.is_date32(kind) or pa.types.is_date64(kind):
        days = array.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        return masked(buffer_of(days).view("M8[D]"), _null_mask(array))
    elif pa.types.is_time(kind):
        unit = kind.unit
        array = (
            array.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64()).cast(pa.int64()).cast(pa.duration(unit))
        )
    elif pa.types.is_null(kind):
        return Value(np.full(len(array), np.nan))
    if pa.types.is_boolean(array.type):
        data = np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
        return Value(data, _null_mask(array) if array.null_count else None)
    if pa.types.is_timestamp(array.type):
        data = buffer_of(array.view(pa.int64())).view(f"M8[{array.type.unit}]")
    elif pa.types.is_duration(array.type):
        data = buffer_of(array.view(pa.int64())).view(f"m8[{array.type.unit}]")
    elif pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        data = buffer_of(array)
    else:
        raise FeatureTypeError(f"a column of type {kind} can't be read by an expression, a step or a Sequence")
    return masked(data, _null_mask(array)) if array.null_count else Value(_native(data))


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is text that a Value can hold (string_view is cast first)."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _null_mask(array: pa.Array) -> Mask:
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)


def buffer_of(array: pa.Array) -> npt.NDArray[Any]:
    """The data buffer as NumPy, without a copy; rows under a null hold whatever the buffer holds."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.zeros(len(array), dtype)
    return np.frombuffer(buffer, dtype, count=len(array), offset=array.offset * dtype.itemsize)


def _tensors(array: pa.FixedShapeTensorArray) -> Value:
    """Tensors in the order of their logical axes. Source: Arrow's canonical extension types, fixed shape tensor."""
    value = _fixed_size_list(array.storage, tuple(array.type.shape))
    order = array.type.permutation
    if order is None or list(order) == sorted(order):
        return value
    if sorted(order, key=order.__getitem__) != list(order):
        raise FeatureTypeError(f"tensors of {array.type}: a cyclic permutation, which pyarrow itself reads wrong")
    return Value(np.ascontiguousarray(value.data.transpose(0, *(axis + 1 for axis in order))))


def _fixed_size_list(array: pa.Array, shape: tuple[int, ...] | None) -> Value:
    width = array.type.list_size
    inner = array.values.slice(array.offset * width, len(array) * width)
    if pa.types.is_fixed_size_list(inner.type):
        value = _fixed_size_list(inner, None)
    else:
        value = _from_arrow(inner)
    if value.kind not in ("int", "float", "bool"):
        raise FeatureTypeError(f"a column of type {array.type} can't be read as an array of numbers")
    data = value.data if value.missing is None else as_float(value).data
    data = data.reshape((len(array), *(shape or (width, *value.shape))))
    return masked(data, _null_mask(array)) if array.null_count else Value(data)

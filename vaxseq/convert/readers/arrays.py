"""NumPy arrays as Arrow columns, one row each along the first axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.errors import SchemaError

_COARSE = ("W", "D", "h", "m")  # whole seconds, whatever their count


def arrow_type(dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> pa.DataType:
    """The Arrow type of an array with this dtype and shape of one row.

    Raises:
        SchemaError: a dtype without a counterpart.
    """
    if dtype.kind in "SUO":
        kind = pa.string()
    elif dtype.kind == "M":
        kind = pa.timestamp(_unit(dtype, where))
    elif dtype.kind == "m":
        kind = pa.duration(_unit(dtype, where))
    elif dtype.kind in "biuf" and dtype.itemsize <= 8:
        kind = pa.from_numpy_dtype(dtype.newbyteorder("="))
    else:
        raise SchemaError(f"{where}: dtype {dtype} can't be converted. Leave the column out with columns=.")
    if shape and (dtype.kind in "SUOMm" or 0 in shape):
        raise SchemaError(
            f"{where}: an array column of {dtype} with shape {shape} can't be converted; expected numbers. Leave it "
            "out."
        )
    for size in reversed(shape):
        kind = pa.list_(kind, size)
    return kind


def to_arrow(array: npt.NDArray[Any], mask: npt.NDArray[np.bool_] | None, where: str) -> pa.Array:
    """The array as an Arrow array; ``mask`` (True: missing) has one entry a row or one an element."""
    kind = arrow_type(array.dtype, array.shape[1:], where)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.ndim > 1:
        return _nested(array, mask, kind)
    if array.dtype.kind == "S":
        return pa.array([_decoded(one, where) for one in array.tolist()], pa.string(), mask=mask)
    if array.dtype.kind == "O":
        return pa.array(
            [_decoded(one, where) if isinstance(one, bytes) else one for one in array.tolist()], pa.string(), mask=mask
        )
    if array.dtype.kind == "U":
        return pa.array(array.tolist(), pa.string(), mask=mask)
    if array.dtype.kind in "Mm":
        array = array.astype(f"{array.dtype.kind}8[{kind.unit}]")
        absent = np.isnat(array)
        mask = absent if mask is None else np.asarray(absent | mask)
    return pa.array(array, kind, mask=mask)


def _nested(array: npt.NDArray[Any], mask: npt.NDArray[np.bool_] | None, kind: pa.DataType) -> pa.Array:
    from vaxseq.convert.readers.storable_types import nested

    rows = inner = None
    if mask is not None and mask.ndim == 1:
        rows = mask
    elif mask is not None:
        width = mask.reshape(len(mask), -1)
        rows = np.asarray(width.all(axis=1))  # a row that misses every element is a missing row
        inner = (width & ~rows[:, None]).reshape(-1)
    flat = pa.array(np.ascontiguousarray(array).reshape(-1), mask=inner)
    return nested(flat, kind, None if rows is None or not rows.any() else pa.array(rows))


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise SchemaError(f"{where}: the text isn't UTF-8: {error}. Leave the column out with columns=.") from error


def _unit(dtype: np.dtype[Any], where: str) -> str:
    unit, count = np.datetime_data(dtype)
    if unit in _COARSE or (unit in ("Y", "M") and dtype.kind == "M"):  # a month is no fixed span
        return "s"
    if count != 1 or unit not in ("s", "ms", "us", "ns"):
        raise SchemaError(f"{where}: dtype {dtype} can't be converted; expected whole units from weeks to ns.")
    return unit

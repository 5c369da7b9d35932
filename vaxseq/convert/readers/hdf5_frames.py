"""Frames that pandas wrote to HDF5 with format="fixed": blocks of columns of one type, their names beside them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.convert.readers.arrays import arrow_type, to_arrow
from vaxseq.convert.readers.named_arrays import StoredArray, refused

FRAMES = ("frame", "series")
_UNPICKLED = "pandas keeps it as Python objects, which aren't unpickled; write the frame with to_parquet()"


def fixed_frame(group: h5py.Group, path: tuple[str, ...], where: str) -> Iterator[StoredArray]:
    """The index, where it says more than the row's number, and the columns in the frame's order."""
    index = group.get("index" if "index" in group else "axis1")
    found = {}
    if isinstance(index, h5py.Dataset) and _text(index.attrs.get("kind")) != "integer":
        name = _text(index.attrs.get("name"))
        found["index"] = _of_axis(
            (*path, name if name and name.isprintable() and name != "N." else "index"), index, where
        )
    if isinstance(values := group.get("values"), h5py.Dataset):
        found["values"] = _of_values((*path, "values"), values, None, int(values.shape[0]), where)
    for place in range(int(group.attrs.get("nblocks", 0))):
        values, items = group[f"block{place}_values"], _names(group[f"block{place}_items"])
        rows = int(group["axis1"].shape[0])
        for column, name in enumerate(items):
            found[name] = _of_values((*path, name), values, column, rows, where)
    order = _names(group["axis0"]) if "axis0" in group else []
    yield from (found.pop(name) for name in ["index", *order] if name in found)
    yield from found.values()


def _of_axis(path: tuple[str, ...], axis: h5py.Dataset, where: str) -> StoredArray:
    kind = _text(axis.attrs.get("kind")) or ""
    if kind.startswith("datetime64"):
        return _times(path, axis, None, int(axis.shape[0]), kind, where)
    return _of_values(path, axis, None, int(axis.shape[0]), where)


def _of_values(path: tuple[str, ...], values: h5py.Dataset, column: int | None, rows: int, where: str) -> StoredArray:
    told = _text(values.attrs.get("value_type")) or ""
    if h5py.check_vlen_dtype(values.dtype) is not None or values.dtype.kind == "O":
        return refused(path, rows, _UNPICKLED)
    if told.startswith("datetime64"):
        return _times(path, values, column, rows, told, where)
    if told.startswith("timedelta64") or values.dtype.kind not in "biufS":
        return refused(path, rows, f"{told or values.dtype} can't be converted")
    read = partial(_block, values, column, None, where)
    return StoredArray(path, rows, arrow_type(values.dtype, (), where), read, values.dtype.itemsize)


def _times(
    path: tuple[str, ...], values: h5py.Dataset, column: int | None, rows: int, kind: str, where: str
) -> StoredArray:
    dtype = np.dtype(kind if "[" in kind else "datetime64[ns]")
    return StoredArray(path, rows, arrow_type(dtype, (), where), partial(_block, values, column, dtype, where))


def _block(
    values: h5py.Dataset, column: int | None, dtype: np.dtype[Any] | None, where: str, start: int, stop: int
) -> pa.Array:
    array: npt.NDArray[Any]
    if column is None:
        array = values[start:stop]
    else:
        array = values[start:stop, column] if values.attrs.get("transposed", False) else values[column, start:stop]
    return to_arrow(
        np.ascontiguousarray(array) if dtype is None else np.ascontiguousarray(array).view(dtype), None, where
    )


def _names(axis: h5py.Dataset) -> list[str]:
    return [one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in axis[:].tolist()]


def _text(value: Any) -> str | None:
    if isinstance(value, bytes | np.bytes_):
        return value.decode(errors="replace")
    return None if value is None else str(value)

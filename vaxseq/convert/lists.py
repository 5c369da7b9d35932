"""Arrow lists of any length as rows of one length, and back to where each begins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def is_list(kind: pa.DataType) -> bool:
    """Whether rows of this type are lists, of one length or not."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    )  # fmt: skip


def plain_list(array: pa.Array) -> pa.Array:
    """Lists of any kind as a ListArray or LargeListArray."""
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return array
    return array.cast(pa.large_list(kind.value_type))


def bounds(array: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Offsets of the rows among ``array.values``, and which rows are missing (whatever their offsets say)."""
    return np.asarray(array.offsets, dtype=np.int64), np.asarray(array.is_null(), dtype=bool)


def lists_of(array: pa.Array, values: pa.Array) -> pa.Array:
    """The same lists of other values."""
    offsets, absent = bounds(array)
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=pa.array(absent) if absent.any() else None)


def lengths(array: pa.Array) -> pa.Array:
    """Each list's length, missing where the list is."""
    return pc.list_value_length(array).cast(pa.int64())


def fixed_lists(array: pa.Array, width: int) -> pa.Array:
    """Lists cut or padded with missing elements to one length; a missing list stays missing.

    >>> fixed_lists(pa.array([[1], [2, 3], None]), 2).to_pylist()
    [[1, None], [2, 3], None]
    """
    array = plain_list(array)
    offsets, absent = bounds(array)
    places = offsets[:-1, None] + np.arange(width)
    beyond = (places >= offsets[1:, None]) | absent[:, None]
    places[beyond] = 0
    values = array.values.take(pa.array(places.ravel(), mask=beyond.ravel()))
    kind = pa.list_(values.type, width)
    return pa.FixedSizeListArray.from_arrays(values, type=kind, mask=pa.array(absent) if absent.any() else None)

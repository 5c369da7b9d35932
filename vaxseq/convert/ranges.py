"""The least and the greatest value of each column of numbers, for the manifest: a check then reads no data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Range = tuple[float, float]  # whole numbers stay whole


def ranges_in(table: pa.Table) -> dict[str, Range]:
    """Column of numbers -> (least, greatest), nulls and NaN left out; columns without a value aren't there.

    >>> ranges_in(pa.table({"i": [3, None, 1], "s": ["a", "b", "c"]}))
    {'i': (1, 3)}
    """
    numeric = [name for name in table.column_names if _numeric(table.schema.field(name).type)]
    return {name: both for name in numeric if (both := bounds_of(table[name])) is not None}


def bounds_of(column: pa.Array | pa.ChunkedArray) -> Range | None:
    """The least and the greatest number of a column; None where there is none but nulls and NaN.

    >>> bounds_of(pa.array([2.5, None, float("nan"), -1.0]))
    (-1.0, 2.5)
    """
    chunks = [one for one in (column.chunks if isinstance(column, pa.ChunkedArray) else [column]) if len(one)]
    parts = [both for chunk in chunks if (both := _bounds_of(chunk)) is not None]
    return None if not parts else (min(low for low, _ in parts), max(high for _, high in parts))


def _bounds_of(chunk: pa.Array) -> Range | None:
    if pa.types.is_floating(chunk.type):  # NumPy takes a tenth of Arrow's time; nulls are NaN there, passed over
        values = chunk.to_numpy(zero_copy_only=False)
        low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
        return None if math.isnan(low) else (low, high)
    if chunk.null_count == 0:
        values = chunk.to_numpy()
        return int(values.min()), int(values.max())
    least, greatest = (value.as_py() for value in pc.min_max(chunk).values())
    return None if least is None else (least, greatest)


def ranges_of(
    types: Mapping[str, pa.DataType], parts: Iterable[tuple[Mapping[str, pa.DataType], Iterable[Mapping[str, Range]]]]
) -> dict[str, Range]:
    """The ranges of all rows, from those of parts: (the types of a part, the ranges of its groups of rows).

    Columns that a part holds as something else than numbers aren't there, nor are those without a finite range.
    """
    found: dict[str, Range] = {}
    names = {name for name, kind in types.items() if _numeric(kind)}
    for kinds, groups in parts:
        names = {name for name in names if pa.types.is_null(kinds[name]) or _numeric(kinds[name])}
        for ranges in groups:
            found |= {name: _wider(found.get(name), both) for name, both in ranges.items()}
    return {
        name: both for name in types
        if name in names and (both := found.get(name)) is not None and all(math.isfinite(one) for one in both)
    }  # fmt: skip


def together(before: Mapping[str, Range], after: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges of rows and of others that are appended; of columns for which both are known."""
    return {name: _wider(before[name], both) for name, both in after.items() if name in before}


def _wider(known: Range | None, both: Range) -> Range:
    if known is None:
        return both
    return min(known[0], both[0]), max(known[1], both[1])


def _numeric(kind: pa.DataType) -> bool:
    # Arrow has no least of half floats
    return bool(pa.types.is_integer(kind) or (pa.types.is_floating(kind) and not pa.types.is_float16(kind)))

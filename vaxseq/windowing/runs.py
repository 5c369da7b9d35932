"""Runs of selected rows that a window may lie in: of one group, without a gap in time or a hole of the filter."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from vaxseq.errors import ColumnNotFoundError, FeatureTypeError, SelectionError, did_you_mean
from vaxseq.expressions.values import Value, as_float, widen
from vaxseq.frame import Source
from vaxseq.plan.rows import RowIndex
from vaxseq.plan.runs import RunFinder
from vaxseq.plan.window import Window

Ids = npt.NDArray[np.int64]

_CHUNK_ROWS = 1 << 18


def find_runs(source: Source, index: RowIndex, window: Window) -> tuple[Ids, Ids]:
    """The first row id and the number of rows of each run of the selected rows, in order; warns of doubled times.

    Raises:
        SelectionError: the rows of a group aren't together, or not in the order of time; names the rows and the remedy.
        MissingValueError: a row has no time.
        ColumnNotFoundError: an unknown column.
        FeatureTypeError: ``order_by`` isn't a time or a number, or ``max_gap`` doesn't fit it.
    """
    _check_columns(source, window)
    if not index.ascending:
        raise SelectionError("window: rows= picks rows out of order or twice. Pick them by where=, a slice or a mask.")
    names = (*window.groups, *([window.order_by] if window.order_by else []))
    finder = RunFinder(max_gap=window.gap)
    codes: dict[str, dict[Any, int]] = {name: {} for name in window.groups}
    for start, stop in index.chunks(_CHUNK_ROWS):
        row_start, row_stop, mask = index.span(start, stop)
        columns = source.read(names, row_start, row_stop)
        groups = [_group(columns[name], codes[name]) for name in window.groups]
        times = None if window.order_by is None else _times(columns[window.order_by])
        finder.add(row_start, mask, length=row_stop - row_start, groups=groups, times=times)
    if finder.duplicates:
        warnings.warn(
            f"window: {finder.duplicates:,} rows have the same {window.order_by!r} as the row before in their group, "
            f"the first is row {finder.first_duplicate:,}. They stay in the windows.",
            UserWarning,
            stacklevel=4,
        )
    return finder.runs()


def _check_columns(source: Source, window: Window) -> None:
    for name in (*window.groups, *([window.order_by] if window.order_by else [])):
        if name not in source.names:
            shown = [known for known in source.names if not known.startswith("__")]
            raise ColumnNotFoundError(f"window: column {name!r} isn't in the data.{did_you_mean(name, shown)}")
    if window.order_by is None:
        return
    value = source.empty([window.order_by])[window.order_by]
    if value.kind in ("text", "bool") or value.shape:
        raise FeatureTypeError(f"window order_by={window.order_by!r}: got {value.kind}, expected times or numbers")
    timed = value.kind == "datetime"
    if window.gap is not None and isinstance(window.gap, np.timedelta64) != timed:
        want = 'text as "30min"' if timed else "a number in the column's unit"
        raise FeatureTypeError(f"window max_gap: got {window.max_gap!r} for a column of {value.kind}, expected {want}")


def _times(value: Value) -> npt.NDArray[Any]:
    """Times or numbers, NaT or NaN where missing."""
    wide = widen(value)
    return np.asarray(wide.data if wide.missing is None else as_float(wide).data)


def _group(value: Value, codes: dict[Any, int]) -> npt.NDArray[Any]:
    """The group of each row as a number that is the same in every block; text by the order in which it appears."""
    if value.kind != "text":
        return _times(value)
    encoded = value.data if hasattr(value.data, "indices") else pc.dictionary_encode(value.data)
    known = np.array([codes.setdefault(word, len(codes)) for word in encoded.dictionary.to_pylist()], dtype=np.int64)
    places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    numbers: npt.NDArray[Any] = np.append(known, -1)[places]
    return numbers

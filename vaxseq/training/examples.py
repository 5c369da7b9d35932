"""The items that a plan orders: rows of a frame, rows of a packed store, or windows of either."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import StoreError
from vaxseq.features.program.recipe import Field
from vaxseq.loading.loader import RowReader
from vaxseq.loading.query import Query
from vaxseq.loading.readers.frame import FrameReader
from vaxseq.loading.row_cache import RowCache
from vaxseq.loading.windows import find_runs, window_reader
from vaxseq.plan.rows import AllRows, RowIndex
from vaxseq.plan.window import Window, WindowIndex
from vaxseq.store import StoreFile, StoreReader, store_for

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """What a Sequence hands out one by one.

    ``index`` leads an item's position to what ``reader`` reads it by; ``row_ids`` leads positions to row ids
    in the frame: of a window, the last row that its target looks at. ``nbytes`` is held by the index.
    """

    reader: RowReader
    index: RowIndex
    fields: tuple[Field, ...]
    row_ids: Callable[[Ids], Ids]
    nbytes: int
    unit: str
    order: str = ""  # the store's own, if it is shuffled
    windows: WindowIndex | None = None
    cache: RowCache | None = None  # for what is computed anew each time


def examples_of(
    served: Query, store: str | os.PathLike[str] | None, plain: dict[str, Any], window: Window | None
) -> Examples:
    """The items of what is served.

    Raises:
        StoreError: the store was made from something else, or is shuffled and windows are wanted.
        SelectionError: no rows are selected, or no window fits.
    """
    stored = None if store is None else store_for(served, store, plain)
    if window is not None:
        return _windows(served, stored, window)
    if stored is None:
        index = served.index
        reader = FrameReader(served.source, served.recipe, served.rounding)
        cache = RowCache(reader, index) if RowCache.holds(index.n, reader.row_bytes()) else None
        return Examples(reader, index, served.recipe.fields, index.select, index.nbytes, "rows", cache=cache)
    ids = stored.row_ids()
    rows = AllRows(stored.rows)
    order = "" if stored.shuffle_seed is None else f"shuffled with seed {stored.shuffle_seed}"
    store_reader = StoreReader(stored, served.recipe.fields)
    return Examples(
        store_reader, rows, served.recipe.fields, lambda places: ids[places].astype(np.int64), 0, "rows", order
    )


def _windows(served: Query, stored: StoreFile | None, window: Window) -> Examples:
    starts, lengths = find_runs(served.source, served.index, window)
    if stored is None:
        index = window.index(starts, lengths)
        reader = window_reader(
            served.recipe,
            window,
            index,
            lambda fields: FrameReader(served.source, served.recipe.of_fields(fields), served.rounding),
        )
        return _of_windows(reader, index, lambda rows: rows)
    if stored.shuffle_seed is not None:
        raise StoreError(
            f"{stored.path}: the store is shuffled, so no window's rows are together. "
            "Materialize it without shuffle_seed; windows are shuffled when they are read."
        )
    ids = stored.row_ids()
    index = window.index(np.searchsorted(ids, starts.astype(ids.dtype)), lengths)
    reader = window_reader(served.recipe, window, index, lambda fields: StoreReader(stored, fields))
    return _of_windows(reader, index, lambda places: ids[places].astype(np.int64))


def _of_windows(reader: Any, index: WindowIndex, rows_of: Callable[[Ids], Ids]) -> Examples:
    def row_ids(numbers: Ids) -> Ids:
        windows = index.windows(numbers)
        return rows_of(windows.starts + windows.rows + index.horizon - 1)

    return Examples(reader, AllRows(index.n), tuple(reader.fields), row_ids, index.nbytes, "windows", windows=index)

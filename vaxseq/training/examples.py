"""The items that a plan orders: rows of a frame, rows of a packed store, or windows of either."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from vaxseq.errors import StoreError
from vaxseq.features.program.recipe import Field
from vaxseq.loading.loader import RowReader
from vaxseq.loading.query import Query
from vaxseq.loading.query_spec import QuerySpec
from vaxseq.loading.readers.frame import FrameReader
from vaxseq.loading.row_cache import RowCache
from vaxseq.loading.windows import find_runs, window_reader
from vaxseq.plan.rows import AllRows, RowIndex
from vaxseq.plan.window import Window, WindowIndex
from vaxseq.store import StoreFile, StoreReader, read, store_for

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """What a Sequence hands out one by one.

    ``index`` leads an item's position to what ``reader`` reads it by; ``row_ids`` leads positions to row ids
    in the frame: of a window, the last row that its target looks at. ``nbytes`` is held by the index.
    ``spec`` describes the reader to other processes.
    """

    reader: RowReader
    index: RowIndex
    fields: tuple[Field, ...]
    row_ids: Callable[[Ids], Ids]
    nbytes: int
    unit: str
    spec: Callable[[], ReaderSpec]
    order: str = ""  # the store's own, if it is shuffled
    windows: WindowIndex | None = None
    cache: RowCache | None = None  # for what is computed anew each time


@dataclass(frozen=True, slots=True)
class ReaderSpec:
    """What another process opens to read the same items. Of the windows it has one, to know their form by."""

    query: QuerySpec
    stored: StoreFile | None
    window: Window | None = None
    windows: WindowIndex | None = None

    def open(self) -> RowReader:
        """The reader.

        Raises:
            DatasetError: a file isn't what it was.
        """
        served, stored = self.query.query(), None
        if self.stored is not None:
            self.stored.mark.check_same()
            stored = read(self.stored.path)
        if self.window is None or self.windows is None:
            return self.query.reader() if stored is None else StoreReader(stored, served.recipe.fields)
        return window_reader(served.recipe, self.window, self.windows, partial(_row_reader, served, stored))


def examples_of(
    served: Query, store: str | os.PathLike[str] | None, window: Window | None, executor: Executor | None = None
) -> Examples:
    """The items of what is served; a store that isn't there yet is made, by the executor's workers if there is one.

    Raises:
        StoreError: the store was made from something else, or is shuffled and windows are wanted.
        SelectionError: no rows are selected, or no window fits.
    """
    stored = None if store is None else store_for(served, store, executor)
    if window is not None:
        return _windows(served, stored, window)
    fields, spec = served.recipe.fields, partial(_spec, served, stored)
    if stored is None:
        index, reader = served.index, FrameReader(served.source, served.recipe, served.rounding)
        cache = RowCache(reader, index) if RowCache.holds(index.n, reader.row_bytes()) else None
        return Examples(reader, index, fields, index.select, index.nbytes, "rows", spec, cache=cache)
    ids = stored.row_ids()
    rows = AllRows(stored.rows)
    order = "" if stored.shuffle_seed is None else f"shuffled with seed {stored.shuffle_seed}"
    store_reader = StoreReader(stored, fields)
    return Examples(store_reader, rows, fields, lambda places: ids[places].astype(np.int64), 0, "rows", spec, order)


def _row_reader(served: Query, stored: StoreFile | None, fields: tuple[Field, ...]) -> StoreReader | FrameReader:
    """What reads these of the fields."""
    if stored is not None:
        return StoreReader(stored, fields)
    return FrameReader(served.source, served.recipe.of_fields(fields), served.rounding)


def _spec(
    served: Query, stored: StoreFile | None, window: Window | None = None, index: WindowIndex | None = None
) -> ReaderSpec:
    return ReaderSpec(QuerySpec.of(served), stored, window, None if index is None else index.part(0, 1))


def _windows(served: Query, stored: StoreFile | None, window: Window) -> Examples:
    starts, lengths = find_runs(served.source, served.index, window)
    if stored is None:
        return _of_windows(served, None, window, window.index(starts, lengths), lambda rows: rows)
    if stored.shuffle_seed is not None:
        raise StoreError(
            f"{stored.path}: the store is shuffled, so no window's rows are together. "
            "Materialize it without shuffle_seed; windows are shuffled when they are read."
        )
    ids = stored.row_ids()
    index = window.index(np.searchsorted(ids, starts.astype(ids.dtype)), lengths)
    return _of_windows(served, stored, window, index, lambda places: ids[places].astype(np.int64))


def _of_windows(
    served: Query, stored: StoreFile | None, window: Window, index: WindowIndex, rows_of: Callable[[Ids], Ids]
) -> Examples:
    def row_ids(numbers: Ids) -> Ids:
        windows = index.windows(numbers)
        return rows_of(windows.starts + windows.rows + index.horizon - 1)

    reader = window_reader(served.recipe, window, index, partial(_row_reader, served, stored))
    spec = partial(_spec, served, stored, window, index)
    return Examples(
        reader, AllRows(index.n), tuple(reader.fields), row_ids, index.nbytes, "windows", spec, windows=index
    )

"""Runs of selected rows that a window may lie in: of one group, without a gap in time or a hole of the filter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vaxseq.errors import ColumnNotFoundError, SelectionError, did_you_mean
from vaxseq.features.history.series import SeriesFinder, check_time
from vaxseq.frame import Source
from vaxseq.plan.rows import RowIndex
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
    finder = SeriesFinder(window.groups, window.order_by, max_gap=window.gap)
    for start, stop in index.chunks(_CHUNK_ROWS):
        row_start, row_stop, mask = index.span(start, stop)
        columns = source.read(names, row_start, row_stop)
        groups = [columns[name] for name in window.groups]
        time = None if window.order_by is None else columns[window.order_by]
        finder.add(row_start, groups, time, mask=mask, length=row_stop - row_start)
    finder.warn_of_duplicates()
    return finder.runs()


def _check_columns(source: Source, window: Window) -> None:
    for name in (*window.groups, *([window.order_by] if window.order_by else [])):
        if name not in source.names:
            shown = [known for known in source.names if not known.startswith("__")]
            raise ColumnNotFoundError(f"window: column {name!r} isn't in the data.{did_you_mean(name, shown)}")
    if window.order_by is not None:
        value = source.empty([window.order_by])[window.order_by]
        options = {"order_by": window.order_by, "max_gap": window.max_gap}
        check_time(value, window.gap, where="window", names=options)

"""``rows=``: a part of the selected rows, as a slice, positions or a mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vaxseq.errors import SelectionError
from vaxseq.plan.rows import Mask, RowIndex, RowIndexBuilder, indices

_CHUNK = 1 << 20


def subset(index: RowIndex, rows: slice | npt.ArrayLike | None) -> RowIndex:
    """The items of ``index`` that ``rows`` picks, in its order.

    Args:
        index: the selected rows.
        rows: a slice, item positions (negative ones count from the end, repeats allowed), or a boolean mask of
            shape (index.n,); None picks all.

    Raises:
        SelectionError: a mask of another length, positions out of range or not whole numbers.

    >>> from vaxseq.plan.rows import AllRows
    >>> subset(AllRows(10), slice(2, None, 3)).ids(0, 3).tolist()
    [2, 5, 8]
    """
    if rows is None:
        return index
    if isinstance(rows, slice):
        start, stop, step = rows.indices(index.n)
        if (start, stop, step) == (0, index.n, 1):
            return index
        return _slice(index, start, stop, step)
    picked = np.asarray(rows)
    if picked.ndim != 1 or (picked.dtype.kind not in "iub" and picked.size):
        got = f"{picked.dtype} of shape {picked.shape}"
        raise SelectionError(f"rows: got {got}, expected a slice, or one dimension of whole numbers or of booleans")
    if picked.dtype == bool:
        if len(picked) != index.n:
            raise SelectionError(f"rows: mask of the wrong length; got {len(picked):,}, expected {index.n:,}")
        if not index.ascending:
            return indices(index.select(np.flatnonzero(picked)))
        return _kept(index, 0, index.n, lambda start, stop: picked[start:stop])
    positions = picked.astype(np.int64)
    outside = (positions < -index.n) | (positions >= index.n)
    if outside.any():
        worst = positions[outside.argmax()]
        raise SelectionError(f"rows: position out of range; got {worst:,}, expected -{index.n:,} to {index.n - 1:,}")
    return indices(index.select(np.where(positions < 0, positions + index.n, positions)))


def _slice(index: RowIndex, start: int, stop: int, step: int) -> RowIndex:
    if step < 0 or not index.ascending:
        return indices(index.select(np.arange(start, stop, step)))
    if step == 1:
        return _kept(index, start, stop, lambda at, end: None)
    return _kept(index, start, stop, lambda at, end: (np.arange(at, end) - start) % step == 0)


def _kept(index: RowIndex, start: int, stop: int, kept: Callable[[int, int], Mask | None]) -> RowIndex:
    builder = RowIndexBuilder()
    for at in range(start, stop, _CHUNK):
        end = min(at + _CHUNK, stop)
        row_start, row_stop, mask = index.span(at, end)
        keep = kept(at, end)
        if mask is None:
            builder.add(row_start, keep, length=row_stop - row_start)
        elif keep is None:
            builder.add(row_start, mask)
        else:
            part = np.zeros(len(mask), bool)
            part[mask] = keep
            builder.add(row_start, part)
    return builder.build(n_rows=index.row_stop)

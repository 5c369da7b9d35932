"""A frame's own rows in order, as they are stored: blocks of them to convert, all of them as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vaxseq.dataset.table_columns import Columns
from vaxseq.expressions.values import from_raw
from vaxseq.frame.source import Source

_BLOCK_ROWS, _BLOCK_BYTES = 1 << 17, 64 << 20
_PROBE_ROWS = 64


def blocks_of(source: Source, names: Iterable[str] | None = None, *, labels: bool = False) -> Iterator[Columns]:
    """Blocks of the rows that the frame's filter keeps; the first comes in any case, for its types.

    Args:
        source: the frame.
        names: the columns; None is all that the frame shows.
        labels: gives columns of codes (``ordinal_encode``, ``categorize``) as what the codes stand for.

    Raises:
        ColumnNotFoundError: a column isn't there.
    """
    names = tuple(source.shown() if names is None else names)
    told = {name: known for name, known in source.categories().items() if labels and name in names}
    rows = _block_rows(source, names)
    for start in range(0, max(source.n_rows, 1), rows):
        stop = min(start + rows, source.n_rows)
        mask = source.filter_mask(start, stop)
        if start and mask is not None and not mask.any():
            continue
        block = _kept(source.raw(names, start, stop), mask)
        yield block | {name: _labelled(block[name], *known) for name, known in told.items()}


def rows_of(source: Source, names: Iterable[str]) -> Columns:
    """All rows that the frame's filter keeps, at once, of these columns."""
    return _kept(source.raw(names, 0, source.n_rows), source.filter_mask(0, source.n_rows))


def _block_rows(source: Source, names: tuple[str, ...]) -> int:
    """As many rows as take some tens of megabytes, by the first ones."""
    probe = source.raw(names, 0, min(_PROBE_ROWS, source.n_rows)).values()
    width = sum(column.nbytes for column in probe) // max(1, min(_PROBE_ROWS, source.n_rows))
    return int(max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // max(1, width))))


def _kept(block: Columns, mask: npt.NDArray[np.bool_] | None) -> Columns:
    if mask is None or mask.all():
        return block
    return {
        name: column.filter(pa.array(mask)) if isinstance(column, pa.Array | pa.ChunkedArray) else column[mask]
        for name, column in block.items()
    }


def _labelled(column: Any, labels: list[Any], first: int) -> pa.Array:
    """What codes stand for, as categories; missing where a code has no label."""
    value = from_raw(column)
    lost = np.array([one is None or one != one for one in labels], dtype=bool)  # NaN isn't itself
    codes = np.where(value.is_missing(), -1, value.data.astype(np.int64) - first)
    inside = (codes >= 0) & (codes < len(labels))
    absent = ~inside | np.take(lost, codes, mode="clip")
    words = pa.array([None if gone else one for one, gone in zip(labels, lost, strict=True)])
    filled = words.fill_null("" if pa.types.is_string(words.type) else 0) if words.null_count else words
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=absent), filled)

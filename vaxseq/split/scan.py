"""Bounded passes over a frame's selected rows, for rules that must know the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from vaxseq.errors import SelectionError
from vaxseq.expressions.values import Value
from vaxseq.frame import ROW, Source
from vaxseq.plan.rows import AllRows, RowIndex, RowIndexBuilder
from vaxseq.split.hashing import Hashes

_BLOCK_ROWS = 1 << 18

Block = dict[str, Value]


class Scan:
    """The selected rows of a frame in blocks, as often as asked; the frame's filter is evaluated once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.rows: RowIndex = AllRows(source.n_rows)
        if source.filtered:
            builder = RowIndexBuilder()
            for start in range(0, source.n_rows, _BLOCK_ROWS):
                stop = min(start + _BLOCK_ROWS, source.n_rows)
                builder.add(start, source.filter_mask(start, stop), length=stop - start)
            self.rows = builder.build(n_rows=source.n_rows)
        if not self.rows.n:
            raise SelectionError(f"split: the frame's filter leaves none of its {source.n_rows:,} rows")

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """These columns of all selected rows, in row order; ROW is the row id."""
        names = [column for column in columns if column != ROW]
        for first, last in self.rows.chunks(_BLOCK_ROWS):
            start, stop, mask = self.rows.span(first, last)
            if stop - start > 4 * _BLOCK_ROWS:
                ids = self.rows.ids(first, last)
                block = self._source.gather(names, ids)
            else:
                ids = np.arange(start, stop) if mask is None else np.flatnonzero(mask) + start
                block = self._source.read(names, start, stop)
                block = block if mask is None else {name: value.compress(mask) for name, value in block.items()}
            yield {**block, ROW: Value(ids)}

    def count(self, columns: Sequence[str], parts: Callable[[Block], npt.NDArray[np.int64]], n: int) -> list[int]:
        """Rows of each of n parts."""
        total = np.zeros(n, np.int64)
        for block in self.blocks(columns):
            found = parts(block)
            total += np.bincount(found[found >= 0], minlength=n)
        return [int(one) for one in total]

    def tally(self, columns: Sequence[str], keys: Callable[[Block], Hashes]) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """All distinct keys, sorted, and the rows of each; memory grows with the keys."""
        found, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
        waiting: list[tuple[Hashes, npt.NDArray[np.int64]]] = []
        for block in self.blocks(columns):
            waiting.append(np.unique(keys(block), return_counts=True))
            if sum(len(one) for one, _ in waiting) > max(1 << 20, len(found)):
                found, counts = _merged([(found, counts), *waiting])
                waiting = []
        return _merged([(found, counts), *waiting])


def _merged(tallies: list[tuple[Hashes, npt.NDArray[np.int64]]]) -> tuple[Hashes, npt.NDArray[np.int64]]:
    keys = np.concatenate([one for one, _ in tallies])
    order = np.argsort(keys, kind="stable")  # the pieces are sorted: a merge
    keys, counts = keys[order], np.concatenate([count for _, count in tallies])[order]
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    return keys[firsts], np.add.reduceat(counts, firsts) if len(firsts) else counts

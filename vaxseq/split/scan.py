"""Bounded passes over a frame's selected rows, for rules that must know the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.fanout import in_turn
from vaxseq.errors import SelectionError
from vaxseq.expressions.values import Mask, Value
from vaxseq.frame import ROW, FrameSpec, Source
from vaxseq.plan.rows import AllRows, RowIndex, RowIndexBuilder
from vaxseq.split.hashing import Hashes

_BLOCK_ROWS = 1 << 18
_UNIT_ROWS = 1 << 22  # that a worker takes at once

Block = dict[str, Value]
Tally = tuple[Hashes, npt.NDArray[np.int64]]
T = TypeVar("T")


class Scan:
    """The selected rows of a frame in blocks, as often as asked; the frame's filter is evaluated once.

    With an executor, its workers take ranges of rows; what is counted adds up to the same, whoever counts.
    """

    def __init__(self, source: Source, executor: Executor | None = None) -> None:
        self._source, self._executor = source, executor
        self.rows: RowIndex = AllRows(source.n_rows)
        if source.filtered:
            builder = RowIndexBuilder()
            for start in range(0, source.n_rows, _BLOCK_ROWS):
                stop = min(start + _BLOCK_ROWS, source.n_rows)
                builder.add(start, source.filter_mask(start, stop), length=stop - start)
            self.rows = builder.build(n_rows=source.n_rows)
        if not self.rows.n:
            filtered = f"the frame's filter leaves none of its {source.n_rows:,} rows. Loosen it"
            raise SelectionError(f"split: {filtered if source.n_rows else 'the frame is empty'}.")

    def each(self, columns: Sequence[str], function: Callable[[Block], T]) -> Iterator[T]:
        """``function`` of each block of these columns; ROW is the row id. With an executor it is pickled."""
        if self._executor is None:
            yield from map(function, self._blocks(columns))
            return
        spec, n_rows = self._source.spec(), self._source.n_rows
        calls = (
            (spec, tuple(columns), start, min(start + _UNIT_ROWS, n_rows), function)
            for start in range(0, n_rows, _UNIT_ROWS)
        )
        for results in in_turn(self._executor, _of_unit, calls, where="split"):
            yield from results

    def count(self, columns: Sequence[str], parts: Callable[[Block], npt.NDArray[np.int64]], n: int) -> list[int]:
        """Rows of each of n parts."""
        total = np.zeros(n, np.int64)
        for counts in self.each(columns, partial(_counted, parts, n)):
            total += counts
        return [int(one) for one in total]

    def tally(self, columns: Sequence[str], keys: Callable[[Block], Hashes]) -> Tally:
        """All distinct keys, sorted, and the rows of each; memory grows with the keys."""
        found, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
        waiting: list[Tally] = []
        for one in self.each(columns, partial(_tallied, keys)):
            waiting.append(one)
            if sum(len(keys) for keys, _ in waiting) > max(1 << 20, len(found)):
                found, counts = _merged([(found, counts), *waiting])
                waiting = []
        return _merged([(found, counts), *waiting])

    def _blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        names = [column for column in columns if column != ROW]
        for first, last in self.rows.chunks(_BLOCK_ROWS):
            start, stop, mask = self.rows.span(first, last)
            if stop - start > 4 * _BLOCK_ROWS:
                ids = self.rows.ids(first, last)
                block = self._source.gather(names, ids)
                yield {**block, ROW: Value(ids)}
            else:
                yield _block(self._source, names, start, stop, mask)


def _of_unit(
    spec: FrameSpec, columns: tuple[str, ...], first: int, last: int, function: Callable[[Block], T]
) -> list[T]:
    """What a worker does with a range of the frame's rows."""
    source = spec.open()
    names = [column for column in columns if column != ROW]
    found = []
    for start in range(first, last, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, last)
        mask = source.filter_mask(start, stop)
        if mask is None or mask.any():
            found.append(function(_block(source, names, start, stop, mask)))
    return found


def _block(source: Source, names: Sequence[str], start: int, stop: int, mask: Mask | None) -> Block:
    ids = np.arange(start, stop) if mask is None else np.flatnonzero(mask) + start
    block = source.read(names, start, stop)
    block = block if mask is None else {name: value.compress(mask) for name, value in block.items()}
    return {**block, ROW: Value(ids)}


def _counted(parts: Callable[[Block], npt.NDArray[np.int64]], n: int, block: Block) -> npt.NDArray[np.int64]:
    found = parts(block)
    return np.bincount(found[found >= 0], minlength=n)


def _tallied(keys: Callable[[Block], Hashes], block: Block) -> Tally:
    return np.unique(keys(block), return_counts=True)


def _merged(tallies: list[Tally]) -> Tally:
    keys = np.concatenate([one for one, _ in tallies])
    order = np.argsort(keys, kind="stable")  # the pieces are sorted: a merge
    keys, counts = keys[order], np.concatenate([count for _, count in tallies])[order]
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    return keys[firsts], np.add.reduceat(counts, firsts) if len(firsts) else counts

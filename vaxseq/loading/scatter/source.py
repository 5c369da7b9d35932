"""Items of a reader in the order in which they are quick to read: as their row ids ascend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Mask
from vaxseq.frame.buffers import BufferPool
from vaxseq.frame.pages import aligned_array
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.row_unit import RowUnit
from vaxseq.plan.rows import RowIndex

Ids = npt.NDArray[np.int64]

THREADS = 4  # read and put away chunks at once: some wait for the disk while others work
_SPARSE = 4  # a range that holds fewer than one wanted row in 4 is gathered, not read through


class ItemReader(Protocol):
    """Arrays of rows, one for each field, by row id."""

    def row_bytes(self) -> int: ...

    def empty(self, rows: int) -> Arrays: ...

    def read(self, start: int, stop: int, mask: Mask | None = None, *, out: Arrays | None = None) -> Arrays: ...

    def gather(self, row_ids: Ids, *, out: Arrays | None = None) -> Arrays: ...


class ItemSource:
    """Reads items by their positions in an index; chunks of them come in the order of their row ids."""

    def __init__(self, reader: ItemReader, index: RowIndex, chunk_rows: int) -> None:
        self.reader, self.index, self._chunk_rows = reader, index, chunk_rows
        self.forget()
        self._by_row: npt.NDArray[np.integer] | None = None

    def chunks(self, rows: int) -> Iterator[tuple[int, int]]:
        """(start, stop) of chunks, for ``items``: of about so many rows of the data each, the rows between included."""
        index = self.index
        dense = index.n / max(1, index.row_stop) if index.ascending else 1.0
        yield from index.chunks(max(1, int(rows * max(dense, 1 / _SPARSE))))

    def items(self, start: int, stop: int) -> Ids:
        """The item positions of a chunk."""
        if self.index.ascending:
            return np.arange(start, stop)
        return self._order[start:stop].astype(np.int64)

    def read(self, items: Ids) -> Arrays:
        """The rows of ascending items (of a chunk's, where row ids don't ascend), in their order."""
        if not len(items):
            return self.reader.empty(0)
        return self.unit(items).read(self.reader, self._memory.arrays(len(items)))

    def _aligned(self, rows: int) -> Arrays:
        # memory that the system has back at once: what malloc keeps of it would stay beside that of buckets
        return [aligned_array((rows, *one.shape[1:]), one.dtype) for one in self.reader.empty(1)]

    def forget(self) -> None:
        """Let go of the memory that chunks were read into."""
        self._memory = BufferPool(self._aligned, self._chunk_rows, THREADS)

    def unit(self, items: Ids) -> RowUnit:
        """What to read for them: a range of row ids if it holds few others, else the ids. At least one item."""
        index = self.index
        if index.ascending and int(items[-1] - items[0]) == len(items) - 1:
            start, stop, mask = index.span(int(items[0]), int(items[-1]) + 1)
            if stop - start <= _SPARSE * len(items):
                return RowUnit(start, stop, mask)
        ids = index.select(items)
        start, stop = int(ids[0]), int(ids[-1]) + 1
        if not index.ascending or stop - start > _SPARSE * len(ids):
            return RowUnit.of(ids)
        mask = np.zeros(stop - start, bool)
        mask[ids - start] = True
        return RowUnit(start, stop, mask)

    @property
    def _order(self) -> npt.NDArray[np.integer]:
        if self._by_row is None:
            self._by_row = np.argsort(self.index.select(np.arange(self.index.n)), kind="stable").astype(np.uint32)
        return self._by_row

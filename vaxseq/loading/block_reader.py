"""The rows of a block shuffle's buffer: where they come from storage, some are read while others become rows."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Mask
from vaxseq.frame.buffers import BufferPool
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.scatter.kept_blocks import KeptBlocks
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex
from vaxseq.plan.shuffle import Block, Buffer

_PART_BYTES = 12 << 20  # of rows, read at once: a smaller part costs more of the interpreter, a larger one memory
_PARTS_AT_ONCE = 2
_BUFFERS = 3  # one is served, the next one read, and of the one before batches may still be made
_MAX_ROWS_READ_PER_ROW = 8  # a range that holds fewer than one wanted row in 8 is gathered, not read through


class RunReader(Protocol):
    """Arrays of rows by their ids: of a range, of any, or of runs of one length."""

    @property
    def from_files(self) -> bool: ...

    def row_bytes(self) -> int: ...

    def empty(self, rows: int) -> Arrays: ...

    def read(self, start: int, stop: int, mask: Mask | None = None, *, out: Arrays | None = None) -> Arrays: ...

    def gather(self, row_ids: npt.NDArray[np.int64], *, out: Arrays | None = None) -> Arrays: ...

    def runs(self, starts: npt.NDArray[np.int64], length: int, *, out: Arrays | None = None) -> Arrays: ...


def read_range(reader: RunReader, index: RowIndex, low: int, high: int, out: Arrays | None) -> Arrays:
    """The rows at positions [low, high) of an ascending index."""
    start, stop, mask = index.span(low, high)
    if stop - start <= _MAX_ROWS_READ_PER_ROW * (high - low):
        return reader.read(start, stop, mask, out=out)
    return reader.gather(index.ids(low, high), out=out)


class BlockReader:
    """Reads buffers of a plan; with ``kept``, blocks come from there once they were read. Thread-safe."""

    def __init__(self, reader: RunReader, index: RowIndex, plan: BatchPlan, kept: KeptBlocks | None) -> None:
        self._reader, self._index, self._kept = reader, index, kept
        self._memory = BufferPool(reader.empty, plan.blocks(0).buffer_items, _BUFFERS)
        self._part_rows = _PART_BYTES // max(1, reader.row_bytes())
        self._pool: ThreadPoolExecutor | None = None

    @property
    def keeps(self) -> bool:
        """Whether blocks are kept once they were read."""
        return self._kept is not None

    def load(self, buffer: Buffer) -> Arrays:
        """The rows of a buffer's blocks, end to end."""
        arrays, at = self._memory.arrays(buffer.stop - buffer.start), 0
        if self._kept is not None:
            self._kept.load(buffer.parts(), arrays, self._read, buffer.numbered)
        elif self._reader.from_files:
            self._read(buffer.parts(), arrays)
        else:
            for low, high in buffer.ranges():
                read_range(self._reader, self._index, low, high, [one[at : at + high - low] for one in arrays])
                at += high - low
        return arrays

    def _read(self, blocks: list[Block], out: Arrays) -> None:
        jobs, first, at = [], 0, 0
        while first < len(blocks):
            last, rows = first + 1, blocks[first].stop - blocks[first].start
            while last < len(blocks) and rows + blocks[last].stop - blocks[last].start <= self._part_rows:
                rows += blocks[last].stop - blocks[last].start
                last += 1
            jobs.append(partial(self._read_part, blocks[first:last], [array[at : at + rows] for array in out]))
            first, at = last, at + rows
        if len(jobs) == 1:
            jobs[0]()
        else:
            list(self._threads().map(lambda job: job(), jobs))

    def _read_part(self, blocks: list[Block], out: Arrays) -> None:
        """Blocks end to end: those that are runs of rows all at once."""
        at = 0
        for length, some in groupby(blocks, lambda block: block.stop - block.start):
            group = list(some)
            rows = length * len(group)
            spans = [self._index.span(block.start, block.stop) for block in group]
            if all(mask is None and stop - start == length for start, stop, mask in spans):
                starts = np.array([start for start, _, _ in spans], np.int64)
                self._reader.runs(starts, length, out=[array[at : at + rows] for array in out])
            else:
                for number, block in enumerate(group):
                    low = at + number * length
                    place = [array[low : low + length] for array in out]
                    read_range(self._reader, self._index, block.start, block.stop, place)
            at += rows

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="vaxseq-block-parts")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool

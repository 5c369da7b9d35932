"""The rows of a block shuffle's buffer: where they come from storage, some are read while others become rows."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Mask
from vaxseq.frame.buffers import BufferPool
from vaxseq.frame.pages import aligned_array
from vaxseq.loading.readers.frame import Arrays, Span
from vaxseq.loading.scatter.kept_blocks import KeptBlocks, places_of
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex
from vaxseq.plan.shuffle import Block, Buffer

_PART_BYTES = 6 << 20  # of rows, read at once: a smaller part costs more of the interpreter, a larger one memory
_PARTS_AT_ONCE = 3  # so that storage has something to do while two become rows
_BUFFERS = 3  # one is served, the next one read, and of the one before batches may still be made
_MAX_ROWS_READ_PER_ROW = 8  # a range that holds fewer than one wanted row in 8 is gathered, not read through


class SpanReader(Protocol):
    """Arrays of rows by their ids: of a range, of any, or of several ranges at once."""

    @property
    def from_files(self) -> bool: ...

    def row_bytes(self) -> int: ...

    def empty(self, rows: int) -> Arrays: ...

    def read(self, start: int, stop: int, mask: Mask | None = None, *, out: Arrays | None = None) -> Arrays: ...

    def gather(self, row_ids: npt.NDArray[np.int64], *, out: Arrays | None = None) -> Arrays: ...

    def read_spans(self, spans: Sequence[Span], places: Sequence[Arrays]) -> None: ...


def read_range(reader: SpanReader, index: RowIndex, low: int, high: int, out: Arrays | None) -> Arrays:
    """The rows at positions [low, high) of an ascending index."""
    span = index.span(low, high)
    if _length(span) <= _MAX_ROWS_READ_PER_ROW * (high - low):
        return reader.read(*span, out=out)
    return reader.gather(index.ids(low, high), out=out)


def _length(span: Span) -> int:
    return span[1] - span[0]


def _dense(block: Block, span: Span) -> bool:
    return _length(span) <= _MAX_ROWS_READ_PER_ROW * (block.stop - block.start)


class BlockReader:
    """Reads buffers of a plan; with ``kept``, blocks come from there once they were read. Thread-safe."""

    def __init__(self, reader: SpanReader, index: RowIndex, plan: BatchPlan, kept: KeptBlocks | None) -> None:
        self._reader, self._index, self._kept = reader, index, kept
        self._memory = BufferPool(self._empty, plan.blocks(0).buffer_items, _BUFFERS)
        self._part_rows = _PART_BYTES // max(1, reader.row_bytes())
        self._pool: ThreadPoolExecutor | None = None

    def load(self, buffer: Buffer) -> Arrays:
        """The rows of a buffer's blocks, end to end."""
        arrays, at = self._memory.arrays(buffer.stop - buffer.start), 0
        if self._kept is not None:
            self._kept.load(buffer.parts(), arrays, self._read, buffer.numbered)
        elif self._reader.from_files:
            blocks = buffer.parts()
            self._read(blocks, places_of(blocks, arrays))
        else:
            for low, high in buffer.ranges():
                read_range(self._reader, self._index, low, high, [one[at : at + high - low] for one in arrays])
                at += high - low
        return arrays

    def _empty(self, rows: int) -> Arrays:
        """Arrays to be filled, each from a page's begin on."""
        return [aligned_array((rows, *one.shape[1:]), one.dtype) for one in self._reader.empty(0)]

    def _read(
        self, blocks: list[Block], places: list[Arrays], came: Callable[[Block, Arrays], None] | None = None
    ) -> None:
        """Blocks, each into arrays of its own, several parts of them at once; ``came`` is told of each."""
        spans = [self._index.span(block.start, block.stop) for block in blocks]
        jobs, first = [], 0
        while first < len(blocks):
            last, rows = first, 0
            while last < len(blocks) and (last == first or rows + _length(spans[last]) <= self._part_rows):
                rows += _length(spans[last])
                last += 1
            part = list(zip(blocks[first:last], spans[first:last], places[first:last], strict=True))
            jobs.append(partial(self._read_part, part, came))
            first = last
        if len(jobs) == 1:
            jobs[0]()
        else:
            list(self._threads().map(lambda job: job(), jobs))

    def _read_part(self, part: list[tuple[Block, Span, Arrays]], came: Callable[[Block, Arrays], None] | None) -> None:
        """Blocks whose rows lie close together all at once."""
        dense = [(span, place) for block, span, place in part if _dense(block, span)]
        if dense:
            self._reader.read_spans([span for span, _ in dense], [place for _, place in dense])
        for block, span, place in part:
            if not _dense(block, span):
                self._reader.gather(self._index.ids(block.start, block.stop), out=place)
            if came is not None:
                came(block, place)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="vaxseq-block-parts")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool

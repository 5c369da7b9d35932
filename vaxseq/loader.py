"""Batches of a plan, from a reader: chunks of consecutive batches made ahead, any other batch by itself."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError
from vaxseq.expressions.values import Mask
from vaxseq.plan.ahead import OrderBlocks
from vaxseq.plan.plan import Batches, BatchPlan
from vaxseq.plan.rows import RowIndex
from vaxseq.plan.shuffle import Buffer
from vaxseq.reader import Arrays, take_rows

_CHUNK_ROWS = 65_536
_CHUNK_BYTES = 64 << 20
_BUFFER_BYTES = 256 << 20
_THREADS = 2  # NumPy gathers without the GIL, so two chunks are made at once
_SPARSE = 8  # a range that holds fewer than one wanted row in 8 is gathered, not read through


class RowReader(Protocol):
    """Fresh arrays of rows, one for each field. ``cheap``: a batch by itself costs no more than in a chunk."""

    cheap: bool

    def row_bytes(self) -> int: ...

    def read(self, start: int, stop: int, mask: Mask | None = None) -> Arrays: ...

    def gather(self, row_ids: npt.NDArray[np.int64]) -> Arrays: ...


class Loaded(NamedTuple):
    """One batch: an array for each field, and how many of its rows are real (the rest has weight 0)."""

    arrays: Arrays
    n_real: int


class Loader:
    """Loads batch (epoch, index). The same arguments give the same bytes, from any thread, in any order.

    Consecutive batches come out of chunks, read at once and, with ``read_ahead`` > 0, ahead in background
    threads; a batch asked for out of turn is read alone. Every batch is handed out in arrays of its own.
    """

    def __init__(self, reader: RowReader, index: RowIndex, plan: BatchPlan, read_ahead: int) -> None:
        self._reader, self._index, self._plan = reader, index, plan
        self.row_bytes = reader.row_bytes()
        rows = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // max(1, self.row_bytes)))
        self.chunk_batches = max(1, rows // plan.batch_size)
        self._chunks_ahead = max(_THREADS, -(-read_ahead // self.chunk_batches)) if read_ahead else 0
        self._order = OrderBlocks(plan, self.chunk_batches)
        self._buffers = _Buffers(self._load_buffer)
        self._lock = threading.Lock()
        self._chunks: dict[tuple[int, int], _Chunk] = {}
        self._next: tuple[int, int] | None = None
        self._owner = os.getpid()
        self._pool: ThreadPoolExecutor | None = None

    def batch(self, epoch: int, index: int) -> Loaded:
        """Batch ``index`` of an epoch."""
        if os.getpid() != self._owner:
            raise OptionError(
                "this Sequence was made before the process was forked, and its threads stayed behind. "
                "Start workers with the 'spawn' method: the Sequence pickles itself and opens its data anew."
            )
        chunk = self._chunk_for(epoch, index)
        if chunk is not None:
            found = chunk.take(index)
            if found is not None:
                return found
        return self._load(epoch, index, 1)[0]

    def _chunk_for(self, epoch: int, index: int) -> _Chunk | None:
        """The chunk that holds this batch when batches are asked for in turn; sees to the chunks after it."""
        with self._lock:
            in_turn = self._next == (epoch, index)
            last = index + 1 == self._plan.num_batches
            self._next = (epoch + 1, 0) if last else (epoch, index + 1)
            key = (epoch, index // self.chunk_batches)
            if self._reader.cheap:
                if in_turn and index % self.chunk_batches == 0 and self._chunks_ahead:
                    self._order_ahead(key)
                return None
            chunk = self._chunks.get(key)
            if chunk is None and not in_turn:
                return None
            wanted = [key, *self._following(key)]
            for old in [one for one in self._chunks if one not in wanted]:
                del self._chunks[old]
            if chunk is None:
                chunk = self._chunks[key] = self._make(key, index)
            for after in wanted[1:]:
                if after not in self._chunks:
                    self._chunks[after] = self._make(after, after[1] * self.chunk_batches)
            return chunk

    def _following(self, key: tuple[int, int]) -> list[tuple[int, int]]:
        keys = []
        chunks = -(-self._plan.num_batches // self.chunk_batches)
        for _ in range(self._chunks_ahead):
            key = (key[0], key[1] + 1) if key[1] + 1 < chunks else (key[0] + 1, 0)
            keys.append(key)
        return keys

    def _order_ahead(self, key: tuple[int, int]) -> None:
        if not self._plan.sequential(key[0]):
            for epoch, block in self._following(key):
                self._threads().submit(self._order.block, epoch, block)

    def _make(self, key: tuple[int, int], first: int) -> _Chunk:
        stop = min((key[1] + 1) * self.chunk_batches, self._plan.num_batches)
        if self._chunks_ahead == 0:
            return _Chunk(first, None, lambda: self._load(key[0], first, stop - first))
        return _Chunk(
            first, self._threads().submit(_call, weakref.WeakMethod(self._load), key[0], first, stop - first), None
        )

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="vaxseq-read-ahead")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool

    def _load(self, epoch: int, first: int, count: int) -> list[Loaded]:
        if self._plan.sequential(epoch):
            batches = self._plan.positions(epoch, first, count)
        else:
            batches = self._order.batches(epoch, first, count)
        arrays = self._arrays(epoch, first, count, batches)
        ends = np.cumsum(batches.sizes)
        return [
            Loaded([array[end - size : end] for array in arrays], int(real))
            for end, size, real in zip(ends, batches.sizes, batches.counts, strict=True)
        ]

    def _arrays(self, epoch: int, first: int, count: int, batches: Batches) -> Arrays:
        positions = batches.positions
        if self._plan.sequential(epoch) and self._index.ascending and len(positions):
            low, high = int(positions[0]), int(positions[-1]) + 1
            if high - low == len(positions):
                return self._range(low, high)
        if count > 1 and self._by_buffers:
            return self._from_buffers(epoch, first, count, batches)
        return self._reader.gather(self._index.select(positions))

    def _range(self, low: int, high: int) -> Arrays:
        start, stop, mask = self._index.span(low, high)
        if stop - start <= _SPARSE * (high - low):
            return self._reader.read(start, stop, mask)
        return self._reader.gather(self._index.ids(low, high))

    @property
    def _by_buffers(self) -> bool:
        """Whether a block shuffle reads whole buffers in order: when they are small and all of them is wanted."""
        plan = self._plan
        if plan.shuffle != "block" or plan.shard_count > 1 or plan.resampling is not None:
            return False
        return self._index.ascending and plan.block_items * plan.buffer_blocks * self.row_bytes <= _BUFFER_BYTES

    def _from_buffers(self, epoch: int, first: int, count: int, batches: Batches) -> Arrays:
        start, stop = self._plan.bounds(first)[0], self._plan.bounds(first + count - 1)[1]
        parts = []
        for buffer in self._plan.blocks(epoch).buffers(start, stop):
            arrays = self._buffers.get(epoch, buffer)
            places = buffer.places(max(start, buffer.start), min(stop, buffer.stop))
            parts.append([take_rows(array, places) for array in arrays])
        if len(batches.positions) > stop - start:
            parts.append(self._reader.gather(self._index.select(batches.positions[stop - start :])))
        return parts[0] if len(parts) == 1 else [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _load_buffer(self, buffer: Buffer) -> Arrays:
        parts = [self._range(low, high) for low, high in buffer.ranges()]
        return parts[0] if len(parts) == 1 else [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


class _Buffers:
    """The last used buffers of a block shuffle, each loaded once though several threads ask for it."""

    _ROOM = 3

    def __init__(self, load: Callable[[Buffer], Arrays]) -> None:
        self._load = weakref.WeakMethod(load)
        self._kept: OrderedDict[tuple[int, int], Future[Arrays]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, epoch: int, buffer: Buffer) -> Arrays:
        key = (epoch, buffer.number)
        with self._lock:
            future = self._kept.get(key)
            mine = future is None
            if future is None:
                future = self._kept[key] = Future()
            self._kept.move_to_end(key)
            while len(self._kept) > self._ROOM:
                self._kept.popitem(last=False)
        if mine:
            load: Any = self._load()
            try:
                future.set_result(load(buffer))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the buffer gets it, too
                with self._lock:
                    self._kept.pop(key, None)
                future.set_exception(error)
        return future.result()


Load = Callable[[int, int, int], list[Loaded]]


class _Chunk:
    """Consecutive batches, loaded or being loaded; each is handed out once, so that nobody shares its memory."""

    def __init__(
        self, first: int, future: Future[list[Loaded]] | None, load: Callable[[], list[Loaded]] | None
    ) -> None:
        self._first, self._future, self._read = first, future, load
        self._lock = threading.Lock()
        self._batches: dict[int, Loaded] | None = None

    def take(self, index: int) -> Loaded | None:
        with self._lock:
            if self._batches is None:
                loaded = self._future.result() if self._future else self._read()  # type: ignore[misc]
                self._batches = {self._first + offset: batch for offset, batch in enumerate(loaded)}
                self._future = self._read = None
            return self._batches.pop(index, None)


def _call(weak: weakref.WeakMethod[Any], epoch: int, first: int, count: int) -> list[Loaded]:
    load: Load | None = weak()
    return [] if load is None else load(epoch, first, count)

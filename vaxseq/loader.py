"""Batches of a plan, from a reader: chunks of consecutive batches made ahead, any other batch by itself."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex
from vaxseq.reader import Arrays, Reader

_CHUNK_ROWS = 65_536
_CHUNK_BYTES = 64 << 20
_THREADS = 2  # NumPy gathers without the GIL, so two chunks are made at once
_SPARSE = 8  # a range that holds fewer than one wanted row in 8 is gathered, not read through


class Loaded(NamedTuple):
    """One batch: an array for each field, and how many of its rows are real (the rest has weight 0)."""

    arrays: Arrays
    n_real: int


class Loader:
    """Loads batch (epoch, index). The same arguments give the same bytes, from any thread, in any order.

    Consecutive batches come out of chunks, read at once and, with ``read_ahead`` > 0, ahead in a background
    thread; a batch asked for out of turn is read alone. Every batch is handed out in arrays of its own.
    """

    def __init__(self, reader: Reader, index: RowIndex, plan: BatchPlan, read_ahead: int) -> None:
        self._reader, self._index, self._plan = reader, index, plan
        rows = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // max(1, reader.row_bytes())))
        self.chunk_batches = max(1, rows // plan.batch_size)
        self.row_bytes = reader.row_bytes()
        self._chunks_ahead = max(_THREADS, -(-read_ahead // self.chunk_batches)) if read_ahead else 0
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

    def _make(self, key: tuple[int, int], first: int) -> _Chunk:
        stop = min((key[1] + 1) * self.chunk_batches, self._plan.num_batches)
        if self._chunks_ahead == 0:
            return _Chunk(first, None, lambda: self._load(key[0], first, stop - first))
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="vaxseq-read-ahead")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        weak = weakref.WeakMethod(self._load)
        return _Chunk(first, self._pool.submit(_call, weak, key[0], first, stop - first), None)

    def _load(self, epoch: int, first: int, count: int) -> list[Loaded]:
        batches = self._plan.positions(epoch, first, count)
        arrays = self._arrays(epoch, first, count, batches.positions)
        ends = np.cumsum(batches.sizes)
        return [
            Loaded([array[end - size : end] for array in arrays], int(real))
            for end, size, real in zip(ends, batches.sizes, batches.counts, strict=True)
        ]

    def _arrays(self, epoch: int, first: int, count: int, positions: npt.NDArray[np.int64]) -> Arrays:
        if self._plan.sequential(epoch) and self._index.ascending and len(positions):
            low, high = int(positions[0]), int(positions[-1]) + 1
            if high - low == len(positions):
                start, stop, mask = self._index.span(low, high)
                if stop - start <= _SPARSE * len(positions):
                    return self._reader.read(start, stop, mask)
        return self._reader.gather(self._index.select(positions))


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
                loaded: Iterable[Loaded] = self._future.result() if self._future else self._read()  # type: ignore[misc]
                self._batches = {self._first + offset: batch for offset, batch in enumerate(loaded)}
                self._future = self._read = None
            return self._batches.pop(index, None)


def _call(weak: weakref.WeakMethod[Any], epoch: int, first: int, count: int) -> list[Loaded]:
    load: Load | None = weak()
    return [] if load is None else load(epoch, first, count)

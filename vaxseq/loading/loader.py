"""Batches of a plan, from a reader: chunks of consecutive batches made ahead, any other batch by itself."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from vaxseq.errors import OptionError
from vaxseq.frame.buffers import BufferPool
from vaxseq.loading.block_buffers import BlockBuffers
from vaxseq.loading.block_reader import BlockReader, SpanReader, read_range
from vaxseq.loading.chunks import Chunk, Turn
from vaxseq.loading.readers.frame import Arrays, take_rows
from vaxseq.loading.row_cache import RowCache
from vaxseq.loading.scatter.kept_blocks import KeptBlocks
from vaxseq.loading.scatter.strategy import in_buffers
from vaxseq.plan.order_cache import OrderCache
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex

_CHUNK_ROWS = 65_536
_STRETCH_ROWS, _STRETCH_BYTES = 262_144, 24 << 20  # from files: a column's part of it is read at once
_AHEAD_BYTES = 256 << 20  # however many batches are asked to be read ahead
_THREADS = 2  # NumPy gathers without the GIL, so two chunks are made at once
_IN_ORDER_AFTER_BATCHES = 2  # in a random order, so many batches rarely follow each other

Made = TypeVar("Made")
Handed_co = TypeVar("Handed_co", covariant=True)

_forks = [0]  # how many forks lie between this process and the one that imported this


def _count_fork() -> None:
    _forks[0] += 1


os.register_at_fork(after_in_child=_count_fork)


class RowReader(SpanReader, Protocol):
    """Arrays of rows, one for each field: new ones, or ``out``'s.

    ``chunk_bytes`` is how much it likes to read at once; with ``random_access`` a gather costs it no more than a read;
    ``from_files``: memory can't hold what it reads from; ``worth_keeping``: what it read comes quicker from a file in
    which rows lie whole.
    """

    chunk_bytes: int
    random_access: bool

    @property
    def worth_keeping(self) -> bool: ...


class OrderedRows(Protocol):
    """Rows in the order in which an epoch serves them, quick when asked for in turn; a ``failure`` stays."""

    failure: Exception | None

    def fill(self, epoch: int, start: int, stop: int, out: Arrays) -> None: ...


class Loaded(NamedTuple):
    """One batch: an array for each field, how many of its rows are real (the rest has weight 0), and which it is."""

    arrays: Arrays
    n_real: int
    epoch: int
    number: int


class Batches(Protocol[Handed_co]):
    """What hands out batches: ``chunk_batches`` at once are in memory, of ``row_bytes`` a row.

    It ``gains_in_turn`` if batches asked for in turn come faster than others, beside being read ahead.
    """

    @property
    def chunk_batches(self) -> int: ...

    @property
    def row_bytes(self) -> int: ...

    @property
    def gains_in_turn(self) -> bool: ...

    @property
    def finish(self) -> Callable[[Loaded], Handed_co]: ...

    def expect(self, epoch: int, index: int) -> None: ...

    def batch(self, epoch: int, index: int) -> Handed_co: ...


class Loader(Generic[Made]):
    """Loads batch (epoch, index). The same arguments give the same bytes, from any thread, in any order.

    Consecutive batches come out of chunks, read at once and, with ``read_ahead`` > 0, ahead in background
    threads; a batch asked for out of turn is read alone. Every batch is handed out in memory that nobody else
    holds. ``finish`` makes of a loaded batch what is handed out, in the thread that loaded it; ``finish_all`` does
    the same for the batches of a chunk; ``cut``, where no more is to be done, takes a chunk's arrays apart by batch
    size. So many ``threads`` read ahead, each a chunk. With ``ordered``, batches in turn come from there; a block
    shuffle's blocks from ``kept``, and rows from ``cache``, once they were read. If it is
    ``sequential``, every epoch is asked for from its beginning on, and nothing is read ahead behind its end.
    """

    def __init__(
        self,
        reader: RowReader,
        index: RowIndex,
        plan: BatchPlan,
        read_ahead: int,
        finish: Callable[[Loaded], Made],
        finish_all: Callable[[list[Loaded]], list[Made]] | None = None,
        cut: Callable[[Arrays, int], list[Made]] | None = None,
        threads: int = _THREADS,
        ordered: OrderedRows | None = None,
        kept: KeptBlocks | None = None,
        cache: RowCache | None = None,
        sequential: bool = False,
    ) -> None:
        self._reader, self._index, self._plan = reader, index, plan
        self.finish, self._finish_all, self._cut = finish, finish_all, cut
        self._threads_ahead, self._ordered, self._cache = threads, ordered, cache
        self._sequential = sequential
        self.row_bytes = reader.row_bytes()
        most, most_bytes = _CHUNK_ROWS, reader.chunk_bytes
        if plan.in_order and reader.from_files:
            most, most_bytes = _STRETCH_ROWS, max(_STRETCH_BYTES, most_bytes)
        self._by_buffers = cache is None and not reader.random_access and in_buffers(reader, index, plan)
        if self._by_buffers:  # two chunks at once are not to need more buffers than are held
            most = min(most, plan.blocks(0).buffer_items // (4 * plan.shard_count))
        rows = max(1, min(most, most_bytes // max(1, self.row_bytes)))
        self.chunk_batches = max(1, rows // plan.batch_size)
        ahead = max(1, _AHEAD_BYTES // max(1, self.chunk_batches * plan.batch_size * self.row_bytes))
        self._chunks_ahead = min(ahead, max(threads, -(-read_ahead // self.chunk_batches))) if read_ahead else 0
        chunks = max(1, _CHUNK_ROWS // (self.chunk_batches * plan.batch_size))
        self._order = OrderCache(plan, chunks * self.chunk_batches)
        self._blocks = BlockReader(reader, index, plan, kept)
        self._buffers = BlockBuffers(self._blocks.load, ahead=bool(read_ahead))
        self._recycler = BufferPool(reader.empty, self.chunk_batches * plan.batch_size, 2 + self._chunks_ahead)
        self._lock = threading.Lock()
        self._chunks: dict[tuple[int, int], Chunk[Made]] = {}
        self._ready: dict[tuple[int, int], Made] = {}
        self._next: tuple[int, int] | None = None
        self._turns = 0
        self._turn: Turn | None = None
        self._forks = _forks[0]
        self._pool: ThreadPoolExecutor | None = None

    def batch(self, epoch: int, index: int) -> Made:
        """Batch ``index`` of an epoch, counted from its end if negative."""
        ready = self._ready.pop((epoch, index), None)
        if ready is not None and self._forks == _forks[0]:
            return ready
        index = within(index, self._plan)
        if self._forks != _forks[0]:
            raise OptionError(
                "this Sequence was made before the process was forked, and its threads stayed behind. "
                "Start workers with the 'spawn' method: the Sequence pickles itself and opens its data anew."
            )
        chunk = self._chunk_for(epoch, index)
        if chunk is not None:
            batches = self._taken(chunk)
            found = batches.pop((epoch, index), None)
            if found is not None:
                self._ready = batches
                return found
        return self.finish(self._load(epoch, index, 1)[0])

    def expect(self, epoch: int, index: int) -> None:
        """From this batch on, those of the epoch are asked for in turn.

        Rows that have to be scattered, or blocks that are read from files, are so for the first of them then, and none
        is gathered from all over the data before.
        """
        if self._ordered is not None or (self._by_buffers and self._reader.from_files):
            with self._lock:
                if index == 0:
                    self._next = epoch, 0
                if self._next == (epoch, index):  # else it is in hand already
                    self._turns = max(self._turns, _IN_ORDER_AFTER_BATCHES - 1)

    @property
    def gains_in_turn(self) -> bool:
        """Whether a chunk is made faster than its batches one by one."""
        return self.chunk_batches > 1 or self._finish_all is not None

    def _taken(self, chunk: Chunk[Made]) -> dict[tuple[int, int], Made]:
        try:
            return chunk.take()
        except Exception:
            if self._ordered is not None and self._ordered.failure is not None:
                raise  # alone, each batch would take as long as a thousand
            return {}

    def _chunk_for(self, epoch: int, index: int) -> Chunk[Made] | None:
        """The chunk that holds this batch when batches are asked for in turn; sees to the chunks after it."""
        with self._lock:
            key = (epoch, index // self.chunk_batches)
            self._turns = self._turns + 1 if self._next == (epoch, index) else 0
            in_turn = self._sequential or self._turns >= _IN_ORDER_AFTER_BATCHES
            if self._sequential and index == 0:
                self._chunks.clear()  # of an epoch that wasn't read to its end
            # batches of a chunk in hand are served without coming here, so the next to come is the one after it
            stop = min((key[1] + 1) * self.chunk_batches, self._plan.num_batches) if in_turn else index + 1
            self._next = (epoch + 1, 0) if stop == self._plan.num_batches else (epoch, stop)
            if not in_turn:
                self._chunks.clear()
                return None
            chunk = self._chunks.get(key)
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
            if self._sequential and key[1] + 1 == chunks:
                break
            key = (key[0], key[1] + 1) if key[1] + 1 < chunks else (key[0] + 1, 0)
            keys.append(key)
        return keys

    def _make(self, key: tuple[int, int], first: int) -> Chunk[Made]:
        stop = min((key[1] + 1) * self.chunk_batches, self._plan.num_batches)
        if self._chunks_ahead == 0:
            return Chunk(None, lambda: self._load_finished(key[0], first, stop - first, Turn(None)))
        load, self._turn = weakref.WeakMethod(self._load_finished), Turn(self._turn)
        return Chunk(self._threads().submit(_call, load, key[0], first, stop - first, self._turn), None)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads_ahead, thread_name_prefix="vaxseq-read-ahead")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool

    def _load_finished(self, epoch: int, first: int, count: int, turn: Turn) -> dict[tuple[int, int], Made]:
        if self._cut is not None and self._plan.all_real(first, count):
            made = self._cut(self._arrays(epoch, first, count, turn=turn), self._plan.batch_size)
        else:
            loaded = self._load(epoch, first, count, turn=turn)
            made = self._finish_all(loaded) if self._finish_all else [self.finish(one) for one in loaded]
        return {(epoch, first + offset): batch for offset, batch in enumerate(made)}

    def _load(self, epoch: int, first: int, count: int, *, turn: Turn | None = None) -> list[Loaded]:
        sizes, counts = self._plan.sizes(first, count)
        arrays = self._arrays(epoch, first, count, turn=turn)
        loaded, start = [], 0
        for offset, (size, real) in enumerate(zip(sizes.tolist(), counts.tolist(), strict=True)):
            stop = start + size
            loaded.append(Loaded([array[start:stop] for array in arrays], real, epoch, first + offset))
            start = stop
        return loaded

    def _arrays(self, epoch: int, first: int, count: int, *, turn: Turn | None = None) -> Arrays:
        """Consecutive batches end to end."""
        plan = self._plan
        out = self._recycler.arrays(plan.rows(first, count)) if count > 1 else None
        if turn is not None and self._ordered is not None:
            with turn:
                return self._from_ordered(self._ordered, epoch, first, count, out)
        if not plan.all_real(first, count):
            if count == 1 or turn is None or not self._by_buffers:
                return self._by_positions(epoch, first, count, out)
            arrays = self._reader.empty(plan.rows(first, count)) if out is None else out
            head = plan.rows(first, count - 1)  # only the last batch lacks rows
            self._from_buffers(epoch, first, count - 1, [array[:head] for array in arrays])
            self._by_positions(epoch, first + count - 1, 1, [array[head:] for array in arrays])
            return arrays
        start, stop = plan.bounds(first)[0], plan.bounds(first + count - 1)[1]
        if plan.in_order and self._index.ascending and stop - start == plan.rows(first, count):
            return read_range(self._reader, self._index, start, stop, out)
        if turn is not None and self._by_buffers:
            return self._from_buffers(epoch, first, count, out)
        return self._by_positions(epoch, first, count, out)

    def _from_ordered(self, ordered: OrderedRows, epoch: int, first: int, count: int, out: Arrays | None) -> Arrays:
        plan = self._plan
        sizes, counts = plan.sizes(first, count)
        rows, real = int(sizes.sum()), int(counts.sum())
        arrays = self._reader.empty(rows) if out is None else out
        start = first * plan.batch_size
        ordered.fill(epoch, start, start + real, [array[:real] for array in arrays])
        if real < rows and counts[-1]:
            for array in arrays:
                array[real:] = array[real - 1]
        elif real < rows:  # a batch of weight 0 alone
            item = plan.ordered(epoch, plan.n_items - 1, plan.n_items)
            for array, row in zip(arrays, self._reader.gather(self._index.select(item)), strict=True):
                array[real:] = row
        return arrays

    def _by_positions(self, epoch: int, first: int, count: int, out: Arrays | None) -> Arrays:
        batches = self._plan.positions if self._plan.in_order else self._order.batches
        positions = batches(epoch, first, count).positions
        if self._cache is not None:
            return self._cache.take(positions, out=out)
        return self._reader.gather(self._index.select(positions), out=out)

    def _from_buffers(self, epoch: int, first: int, count: int, out: Arrays | None) -> Arrays:
        plan, at = self._plan, 0
        arrays = self._reader.empty(plan.rows(first, count)) if out is None else out
        blocks = plan.blocks(epoch)
        for start, stop in plan.stretches(first, count):
            for buffer in blocks.buffers(start, stop):
                low, high = max(start, buffer.start), min(stop, buffer.stop)
                places = buffer.places(low, high)
                for array, stored in zip(arrays, self._buffers.get(blocks, buffer), strict=True):
                    take_rows(stored, places, out=array[at : at + high - low])
                at += high - low
        return arrays


def within(index: int, plan: BatchPlan) -> int:
    """A batch's number, counted from the end if negative."""
    size = plan.num_batches
    place = index + size if index < 0 else index
    if not 0 <= place < size:
        raise IndexError(f"batch {index}: expected 0 to {size - 1}")
    return place


def _call(weak: weakref.WeakMethod[Any], epoch: int, first: int, count: int, turn: Turn) -> dict[tuple[int, int], Any]:
    load = weak()
    try:
        return {} if load is None else load(epoch, first, count, turn)
    finally:
        turn.__exit__()

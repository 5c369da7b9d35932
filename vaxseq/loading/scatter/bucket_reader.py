"""Serves the rows of epoch after epoch from scattered buckets, and passes each on to the next epoch meanwhile."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from vaxseq.display.progress import progress_after
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.scatter.buckets import Bucket, Buckets, Memory, record_bytes
from vaxseq.loading.scatter.epoch import EpochBuckets, move
from vaxseq.loading.scatter.scatter_pass import scatter
from vaxseq.loading.scatter.sharing import Sharing
from vaxseq.loading.scatter.sizes import Sizes
from vaxseq.loading.scatter.source import ItemReader, ItemSource
from vaxseq.loading.scatter.strategy import ReadStrategy
from vaxseq.plan.inverse_order import InverseOrder
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex

_KEPT = 2  # buckets in memory: the one that is served, and the next; a third may still be on its way
_MOVING = 1  # buckets whose rows go to the next epoch while another one is loaded


class BucketReader:
    """Rows by their place in an epoch; quick when places are asked for in turn, from several threads at once.

    The first epoch costs a pass over the data. Where each epoch serves all rows, its buckets feed the next one, so the
    data is read once; a rank's share, a balanced draw or a part of an epoch is scattered from the data each time.
    With ``repeats`` only epoch 0 is ever asked for, and stays on the disk. With ``sharing`` others read for the passes
    over the data.
    """

    def __init__(
        self, reader: ItemReader, index: RowIndex, plan: BatchPlan, way: ReadStrategy, *, repeats: bool = False,
        sharing: Sharing | None = None,
    ) -> None:  # fmt: skip
        assert way.folder is not None
        assert way.sizes is not None
        self.way, self.places = way, InverseOrder(plan)
        self.failure: Exception | None = None
        self.passes, self._sharing = 0, sharing
        self._source, self._folder, self._sizes = ItemSource(reader, index, way.sizes.chunk_rows), way.folder, way.sizes
        self._part_rows = -(-self.places.count // way.parts)
        self._same = repeats or (plan.shuffle is False and plan.resampling is None)  # then all epochs are one
        self._passes_on = self.places.whole and way.parts == 1 and not self._same
        empty = reader.empty(1)
        self._field_bytes = [array.nbytes for array in empty]
        record = record_bytes(sum(self._field_bytes))
        self._memory = Memory(self._sizes.bucket_rows * record, self._sizes.chunk_rows * record)
        self._lock = threading.RLock()
        self._epochs: list[EpochBuckets] = []
        self._next: Buckets | None = None
        self._claimed = np.zeros(0, bool)
        self._moving: list[Future[None]] = []
        self._kept: OrderedDict[tuple[int, int, int], Future[Bucket]] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None

    def fill(self, epoch: int, start: int, stop: int, out: Arrays) -> None:
        """The rows at places [start, stop) of an epoch, into arrays of so many rows.

        Raises:
            ScratchError: the disk is full or fails.
            MissingValueError, ...: as the reader says of any row of the epoch.
        """
        epoch = 0 if self._same else epoch  # in the data's order, or of evaluation
        at = start
        while at < stop:
            held = self._held(epoch, at)
            number = (at - held.start) // held.buckets.bucket_rows
            first = held.start + number * held.buckets.bucket_rows
            high = min(stop, first + held.buckets.rows_of(number))
            bucket = self._bucket(held, number)
            bucket.take(at - first, high - first, [array[at - start : high - start] for array in out])
            if not self._same:
                held.served(number, high - at)
            at = high

    def _held(self, epoch: int, place: int) -> EpochBuckets:
        """What holds a place; scattered now if nothing does."""
        with self._lock:
            for one in self._epochs:
                if one.holds(epoch, place):
                    return one
            if self.failure is not None:
                raise self.failure
            last = self._epochs[-1] if self._epochs else None
            try:
                if last is not None and last.epoch + 1 == epoch and self._next is not None:
                    made = self._passed_on(last)
                else:
                    made = self._scattered(epoch, place // self._part_rows * self._part_rows)
            except Exception as error:
                self.failure = error
                self._drop()
                raise
            self._epochs = [*self._epochs[-1:], made]  # another thread may still serve the end of the one before
            return made

    def _passed_on(self, last: EpochBuckets) -> EpochBuckets:
        """The next epoch, once all rows of the last one have moved on."""
        for number in last.unmoved():
            self._bucket(last, number)
        self._settle(0)
        assert self._next is not None
        self._next.check()
        made, self._next = EpochBuckets(last.epoch + 1, 0, self._next, passes_on=True), None
        return made

    def _scattered(self, epoch: int, start: int) -> EpochBuckets:
        last = self._epochs[-1] if self._epochs else None
        goes_on = last is not None and last.left <= self._part_rows // 4 and (
            (last.epoch == epoch and last.stop == start) or (last.epoch + 1 == epoch and start == 0)
        )  # fmt: skip
        if not goes_on:
            self._drop()
        buckets = self._new(min(self._part_rows, self.places.count - start))
        chunk = self._sizes.chunk_rows
        with progress_after("scatter", self._source.index.n, "rows") as advance:
            scatter(self._source, self.places, epoch, start, buckets, self._folder, chunk, advance, self._sharing)
        buckets.check()
        self.passes += 1
        return EpochBuckets(epoch, start, buckets, passes_on=self._passes_on)

    def _bucket(self, held: EpochBuckets, number: int) -> Bucket:
        with self._lock:
            future = self._load(held, number)
            if held.has(number + 1):
                self._load(held, number + 1)
        try:
            return future.result()
        except OSError as error:
            self.failure = error
            raise

    def _load(self, held: EpochBuckets, number: int) -> Future[Bucket]:
        key = (held.epoch, held.start, number)
        future = self._kept.get(key)
        if future is None:
            self._settle(_MOVING)
            future = self._kept[key] = self._threads().submit(held.buckets.load, number)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            if self._passes_on and held is self._epochs[-1]:
                self._pass_on(held, number, future)
        self._kept.move_to_end(key)
        return future

    def _pass_on(self, held: EpochBuckets, number: int, loaded: Future[Bucket]) -> None:
        if self._next is None:
            self._next, self._claimed = self._new(self.places.count), np.zeros(held.buckets.count, bool)
        if not self._claimed[number]:
            self._claimed[number] = True
            self._moving.append(
                self._threads().submit(_move, held, number, loaded, self.places, self._next, self._sizes)
            )

    def _settle(self, most: int) -> None:
        while len(self._moving) > most:
            try:
                self._moving.pop(0).result()
            except Exception as error:
                self.failure = error  # the next epoch lacks rows; nobody may be served from it
                raise

    def _new(self, rows: int) -> Buckets:
        return Buckets(self._folder, rows, self._sizes.bucket_rows, self._field_bytes, self._memory)

    def _drop(self) -> None:
        self._kept.clear()
        for future in self._moving:
            future.cancel()
        for future in self._moving:
            if not future.cancelled():
                future.exception()
        self._moving.clear()
        for one in self._epochs:
            one.buckets.close()
        if self._next is not None:
            self._next.close()
        self._epochs, self._next = [], None

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(2, thread_name_prefix="vaxseq-buckets")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool


def _move(
    held: EpochBuckets, number: int, loaded: Future[Bucket], places: InverseOrder, into: Buckets, sizes: Sizes
) -> None:
    first = held.start + number * held.buckets.bucket_rows
    move(loaded.result(), first, places, held.epoch, into, sizes.chunk_rows)
    held.moved(number)

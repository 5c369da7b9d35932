"""Serves the rows of epoch after epoch from scattered buckets, and passes each on to the next epoch meanwhile."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np

from vaxseq.display.progress import progress_after
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.scatter.bucket import Bucket, BucketMemory
from vaxseq.loading.scatter.buckets import Buckets
from vaxseq.loading.scatter.epoch import EpochBuckets, move
from vaxseq.loading.scatter.piece_file import PieceFile
from vaxseq.loading.scatter.piece_layout import PieceLayout
from vaxseq.loading.scatter.piece_memory import PieceMemory
from vaxseq.loading.scatter.scatter_pass import scatter
from vaxseq.loading.scatter.sharing import Sharing
from vaxseq.loading.scatter.source import THREADS, ItemReader, ItemSource
from vaxseq.loading.scatter.strategy import ReadStrategy
from vaxseq.plan.inverse_order import InverseOrder
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.rows import RowIndex

_KEPT = 2  # buckets in memory: the one that is served, and the next; a third may still be on its way
_MOVERS, _PARTS = 2, 2  # parts of a bucket are moved at once: larger ones make larger writes
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
        fields = [array.nbytes for array in reader.empty(1)]
        self._layout = PieceLayout.of(fields, self._sizes.piece_bytes, self._sizes.bucket_rows)
        self._memory = BucketMemory(self._layout, self._sizes.bucket_rows)
        buckets = -(-self._part_rows // self._sizes.bucket_rows)
        most_rows = max(self._sizes.chunk_rows, -(-self._sizes.bucket_rows // _PARTS))
        self._filling = PieceMemory.of(self._layout, buckets, most_rows, THREADS + _MOVERS)
        self._lock = threading.RLock()
        self._epochs: list[EpochBuckets] = []
        self._next: Buckets | None = None
        self._file: PieceFile | None = None
        self._claimed = np.zeros(0, bool)
        self._moving: list[list[Future[None]]] = []
        self._kept: OrderedDict[tuple[int, int, int], Future[Bucket | None]] = OrderedDict()
        self._loads: ThreadPoolExecutor | None = None
        self._moves: ThreadPoolExecutor | None = None

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
            if bucket is None:  # another thread served its last rows
                continue
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
        self._source.forget()
        self._filling.trim()
        self.passes += 1
        return EpochBuckets(epoch, start, buckets, passes_on=self._passes_on)

    def _bucket(self, held: EpochBuckets, number: int) -> Bucket | None:
        with self._lock:
            future = self._load(held, number)
            if held.has(number + 1):
                self._load(held, number + 1)
        try:
            return future.result()
        except OSError as error:
            self.failure = error
            raise

    def _load(self, held: EpochBuckets, number: int) -> Future[Bucket | None]:
        key = (held.epoch, held.start, number)
        future = self._kept.get(key)
        if future is None:
            self._settle(_MOVING)
            if self._loads is None:
                self._loads = self._threads("load-bucket", 1)
            future = self._kept[key] = self._loads.submit(held.load, number)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            if self._passes_on and held is self._epochs[-1]:
                self._pass_on(held, number, future)
        self._kept.move_to_end(key)
        return future

    def _pass_on(self, held: EpochBuckets, number: int, loaded: Future[Bucket | None]) -> None:
        if self._next is None:
            self._next, self._claimed = self._new(self.places.count), np.zeros(held.buckets.count, bool)
        if not self._claimed[number]:
            self._claimed[number] = True
            if self._moves is None:
                self._moves = self._threads("move-bucket", _MOVERS)
            rows = held.buckets.rows_of(number)
            part = -(-rows // _PARTS)
            self._moving.append(
                [
                    self._moves.submit(_move, held, number, low, min(low + part, rows), loaded, self.places, self._next)
                    for low in range(0, rows, part)
                ]
            )

    def _settle(self, most: int) -> None:
        while len(self._moving) > most:
            wait(self._moving[0])  # all parts of it: a file isn't closed under one that is at work
            try:
                for future in self._moving.pop(0):
                    future.result()
            except Exception as error:
                self.failure = error  # the next epoch lacks rows; nobody may be served from it
                raise

    def _new(self, rows: int) -> Buckets:
        size = self._sizes.bucket_rows
        if self._file is None:
            needs = self._layout.file_bytes(self._part_rows, size)
            self._file = PieceFile(self._folder, self._layout.nbytes, needs)
            self._file.reserve()
        return Buckets(self._file, self._filling, self._memory, rows, size)

    def _drop(self) -> None:
        """Give all space back, once nobody is at work on it any more."""
        wait([future for futures in self._moving for future in futures if not future.cancel()])
        wait(self._kept.values())
        self._kept.clear()
        self._moving.clear()
        self._epochs, self._next = [], None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _threads(self, name: str, count: int) -> ThreadPoolExecutor:
        pool = ThreadPoolExecutor(count, thread_name_prefix=f"vaxseq-{name}")
        weakref.finalize(self, pool.shutdown, wait=False, cancel_futures=True)
        return pool


def _move(
    held: EpochBuckets, number: int, low: int, high: int, loaded: Future[Bucket | None], places: InverseOrder,
    into: Buckets,
) -> None:  # fmt: skip
    bucket = loaded.result()
    assert bucket is not None  # its space is kept until all rows were moved
    move(bucket, low, high, held.start + number * held.buckets.bucket_rows, places, held.epoch, into)
    held.moved(number, high - low)

"""An epoch, or a part of one, on disk: its buckets, which of them were served, and which were passed on."""

from __future__ import annotations

import threading

import numpy as np

from vaxseq.loading.scatter.bucket import Bucket
from vaxseq.loading.scatter.buckets import Buckets
from vaxseq.plan.inverse_order import InverseOrder


class EpochBuckets:
    """Places [start, start + rows) of an epoch. A bucket's space is given back when it was served and passed on."""

    def __init__(self, epoch: int, start: int, buckets: Buckets, *, passes_on: bool) -> None:
        self.epoch, self.start, self.buckets = epoch, start, buckets
        self._passes_on = passes_on
        self._left = np.array([buckets.rows_of(number) for number in range(buckets.count)])
        self._unmoved = self._left.copy()
        self._loading = np.zeros(buckets.count, int)
        self._freed = np.zeros(buckets.count, bool)
        self._lock = threading.Lock()

    @property
    def stop(self) -> int:
        return self.start + self.buckets.rows

    def holds(self, epoch: int, place: int) -> bool:
        """Whether a row can be had from here."""
        if epoch != self.epoch or not self.start <= place < self.stop:
            return False
        return self.has((place - self.start) // self.buckets.bucket_rows)

    def has(self, number: int) -> bool:
        """Whether there is such a bucket, and its space wasn't given back."""
        return number < self.buckets.count and not self._freed[number]

    @property
    def left(self) -> int:
        """Rows that weren't handed out yet."""
        return int(np.maximum(self._left, 0).sum())

    def unmoved(self) -> list[int]:
        """Buckets of which rows aren't in the next epoch yet."""
        with self._lock:
            return np.flatnonzero(self._unmoved).tolist()

    def load(self, number: int) -> Bucket | None:
        """A bucket in memory; None if its space was given back."""
        with self._lock:
            if self._freed[number]:
                return None
            self._loading[number] += 1
        try:
            return self.buckets.load(number)
        finally:
            with self._lock:
                self._loading[number] -= 1
            self._free(number)

    def served(self, number: int, rows: int) -> None:
        """So many more rows of a bucket were handed out."""
        with self._lock:
            self._left[number] -= rows
        self._free(number)

    def moved(self, number: int, rows: int) -> None:
        """So many more rows of a bucket are in the next epoch."""
        with self._lock:
            self._unmoved[number] -= rows
        self._free(number)

    def _free(self, number: int) -> None:
        with self._lock:
            needed = self._left[number] > 0 or (self._passes_on and self._unmoved[number]) or self._loading[number]
            free = not needed and not self._freed[number]
            if free:
                self._freed[number] = True
        if free:
            self.buckets.free(number)


def move(bucket: Bucket, low: int, high: int, first: int, places: InverseOrder, epoch: int, into: Buckets) -> None:
    """Put rows ``low`` to ``high`` of a bucket, whose places in ``epoch`` begin at ``first``, into the next epoch."""
    items = places.items(epoch, first + low, first + high)
    _, next_places = places.of(epoch + 1, items)
    fields, picked = bucket.part(low, high)
    into.scatter(fields, next_places, picked)

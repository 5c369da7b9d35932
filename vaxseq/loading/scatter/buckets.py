"""Buckets on the disk: rows come in any order, each to the bucket of its place, and leave bucket by bucket in order.

Bucket k holds places [k * bucket_rows, (k + 1) * bucket_rows). What comes for it is collected in memory, and written
once it fills a piece. Pieces are large and equal, so that a disk takes them anywhere at its pace.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import ScratchError
from vaxseq.loading.scatter.bucket import Bucket, BucketMemory, Picked, items_of
from vaxseq.loading.scatter.piece_file import PieceFile
from vaxseq.loading.scatter.piece_layout import Numbers
from vaxseq.loading.scatter.piece_memory import PieceMemory
from vaxseq.loading.scatter.workspace import Workspace

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Parts:
    """Parts of pieces that are spoken for: which piece of which bucket, which of its rows."""

    buckets: Numbers
    numbers: Numbers  # of the piece, in its bucket
    pieces: Numbers  # where it is in memory
    starts: Numbers
    rows: Numbers


class Buckets:
    """``rows`` rows, in pieces of a file that others may lie in as well. Thread-safe.

    Pieces are filled in ``filling``, and loaded to ``memory``.

    Raises:
        ScratchError: the disk is full, or fails.
    """

    def __init__(
        self, file: PieceFile, filling: PieceMemory, memory: BucketMemory, rows: int, bucket_rows: int
    ) -> None:
        self._file, self._filling, self._memory = file, filling, memory
        self.rows, self.bucket_rows = rows, bucket_rows
        self.count = -(-rows // bucket_rows)
        self._claimed = np.zeros(self.count, np.int64)
        shape = self.count, self._pieces_of(min(rows, bucket_rows))
        self._slots = np.full(shape, -1)  # of each bucket's pieces on the disk
        self._pieces = np.full(shape, -1)  # of those that are being filled
        self._missing = np.zeros(filling.count, np.int64)  # rows of them
        self._lock = threading.Lock()

    def __del__(self) -> None:
        """What was never asked for takes no space any more."""
        self._file.give_back(self._slots[self._slots >= 0])
        self._filling.give_back(self._pieces[self._pieces >= 0])

    def rows_of(self, number: int) -> int:
        """Rows of a bucket."""
        return min(self.bucket_rows, self.rows - number * self.bucket_rows)

    def scatter(self, arrays: Sequence[npt.NDArray[Any]], places: Places, picked: Picked | None = None) -> None:
        """Put rows where their places say; row i of ``places`` is row i of the arrays, or the i-th that is picked."""
        if not len(places):
            return
        layout = self._filling.layout
        fields = [items_of(array) for array in arrays if array.size]
        with self._filling.workspaces.borrow(len(places)) as work:
            parts = self._placed(places, work)
            for field, items, which in zip(layout.data, fields, picked or [None] * len(fields), strict=False):
                self._filling.put(field, work, items, which)
            self._filling.put(len(layout.widths) - 1, work, items_of(work.within))
        self._write(parts, self._filled(parts))

    def _placed(self, places: Places, work: Workspace) -> _Parts:
        """Parts that rows go to; in ``work``: each row's place in its bucket, in a piece in memory, and the piece."""
        np.floor_divide(places, self.bucket_rows, out=work.rows)
        np.copyto(work.buckets, work.rows, casting="unsafe")
        np.multiply(work.rows, self.bucket_rows, out=work.rows)
        np.subtract(places, work.rows, out=work.within, casting="unsafe")
        order = np.argsort(work.buckets, kind="stable")
        work.buckets.take(order, out=work.sorted, mode="clip")
        cuts = np.searchsorted(work.sorted, np.arange(self.count, dtype=np.uint16))
        parts = self._claim(np.diff(cuts, append=len(places)))
        each = self._filling.layout.rows
        steps, begins = work.items, parts.pieces * each + parts.starts
        steps.fill(1)
        first = np.cumsum(parts.rows) - parts.rows
        steps[first] = begins - np.concatenate([[0], (begins + parts.rows - 1)[:-1]])
        np.cumsum(steps, out=steps)
        work.rows[order] = steps
        np.floor_divide(work.rows, each, out=work.pieces)
        return parts

    def check(self) -> None:
        """Refuses buckets that lack rows: what is served next would be wrong."""
        if (rows := int(self._claimed.sum())) != self.rows:
            raise ScratchError(f"scratch: {rows:,} rows were scattered, expected {self.rows:,}. Report this, please.")

    def load(self, number: int) -> Bucket:
        """A bucket that has all its rows."""
        rows = self.rows_of(number)
        slots = self._slots[number, : self._pieces_of(rows)]
        pieces = self._memory.pieces(len(slots))
        self._file.read(slots, pieces)
        return self._memory.bucket(pieces, rows)

    def free(self, number: int) -> None:
        """Give a bucket's space back."""
        self._file.give_back(self._slots[number, : self._pieces_of(self.rows_of(number))])
        self._slots[number] = -1

    def _pieces_of(self, rows: int) -> int:
        return -(-rows // self._filling.layout.rows)

    def _claim(self, counts: Places) -> _Parts:
        """Where so many rows of each bucket go, bucket by bucket."""
        each = self._filling.layout.rows
        buckets = np.flatnonzero(counts)
        sizes = np.minimum(self.bucket_rows, self.rows - buckets * self.bucket_rows)
        with self._lock:
            begins = self._claimed[buckets]
            ends = begins + counts[buckets]
            if len(over := buckets[ends > sizes]):
                raise ScratchError(f"scratch: bucket {over[0]} got too many rows. Report this, please.")
            first = begins // each
            count = -(-ends // each) - first
            numbers = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
            buckets, begins, ends, sizes = (np.repeat(one, count) for one in (buckets, begins, ends, sizes))
            at = numbers * each
            pieces = self._pieces[buckets, numbers]
            new = np.flatnonzero(pieces < 0)
            pieces[new] = self._filling.take(len(new))
            self._pieces[buckets[new], numbers[new]] = pieces[new]
            self._missing[pieces[new]] = np.minimum(each, (sizes - at)[new])
            starts = np.maximum(begins - at, 0)
            self._claimed[buckets] = ends
        return _Parts(buckets, numbers, pieces, starts, np.minimum(ends - at, each) - starts)

    def _filled(self, parts: _Parts) -> Numbers:
        """Which of these parts completed their pieces, now that their rows are there."""
        with self._lock:
            self._missing[parts.pieces] -= parts.rows
            return np.flatnonzero(self._missing[parts.pieces] == 0)

    def _write(self, parts: _Parts, filled: Numbers) -> None:
        if len(filled):
            pieces, which = parts.pieces[filled], (parts.buckets[filled], parts.numbers[filled])
            self._slots[which] = self._file.write([self._filling.piece(number) for number in pieces.tolist()])
            self._pieces[which] = -1
            self._filling.give_back(pieces)

"""A file of buckets: rows come in any order, each to the bucket of its place, and leave bucket by bucket in order.

Bucket k holds places [k * bucket_rows, (k + 1) * bucket_rows) and lies k times its full size into the file. Inside,
each field's rows lie together as they came, and last, for each row, which place of the bucket it is to have.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.reads import fill
from vaxseq.errors import ScratchError
from vaxseq.frame.buffers import BufferPool
from vaxseq.loading.readers.frame import Arrays, take_rows
from vaxseq.loading.scatter.holes import punch

Places = npt.NDArray[np.int64]
Rows = list[npt.NDArray[np.uint8]]

_PLACE_BYTES = 4


def record_bytes(row_bytes: int) -> int:
    """What a row takes in the file."""
    return row_bytes + _PLACE_BYTES


class Bucket:
    """A bucket in memory: rows of each field as they came, and which of them has which place."""

    def __init__(self, rows: Rows, places: npt.NDArray[np.uint32]) -> None:
        self.rows = rows
        self.order = np.empty(len(places), np.int32)
        self.order[places] = np.arange(len(places), dtype=np.int32)

    def take(self, start: int, stop: int, out: Arrays) -> None:
        """The rows at places [start, stop) of the bucket, in order."""
        order = self.order[start:stop]
        for rows, place in zip(self.rows, out, strict=True):
            if place.size:
                take_rows(rows, order, out=as_bytes(place))


class Memory:
    """What buckets are read into and sorted in, used again and again: new memory costs more than filling it."""

    def __init__(self, bucket_bytes: int, chunk_bytes: int) -> None:
        self.buckets = BufferPool(_bytes, bucket_bytes, 3)
        self.chunks = BufferPool(_bytes, chunk_bytes, 3)


def _bytes(size: int) -> list[npt.NDArray[Any]]:
    return [np.empty(size, np.uint8)]


class Buckets:
    """``rows`` rows in a file that has no name, so that nothing is left of it when the process ends.

    Raises:
        ScratchError: the folder can't be written, or is full.
    """

    def __init__(self, folder: Path, rows: int, bucket_rows: int, field_bytes: list[int], memory: Memory) -> None:
        self._folder, self.rows, self.bucket_rows = folder, rows, bucket_rows
        self._widths = [*field_bytes, _PLACE_BYTES]
        self._record = sum(self._widths)
        self.count = -(-rows // bucket_rows)
        self._filled = np.zeros(self.count, np.int64)
        self._lock = threading.Lock()
        try:
            self._file = tempfile.TemporaryFile(dir=folder)
        except OSError as error:
            raise ScratchError(
                f"scratch: {folder} can't be written ({error.strerror}). Name another folder: scratch= or "
                "VAXSEQ_SCRATCH."
            ) from error
        self._memory = memory

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return self.rows * self._record

    def close(self) -> None:
        """Give the file's space back."""
        self._file.close()

    def rows_of(self, number: int) -> int:
        """Rows of a bucket."""
        return min(self.bucket_rows, self.rows - number * self.bucket_rows)

    def scatter(self, arrays: Arrays, places: Places, picked: npt.NDArray[Any] | None = None) -> None:
        """Put rows where their places say; row i of ``places`` is row ``picked[i]`` of the arrays. Thread-safe."""
        if not len(places):
            return
        bucket, within = np.divmod(places, self.bucket_rows) if self.count > 1 else (np.zeros_like(places), places)
        bucket = bucket.astype(np.uint16)
        order = np.argsort(bucket, kind="stable")
        counts = np.bincount(bucket, minlength=self.count)
        with self._lock:
            starts = self._filled.copy()
            self._filled += counts
        within = np.take(within, order).astype(np.uint32)
        wanted = order if picked is None else np.take(picked, order)
        memory = self._memory.chunks.arrays(len(places) * self._record)[0]
        sorted_rows, at = [], 0
        for array, width in zip(arrays, self._widths, strict=False):
            out = memory[at : at + len(places) * width].reshape(len(places), width)
            at += out.size
            if width:
                take_rows(as_bytes(array), wanted, out=out)
            sorted_rows.append(out)
        sorted_rows.append(as_bytes(within))
        ends = np.cumsum(counts)
        for number in np.flatnonzero(counts).tolist():
            self._put(
                number, int(starts[number]), [one[ends[number] - counts[number] : ends[number]] for one in sorted_rows]
            )

    def check(self) -> None:
        """Refuses buckets that lack rows, or have too many: what is served next would be wrong."""
        wanted = np.full(self.count, self.bucket_rows)
        wanted[-1] = self.rows_of(self.count - 1)
        if not np.array_equal(self._filled, wanted):
            got, rows = int(self._filled.sum()), int(wanted.sum())
            raise ScratchError(f"scratch: {got:,} rows were scattered, expected {rows:,}. Report this, please.")

    def load(self, number: int) -> Bucket:
        """A bucket that has all its rows."""
        rows = self.rows_of(number)
        memory = self._memory.buckets.arrays(rows * self._record)[0]
        at = number * self.bucket_rows * self._record
        if fill(self._file.fileno(), memory.data, at) < len(memory):
            raise ScratchError(f"scratch: {self._folder} lost rows that were written. Is its disk failing?")
        # it is read once: what others need is to stay in memory instead
        os.posix_fadvise(self._file.fileno(), at, len(memory), os.POSIX_FADV_DONTNEED)
        fields, start = [], 0
        for width in self._widths:
            fields.append(memory[start : start + rows * width].reshape(rows, width))
            start += rows * width
        return Bucket(fields[:-1], fields[-1].reshape(-1).view(np.uint32))

    def sync(self) -> None:
        """Wait until the disk has all that was written."""
        os.fdatasync(self._file.fileno())

    def free(self, number: int) -> None:
        """Give a bucket's space back."""
        size = self.bucket_rows * self._record
        punch(self._file.fileno(), number * size, self.rows_of(number) * self._record)

    def _put(self, number: int, start: int, parts: Rows) -> None:
        rows = self.rows_of(number)
        at = number * self.bucket_rows * self._record
        for part, width in zip(parts, self._widths, strict=True):
            data, place = part.reshape(-1).data, at + start * width
            while data:  # a write may take less than it is given
                try:
                    done = os.pwrite(self._file.fileno(), data, place)
                except OSError as error:
                    raise self._full(error) from error
                data, place = data[done:], place + done
            at += rows * width

    def _full(self, error: OSError) -> ScratchError:
        return ScratchError(
            f"scratch: {self._folder} can't take the {self.nbytes / 1e9:.2f} GB of an epoch ({error.strerror}). Make "
            'room, name another folder (scratch= or VAXSEQ_SCRATCH), shuffle="block", or read directly: scratch=None.'
        )


def as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A contiguous array's rows as bytes, shape (rows, bytes of a row)."""
    if not array.size:
        return np.empty((len(array), 0), np.uint8)
    return array.reshape(len(array), -1).view(np.uint8)

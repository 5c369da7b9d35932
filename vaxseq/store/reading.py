"""Rows out of a packed store: one copy into a fresh array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Mask
from vaxseq.features.program.recipe import Field
from vaxseq.frame.direct_reads import FileRows
from vaxseq.frame.file_changes import FileWatch, check_read
from vaxseq.frame.reading_threads import at_once
from vaxseq.loading.readers.frame import Arrays, Span, take_rows, take_runs
from vaxseq.store.file import StoreFile

_PART_BYTES = 1 << 20  # that a thread waits for
_RUN_BYTES = 8 << 10  # runs of so many bytes are read one by one; rows of shorter ones are gathered together


class StoreReader:
    """Reads a store's fields by store row, as a FrameReader reads a frame's rows."""

    chunk_bytes = 4 << 20  # about what the caches hold until the training reads it
    random_access = True  # a row is one piece of memory, where the store fits into it
    worth_keeping = False  # its rows lie whole

    def __init__(self, stored: StoreFile, fields: Iterable[Field]) -> None:
        fields = list(fields)
        arrays = {(field.role, field.name): array for field, array in zip(stored.fields, stored.arrays(), strict=True)}
        self.arrays: list[npt.NDArray[Any]] = [arrays[field.role, field.name] for field in fields]
        self._files = stored.files(fields)
        self.check = FileWatch([stored.mark]).check  # raises if the file has changed
        self.random_access = not self._files
        self._row_bytes = sum(array.dtype.itemsize * int(np.prod(array.shape[1:])) for array in self.arrays)

    @property
    def from_files(self) -> bool:
        """Whether memory can't hold the store, so that rows are read from its file."""
        return bool(self._files)

    def row_bytes(self) -> int:
        """Bytes of one row over all fields."""
        return self._row_bytes

    def empty(self, rows: int) -> Arrays:
        """Arrays to be filled, one for each field."""
        return [np.empty((rows, *array.shape[1:]), array.dtype) for array in self.arrays]

    def read(self, start: int, stop: int, mask: Mask | None = None, *, out: Arrays | None = None) -> Arrays:
        """Store rows ``start`` to ``stop`` (those under ``mask``)."""
        self.check()
        if mask is not None:
            return self.gather(start + np.flatnonzero(mask), out=out)
        if self._files:
            return self._ranges([(start, stop)], out)
        if out is None:
            return self._checked([array[start:stop].copy() for array in self.arrays])
        for array, place in zip(self.arrays, out, strict=True):
            place[...] = array[start:stop]
        return self._checked(out)

    def read_spans(self, spans: Sequence[Span], places: Sequence[Arrays]) -> None:
        """Store rows of several (start, stop, mask), each into arrays of its own."""
        self.check()
        if self._files and all(mask is None for _, _, mask in spans):
            self._read_ranges([(start, stop) for start, stop, _ in spans], places)
            return
        for span, place in zip(spans, places, strict=True):
            self.read(*span, out=place)

    def runs(self, starts: npt.NDArray[np.int64], length: int, *, out: Arrays | None = None) -> Arrays:
        """Store rows start, ..., start + length - 1 for each of ``starts``, end to end."""
        self.check()
        if self._files and length * self._row_bytes >= _RUN_BYTES:
            return self._ranges([(start, start + length) for start in starts.tolist()], out)
        if self._files:
            return self.gather((starts[:, None] + np.arange(length)).reshape(-1), out=out)
        places = self.empty(len(starts) * length) if out is None else out
        for array, place in zip(self.arrays, places, strict=True):
            take_runs(array, starts, length, out=place)
        return self._checked(places)

    def gather(self, row_ids: npt.NDArray[np.int64], *, out: Arrays | None = None) -> Arrays:
        """The store rows ``row_ids``, in their order."""
        self.check()
        if self._files:
            return self._from_files(len(row_ids), out, lambda file, place: file.gather(row_ids, place))
        places = self.empty(len(row_ids)) if out is None else out
        return self._checked(
            [take_rows(array, row_ids, out=place) for array, place in zip(self.arrays, places, strict=True)]
        )

    def _checked(self, read: Arrays) -> Arrays:
        """What was read from the map of a file that is still as it was."""
        check_read(self.check)
        return read

    def _ranges(self, ranges: list[tuple[int, int]], out: Arrays | None) -> Arrays:
        """Rows of several ranges, end to end."""
        whole = self.empty(sum(stop - start for start, stop in ranges)) if out is None else out
        stops = np.cumsum([stop - start for start, stop in ranges]).tolist()
        places = [[array[low:high] for array in whole] for low, high in zip([0, *stops[:-1]], stops, strict=True)]
        self._read_ranges(ranges, places)
        return whole

    def _read_ranges(self, ranges: list[tuple[int, int]], places: Sequence[Arrays]) -> None:
        """Rows of several ranges, each into arrays of its own: parts of them from storage at once."""
        jobs: list[Callable[[], None]] = []
        for number, file in enumerate(self._files):
            step = max(1, _PART_BYTES // max(1, file.row_bytes))
            for (start, stop), place in zip(ranges, places, strict=True):
                jobs += [
                    partial(file.read, low, min(low + step, stop), place[number][low - start : low - start + step])
                    for low in range(start, stop, step)
                ]
        at_once(jobs)

    def _from_files(self, rows: int, out: Arrays | None, read: Callable[[FileRows, npt.NDArray[Any]], None]) -> Arrays:
        places = self.empty(rows) if out is None else out
        for file, place in zip(self._files, places, strict=True):
            read(file, place)
        return places

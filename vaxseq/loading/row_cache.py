"""A small selection's final rows in memory, filled as they are served: later epochs copy them, in any order."""

from __future__ import annotations

from threading import Lock
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.memory_limit import memory_allowed
from vaxseq.loading.readers.frame import Arrays, take_rows
from vaxseq.plan.rows import RowIndex

MOST_BYTES = 256 << 20
_SHARE = 16  # of the memory allowed

Positions = npt.NDArray[np.int64]


class GatheringReader(Protocol):
    """What computes rows anew each time that they are gathered."""

    def check(self) -> None: ...

    def row_bytes(self) -> int: ...

    def empty(self, rows: int) -> Arrays: ...

    def gather(self, row_ids: npt.NDArray[np.int64], *, out: Arrays | None = None) -> Arrays: ...


class RowCache:
    """Rows of an index by position; each is gathered when it is first asked for. Thread-safe."""

    def __init__(self, reader: GatheringReader, index: RowIndex) -> None:
        self._reader, self._index = reader, index
        self._there = np.zeros(index.n, bool)
        self._lock = Lock()
        self._stored: Arrays = []
        self._complete = False

    @staticmethod
    def holds(rows: int, row_bytes: int) -> bool:
        """Whether so many rows are few enough to be kept."""
        allowed = memory_allowed()
        return rows * row_bytes <= (MOST_BYTES if allowed is None else min(MOST_BYTES, allowed // _SHARE))

    def take(self, positions: Positions, *, out: Arrays | None = None) -> Arrays:
        """The rows at these positions, into ``out`` or new arrays.

        Raises:
            DatasetError: a file that they came from has changed.
            MissingValueError: a row that is new has a value missing.
        """
        if not self._complete:
            self._keep(positions)
        self._reader.check()
        places = [None] * len(self._stored) if out is None else out
        return [take_rows(stored, positions, out=place) for stored, place in zip(self._stored, places, strict=True)]

    def _keep(self, positions: Positions) -> None:
        with self._lock:
            if not self._stored:
                self._stored = self._reader.empty(self._index.n)
        new = np.sort(positions[~self._there[positions]])  # in ascending order they come quicker
        new = new[np.diff(new, prepend=-1) > 0]  # draws may repeat; np.unique would hash them, which takes longer
        if not len(new):
            return
        for kept, rows in zip(self._stored, self._reader.gather(self._index.select(new)), strict=True):
            kept[new] = rows
        self._there[new] = True  # after its rows: another thread may look at any time
        self._complete = bool(self._there.all())

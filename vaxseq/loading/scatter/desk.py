"""Where rows are told their places in memory: a few desks, one a processor, that threads use in turn.

More threads at work than processors would hand the interpreter to and fro, and new memory for each chunk would cost as
much as what is computed in it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

_MOST = 4


@dataclass(frozen=True, slots=True)
class Desk:
    """Arrays of as many numbers as there are rows; what is in them is of no use to anyone."""

    within: npt.NDArray[np.uint32]
    buckets: npt.NDArray[np.uint16]
    sorted: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.int64]
    pieces: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: int) -> Desk:
        """A new one."""
        kinds = (np.uint32, np.uint16, np.uint16, np.int64, np.int64, np.int64)
        return cls(*(np.empty(rows, kind) for kind in kinds))  # type: ignore[arg-type]

    def part(self, rows: int) -> Desk:
        """Its first so many numbers."""
        return Desk(*(getattr(self, field.name)[:rows] for field in fields(self)))


class Desks:
    """Desks of so many rows; for more, one is made each time. Thread-safe."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._free: list[Desk | None] = [None] * min(_MOST, os.cpu_count() or 1)
        self._turns = threading.Semaphore(len(self._free))

    @contextmanager
    def one(self, rows: int) -> Iterator[Desk]:
        """A desk that nobody else is at."""
        with self._turns:
            kept = self._free.pop()
            try:
                if rows > self._rows:
                    yield Desk.of(rows)
                else:
                    kept = kept or Desk.of(self._rows)
                    yield kept.part(rows)
            finally:
                self._free.append(kept)

"""What it takes to tell rows their places in memory: arrays used again and again, one set a processor.

Threads use them in turn: more of them at work than there are processors would hand the interpreter to and fro. New
memory for each chunk would cost as much as what is computed in it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Workspace:
    """Arrays of as many numbers as there are rows; what is in them is of no use to anyone."""

    within: npt.NDArray[np.uint32]
    buckets: npt.NDArray[np.uint16]
    sorted: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.int64]
    pieces: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: int) -> Workspace:
        """A new one."""
        kinds = (np.uint32, np.uint16, np.uint16, np.int64, np.int64, np.int64)
        return cls(*(np.empty(rows, kind) for kind in kinds))  # type: ignore[arg-type]

    def part(self, rows: int) -> Workspace:
        """Its first so many numbers."""
        return Workspace(*(getattr(self, field.name)[:rows] for field in fields(self)))


class Workspaces:
    """Workspaces of so many rows for so many threads; for more rows, one is made each time. Thread-safe."""

    def __init__(self, rows: int, threads: int) -> None:
        self._rows = rows
        self._free: list[Workspace | None] = [None] * min(threads, os.cpu_count() or 1)
        self._turns = threading.Semaphore(len(self._free))

    @contextmanager
    def borrow(self, rows: int) -> Iterator[Workspace]:
        """One that nobody else uses."""
        with self._turns:
            kept = self._free.pop()
            try:
                if rows > self._rows:
                    yield Workspace.of(rows)
                else:
                    kept = kept or Workspace.of(self._rows)
                    yield kept.part(rows)
            finally:
                self._free.append(kept)

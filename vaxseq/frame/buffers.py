"""A pool of array buffers that are used again: new memory costs more than filling it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy.typing as npt

_UNUSED = 3


class BufferPool:
    """Hands out arrays of up to ``rows`` rows; ``room`` sets are kept, each for use again when nobody holds a part."""

    def __init__(self, make: Callable[[int], list[npt.NDArray[Any]]], rows: int, room: int) -> None:
        self._make, self.rows, self._room = make, rows, room
        self._kept: list[list[npt.NDArray[Any]]] = []
        self._lock = threading.Lock()

    def arrays(self, rows: int) -> list[npt.NDArray[Any]]:
        """One array for each field, of ``rows`` rows, that nobody else holds."""
        if rows > self.rows:
            return self._make(rows)
        with self._lock:
            for owners in self._kept:
                # the list, the loop's name and the call's own: a batch that is still held would be a fourth
                if all(sys.getrefcount(owner) <= _UNUSED for owner in owners):
                    return [owner[:rows] for owner in owners]
            owners = self._make(self.rows)
            if len(self._kept) < self._room:
                self._kept.append(owners)
            return [owner[:rows] for owner in owners]

"""Rows out of a packed store: one copy into a fresh array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Mask
from vaxseq.reader import Arrays, take_rows
from vaxseq.store.file import StoreFile


class StoreReader:
    """Reads a store's fields by store row, as a Reader reads a frame's rows."""

    cheap = True

    def __init__(self, stored: StoreFile) -> None:
        self._arrays: list[npt.NDArray[Any]] = stored.arrays()
        self._row_bytes = sum(place.row_bytes for place in stored.places)

    def row_bytes(self) -> int:
        """Bytes of one row over all fields."""
        return self._row_bytes

    def read(self, start: int, stop: int, mask: Mask | None = None) -> Arrays:
        """Store rows ``start`` to ``stop`` (those under ``mask``)."""
        if mask is not None:
            return self.gather(start + np.flatnonzero(mask))
        return [array[start:stop].copy() for array in self._arrays]

    def gather(self, row_ids: npt.NDArray[np.int64]) -> Arrays:
        """The store rows ``row_ids``, in their order."""
        return [take_rows(array, row_ids) for array in self._arrays]

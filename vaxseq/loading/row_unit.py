"""The rows that a unit of work reads, small when pickled for another process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from vaxseq.expressions.values import Mask
from vaxseq.loading.readers.frame import Arrays

Ids = npt.NDArray[np.int64]


class RangeReader(Protocol):
    """Arrays of rows by row id."""

    def read(self, start: int, stop: int, mask: Mask | None = None, *, out: Arrays | None = None) -> Arrays: ...

    def gather(self, row_ids: Ids, *, out: Arrays | None = None) -> Arrays: ...


@dataclass(frozen=True, slots=True)
class RowUnit:
    """Row ids start, ..., stop - 1, those under the mask; or ``ids``, in their order.

    >>> RowUnit(3, 6, np.array([True, False, True])).row_ids().tolist()
    [3, 5]
    """

    start: int
    stop: int
    mask: Mask | None = None
    ids: Ids | None = None

    @classmethod
    def of(cls, ids: Ids) -> Self:
        """These rows, in this order."""
        return cls(0, 0, None, ids)

    def row_ids(self) -> Ids:
        """The row ids."""
        if self.ids is not None:
            return self.ids
        return np.arange(self.start, self.stop) if self.mask is None else self.start + np.flatnonzero(self.mask)

    def read(self, reader: RangeReader, out: Arrays | None = None) -> Arrays:
        """Their arrays: new ones, or ``out``'s."""
        if self.ids is not None:
            return reader.gather(self.ids, out=out)
        return reader.read(self.start, self.stop, self.mask, out=out)

    def __reduce__(self) -> tuple[Any, ...]:
        bits = None if self.mask is None else np.packbits(self.mask, bitorder="little")
        return _unit, (self.start, self.stop, bits, self.ids)


def _unit(start: int, stop: int, bits: npt.NDArray[np.uint8] | None, ids: Ids | None) -> RowUnit:
    mask = None if bits is None else np.unpackbits(bits, count=stop - start, bitorder="little").view(bool)
    return RowUnit(start, stop, mask, ids)

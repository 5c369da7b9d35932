"""Parts of text by a pattern, as columns of numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.base import Mask

Whole = npt.NDArray[np.int64]


class Fields:
    """What a pattern of named groups finds in each cell; a group that took no part is empty."""

    def __init__(self, cells: pa.Array, pattern: str) -> None:
        self._found = pc.extract_regex(cells, pattern)
        self.fits: Mask = np.asarray(self._found.is_valid())
        self._names = [self._found.type.field(index).name for index in range(self._found.type.num_fields)]

    def text(self, name: str) -> pa.Array:
        """The group's text; empty where the cell doesn't fit or the pattern has no such group."""
        if name not in self._names:
            return pa.array(np.full(len(self._found), ""), pa.string())
        return pc.fill_null(pc.struct_field(self._found, name), "")

    def whole(self, name: str, absent: int) -> Whole:
        """The group as whole numbers."""
        words = self.text(name)
        if name not in self._names:
            return np.full(len(words), absent, np.int64)
        numbers = pc.if_else(pc.equal(words, ""), pa.scalar(str(absent)), words).cast(pa.int64())
        return np.asarray(numbers)

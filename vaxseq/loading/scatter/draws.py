"""The places of drawn items in an epoch, looked up: an item may have many or none, so there's no formula for them.

The draws of an epoch are worked out in their order and sorted by item, over a file that has no name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.reads import fill
from vaxseq.errors import ScratchError
from vaxseq.plan.inverse_order import InverseOrder

Ids = npt.NDArray[np.int64]

_AT_ONCE = 1 << 20
_PAIR_BYTES = 16
_GROUP_PAIRS = 1 << 19


class Draws:
    """The (item, place) pairs of places [start, stop) of an epoch, by ranges of items."""

    def __init__(self, places: InverseOrder, n_items: int, epoch: int, start: int, stop: int, folder: Path) -> None:
        self._groups = max(1, -(-(stop - start) // _GROUP_PAIRS))
        self._width = max(1, -(-n_items // self._groups))
        self._cuts: list[Ids] = []
        try:
            self._file = tempfile.TemporaryFile(dir=folder)
            for low in range(start, stop, _AT_ONCE):
                high = min(low + _AT_ONCE, stop)
                self._add(places.items(epoch, low, high), np.arange(low - start, high - start))
            self._file.flush()
        except OSError as error:
            size = (stop - start) * _PAIR_BYTES / 1e9
            raise ScratchError(
                f"scratch: {folder} can't take {size:.2f} GB for the draws of balance ({error.strerror}). Make room, "
                "name another folder (scratch= or VAXSEQ_SCRATCH), or read directly: scratch=None."
            ) from error

    def _add(self, items: Ids, places: Ids) -> None:
        group = items // self._width
        order = np.argsort(group, kind="stable")
        self._cuts.append(np.concatenate([[0], np.cumsum(np.bincount(group, minlength=self._groups))]))
        self._file.write(np.stack([items[order], places[order]], axis=1).data)

    def __iter__(self) -> Iterator[tuple[Ids, Ids]]:
        """(items, places) of a range of items, sorted by item."""
        with self._file:
            for group in range(self._groups):
                pieces, begin = [], 0
                for cuts in self._cuts:
                    low, high = int(cuts[group]), int(cuts[group + 1])
                    piece = np.empty((high - low, 2), np.int64)
                    at = (begin + low) * _PAIR_BYTES
                    if piece.size and fill(self._file.fileno(), piece.data.cast("B"), at) < piece.nbytes:
                        raise ScratchError("scratch: the draws of balance were lost. Is the disk failing?")
                    pieces.append(piece)
                    begin += int(cuts[-1])
                pairs = np.concatenate(pieces)
                order = np.argsort(pairs[:, 0], kind="stable")
                yield pairs[order, 0], pairs[order, 1]

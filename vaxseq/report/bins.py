"""A column's distribution over all rows in bounded memory: counts of bins that grow coarser only when they must."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_BINS = 8192
_DENSE_KEYS_PER_ROW = 4  # times a block's rows: a range of keys worth counting in a plain array
_NEGATIVE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_LARGEST = np.int64(np.float64(np.finfo(np.float64).max).view(np.int64))

Keys = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def keys_of(values: Floats) -> Keys:
    """Whole numbers in the order of the floats: their bits, the negative ones turned round.

    >>> keys_of(np.array([-1.0, 0.0, 2.0])).argsort().tolist()
    [0, 1, 2]
    """
    bits = (values + 0.0).view(np.int64)  # -0.0 and 0.0 are one value
    return bits ^ ((bits >> np.int64(63)) & _NEGATIVE)


def floats_of(keys: Keys) -> Floats:
    """The floats of keys."""
    return np.asarray((keys ^ ((keys >> np.int64(63)) & _NEGATIVE)).view(np.float64))


@dataclass
class Bins:
    """How many values lie in each bin of neighbouring keys: ``keys`` sorted, each a key shifted right by ``shift``.

    Of numbers a bin is a stretch of equal relative width, of times one of equal width. While a column has no
    more than ``MOST_BINS`` distinct values, each has a bin of its own and all is exact. The shift is the least
    that suffices for all values, so it doesn't depend on the order of the blocks.
    """

    time: bool = False
    shift: int = 0
    keys: Keys = None  # type: ignore[assignment]
    counts: Keys = None  # type: ignore[assignment]
    most: int = MOST_BINS

    def __post_init__(self) -> None:
        if self.keys is None:
            self.keys, self.counts = np.empty(0, np.int64), np.empty(0, np.int64)

    @property
    def exact(self) -> bool:
        """Whether every distinct value has its own bin."""
        return self.shift == 0

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def add(self, values: npt.NDArray[Any]) -> None:
        """Takes finite float64 values, or the int64 of times."""
        if not len(values):
            return
        keys = (values if self.time else keys_of(values)) >> np.int64(self.shift)
        low, high = int(keys.min()), int(keys.max())
        if high - low < _DENSE_KEYS_PER_ROW * len(keys):
            dense = np.bincount(keys - low)
            found = np.flatnonzero(dense)
            self._put(found + low, dense[found])
        else:
            self._put(*np.unique(keys, return_counts=True))

    def merge(self, other: Bins) -> None:
        """Takes the counts of other rows."""
        both = self.coarser(max(self.shift, other.shift))
        self.shift, self.keys, self.counts = both.shift, both.keys, both.counts
        more = other.coarser(self.shift)
        self._put(more.keys, more.counts)

    def coarser(self, shift: int) -> Bins:
        """The same counts in wider bins."""
        if shift == self.shift:
            return Bins(self.time, shift, self.keys, self.counts, self.most)
        keys, counts = _summed(self.keys >> np.int64(shift - self.shift), self.counts)
        return Bins(self.time, shift, keys, counts, self.most)

    def edges(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Where each bin begins and ends: float64, or int64 of times."""
        low = self.keys << np.int64(self.shift)
        high = low + np.int64((1 << self.shift) - 1)
        if self.time:
            return low, high
        return floats_of(np.clip(low, -_LARGEST - 1, _LARGEST)), floats_of(np.clip(high, -_LARGEST - 1, _LARGEST))

    def quantiles(self, shares: npt.ArrayLike) -> Floats:
        """Values below which these shares lie, as np.quantile, linear within a bin; NaN of nothing."""
        wanted = np.asarray(shares, np.float64)
        total = self.total
        if not total:
            return np.full(wanted.shape, np.nan)
        low, high = (edge.astype(np.float64) for edge in self.edges())
        places = wanted * (total - 1)
        after = np.cumsum(self.counts)
        below = np.floor(places).astype(np.int64)
        first = self._at(below, after, low, high)
        second = self._at(np.minimum(below + 1, total - 1), after, low, high)
        return np.asarray(first + (second - first) * (places - below))

    def histogram(self, edges: Floats) -> Floats:
        """Values between consecutive edges; a bin that an edge cuts is shared out by its width."""
        low, high = (edge.astype(np.float64) for edge in self.edges())
        after = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.float64)
        place = np.searchsorted(low, edges, side="left")  # bins that begin before an edge
        inside = np.maximum(place - 1, 0)
        if not len(low):
            return np.zeros(len(edges) - 1)
        width = high[inside] - low[inside]
        with np.errstate(all="ignore"):
            part = np.where(width > 0, (edges - low[inside]) / width, 1.0)
        under = np.where(place > 0, after[inside] + self.counts[inside] * np.clip(part, 0, 1), 0.0)
        under[-1] = after[np.searchsorted(low, edges[-1], side="right")]
        return np.diff(under)

    def _at(self, ranks: Keys, after: Keys, low: Floats, high: Floats) -> Floats:
        place = np.searchsorted(after, ranks, side="right")
        count = self.counts[place]
        part = np.where(count > 1, (ranks - (after[place] - count)) / np.maximum(count - 1, 1), 0.5)
        return np.asarray(low[place] + (high[place] - low[place]) * part)

    def _put(self, keys: Keys, counts: Keys) -> None:
        keys, counts = _summed(np.concatenate([self.keys, keys]), np.concatenate([self.counts, counts]))
        while len(keys) > self.most:
            keys, counts = _summed(keys >> np.int64(1), counts)
            self.shift += 1
        self.keys, self.counts = keys, counts


def _summed(keys: Keys, counts: Keys) -> tuple[Keys, Keys]:
    """Equal keys as one."""
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    return keys[firsts], np.add.reduceat(counts, firsts) if len(firsts) else counts

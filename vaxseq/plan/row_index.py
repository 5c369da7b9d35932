"""The four forms of a row index: everything, runs, one bit a row, or the ids themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vaxseq.errors import SelectionError

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Arrays = dict[str, npt.NDArray[Any]]

_WORDS_PER_COUNT = 8  # 64-bit words that share one count: 512 rows
BLOCK = 64 * _WORDS_PER_COUNT
_SELECT_CHUNK_POSITIONS = 4096  # positions selected at once: their words stay in cache


def smallest_unsigned(top: int) -> type[np.unsignedinteger[Any]]:
    """uint32 where numbers up to ``top`` fit, else uint64."""
    return np.uint32 if top < 1 << 32 else np.uint64


class RowIndex(ABC):
    """Selected rows in order: ``n`` of them, ``row_stop`` one past the last, ``ascending`` if ids strictly rise.

    >>> index = Runs(starts=np.array([0, 2]), lengths=np.array([1, 2]))
    >>> index.select(np.array([0, 2])).tolist(), index.span(1, 3)
    ([0, 3], (2, 4, None))
    """

    form: ClassVar[str]
    n: int
    row_stop: int
    ascending: bool = True

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes held by the index."""

    @abstractmethod
    def select(self, positions: npt.NDArray[Any]) -> Ids:
        """Row ids at item positions, in their order; shape (n_positions,), int64."""

    @abstractmethod
    def _mask(self, start: int, stop: int, row_start: int, row_stop: int) -> Mask:
        """Which rows of [row_start, row_stop) are the items [start, stop)."""

    @abstractmethod
    def _own(self) -> Arrays: ...

    def span(self, start: int, stop: int) -> tuple[int, int, Mask | None]:
        """The physical range that covers item positions [start, stop), and which of its rows are selected.

        Returns:
            (row_start, row_stop, mask): mask has shape (row_stop - row_start,), or is None when all are selected.

        Raises:
            SelectionError: the ids don't ascend, so that no range covers neighbours.
        """
        if not 0 <= start <= stop <= self.n:
            raise SelectionError(f"rows: span out of range; got {start}:{stop}, expected within 0:{self.n}")
        if not self.ascending:
            raise SelectionError("rows: these row ids don't ascend, so no physical range covers them. Use select().")
        if start == stop:
            return 0, 0, None
        row_start, row_stop = self.row(start), self.row(stop - 1) + 1
        if row_stop - row_start == stop - start:
            return row_start, row_stop, None
        return row_start, row_stop, self._mask(start, stop, row_start, row_stop)

    def row(self, position: int) -> int:
        """The row id at one item position."""
        return int(self.select(np.array([position]))[0])

    def ids(self, start: int, stop: int) -> Ids:
        """Row ids of item positions [start, stop), int64: quicker than select for neighbours."""
        if not self.ascending:
            return self.select(np.arange(start, stop))
        row_start, row_stop, mask = self.span(start, stop)
        return np.arange(row_start, row_stop) if mask is None else np.flatnonzero(mask) + row_start

    def chunks(self, size: int = 1 << 20) -> Iterator[tuple[int, int]]:
        """(start, stop) item positions that cover the index, ``size`` at most at once."""
        for start in range(0, self.n, size):
            yield start, min(start + size, self.n)

    def to_arrays(self) -> Arrays:
        """The index as plain arrays, to be written to a file; ``from_arrays`` reads them."""
        return {"form": np.frombuffer(self.form.encode(), np.uint8), **self._own()}

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n:,}, nbytes={self.nbytes:,})"


class AllRows(RowIndex):
    """Rows 0, ..., n - 1: no memory at all."""

    form = "all"

    def __init__(self, n: int) -> None:
        self.n = self.row_stop = n

    @property
    def nbytes(self) -> int:
        return 0

    def select(self, positions: npt.NDArray[Any]) -> Ids:
        return np.asarray(positions, np.int64)

    def span(self, start: int, stop: int) -> tuple[int, int, Mask | None]:
        return start, stop, None

    def _mask(self, start: int, stop: int, row_start: int, row_stop: int) -> Mask:
        return np.ones(row_stop - row_start, bool)

    def _own(self) -> Arrays:
        return {"n": np.array([self.n], np.int64)}


class Runs(RowIndex):
    """Runs of rows: where each starts, and how many rows all before it hold."""

    form = "runs"

    def __init__(self, starts: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> None:
        ends = np.cumsum(lengths, dtype=np.int64)
        self.n = int(ends[-1]) if len(ends) else 0
        self.row_stop = int(starts[-1]) + int(lengths[-1]) if len(ends) else 0
        word = smallest_unsigned(self.row_stop)
        self.starts = np.asarray(starts).astype(word)
        self.before = np.r_[0, ends].astype(word)

    @property
    def nbytes(self) -> int:
        return int(self.starts.nbytes + self.before.nbytes)

    def select(self, positions: npt.NDArray[Any]) -> Ids:
        wanted = np.asarray(positions, self.before.dtype)  # the same dtype, or searchsorted would convert the index
        run = np.searchsorted(self.before, wanted, side="right") - 1
        return np.asarray(self.starts[run].astype(np.int64) + (wanted - self.before[run]).astype(np.int64))

    def _mask(self, start: int, stop: int, row_start: int, row_stop: int) -> Mask:
        first, last = np.searchsorted(self.before, np.array([start, stop - 1], self.before.dtype), side="right") - 1
        starts = self.starts[first : last + 1].astype(np.int64)
        ends = starts + np.diff(self.before[first : last + 2].astype(np.int64))
        starts[0], ends[-1] = row_start, row_stop
        lengths = np.empty(2 * len(starts) - 1, np.int64)
        lengths[0::2], lengths[1::2] = ends - starts, starts[1:] - ends[:-1]
        return np.repeat(np.arange(len(lengths)) % 2 == 0, lengths)

    def _own(self) -> Arrays:
        return {"starts": self.starts, "lengths": np.diff(self.before)}


class Bitmap(RowIndex):
    """One bit a row, and the number of set bits before each 512: rank and select without a scan.

    Source: Vigna, "Broadword implementation of rank/select queries", WEA 2008 (counts by block, select in a word).
    """

    form = "bitmap"

    def __init__(self, bits: npt.NDArray[np.uint8]) -> None:
        """``bits``: packed little-endian, as ``np.packbits(mask, bitorder="little")``; rows beyond are zero."""
        spare = -len(bits) % (BLOCK // 8)
        self._bits = np.concatenate([bits, np.zeros(spare, np.uint8)]) if spare else bits
        counts = np.bitwise_count(self._words().reshape(-1, _WORDS_PER_COUNT)).sum(axis=1, dtype=np.int64)
        before = np.concatenate([[0], np.cumsum(counts)])
        self.n = int(before[-1])
        self._before = before.astype(smallest_unsigned(self.n))
        self.row_stop = self.row(self.n - 1) + 1 if self.n else 0

    def _words(self) -> npt.NDArray[np.uint64]:
        return self._bits.view("<u8")

    @property
    def nbytes(self) -> int:
        return self._bits.nbytes + self._before.nbytes

    def row(self, position: int) -> int:
        block = int(np.searchsorted(self._before, self._before.dtype.type(position), side="right")) - 1
        mask = self._unpack(block * BLOCK, (block + 1) * BLOCK)
        return block * BLOCK + int(np.flatnonzero(mask)[position - int(self._before[block])])

    def select(self, positions: npt.NDArray[Any]) -> Ids:
        out = np.empty(len(positions), np.int64)
        for at in range(0, len(positions), _SELECT_CHUNK_POSITIONS):
            out[at : at + _SELECT_CHUNK_POSITIONS] = self._select(positions[at : at + _SELECT_CHUNK_POSITIONS])
        return out

    def _select(self, positions: npt.NDArray[Any]) -> Ids:
        wanted = np.asarray(positions, self._before.dtype)
        block = np.searchsorted(self._before, wanted, side="right") - 1
        left = (wanted - self._before[block]).astype(np.int64)
        counts = np.bitwise_count(np.take(self._words().reshape(-1, _WORDS_PER_COUNT), block, axis=0))
        within = np.cumsum(counts, axis=1, dtype=np.int64)
        word = (within <= left[:, None]).sum(axis=1)
        rows = np.arange(len(left))
        left -= within[rows, word] - counts[rows, word]
        ids: Ids = block * BLOCK + word * 64 + _select_in_word(self._words()[block * _WORDS_PER_COUNT + word], left)
        return ids

    def _unpack(self, row_start: int, row_stop: int) -> Mask:
        first = row_start // 8
        bits = np.unpackbits(self._bits[first : -(-row_stop // 8)], bitorder="little")
        return bits[row_start - 8 * first : row_stop - 8 * first].view(bool)

    def _mask(self, start: int, stop: int, row_start: int, row_stop: int) -> Mask:
        return self._unpack(row_start, row_stop)

    def _own(self) -> Arrays:
        return {"bits": self._bits}


def _select_in_word(words: npt.NDArray[np.uint64], left: Ids) -> Ids:
    """The place of the (left+1)-th set bit of each word, by halving."""
    rest = left.astype(np.uint8)
    place = np.zeros(len(words), np.uint64)
    for width in (32, 16, 8, 4, 2, 1):
        low = np.bitwise_count((words >> place) & np.uint64((1 << width) - 1))
        upper = rest >= low
        rest -= low * upper
        place += upper.astype(np.uint64) << np.uint64(width.bit_length() - 1)
    return place.astype(np.int64)


class Indices(RowIndex):
    """The ids themselves, in any order, repeats allowed; 4 bytes each below 2^32."""

    form = "indices"

    def __init__(self, ids: npt.NDArray[Any]) -> None:
        self.n = len(ids)
        self.row_stop = int(ids.max()) + 1 if self.n else 0
        self._ids = np.asarray(ids).astype(smallest_unsigned(self.row_stop))
        self.ascending = bool((self._ids[1:] > self._ids[:-1]).all())

    @property
    def nbytes(self) -> int:
        return self._ids.nbytes

    def select(self, positions: npt.NDArray[Any]) -> Ids:
        ids: Ids = self._ids[positions].astype(np.int64)
        return ids

    def _mask(self, start: int, stop: int, row_start: int, row_stop: int) -> Mask:
        mask = np.zeros(row_stop - row_start, bool)
        mask[self._ids[start:stop].astype(np.int64) - row_start] = True
        return mask

    def _own(self) -> Arrays:
        return {"ids": self._ids}

"""Which rows are selected, compactly: item position -> row id at a cost that doesn't depend on the position.

A row id is a row's physical place in the dataset; an item position is its place among the selected rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import SelectionError, StateError
from vaxseq.plan.row_index import BLOCK, AllRows, Bitmap, Ids, Indices, Mask, RowIndex, Runs, smallest_unsigned

__all__ = [
    "AllRows",
    "Bitmap",
    "Ids",
    "Indices",
    "Mask",
    "RowIndex",
    "RowIndexBuilder",
    "Runs",
    "from_arrays",
    "from_mask",
    "indices",
]


def indices(ids: npt.NDArray[Any]) -> RowIndex:
    """Ids in the given order, as runs when they ascend without many gaps."""
    index = Indices(ids)
    if not index.ascending:
        return index
    breaks = np.flatnonzero(np.diff(ids) != 1) + 1
    if 2 * (len(breaks) + 1) >= len(ids):
        return index
    bounds = np.r_[0, breaks, len(ids)]
    return Runs(np.asarray(ids)[bounds[:-1]], np.diff(bounds))


def from_mask(mask: Mask) -> RowIndex:
    """The rows where a mask over all rows is True, in the smallest form."""
    builder = RowIndexBuilder()
    for start in range(0, len(mask), 1 << 20):
        builder.add(start, mask[start : start + (1 << 20)])
    return builder.build(n_rows=len(mask))


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> RowIndex:
    """The index that ``to_arrays`` took apart.

    Raises:
        StateError: the arrays are of a form that this version doesn't know.
    """
    form = bytes(np.asarray(arrays["form"], np.uint8)).decode()
    match form:
        case "all":
            return AllRows(int(arrays["n"][0]))
        case "runs":
            return Runs(arrays["starts"], arrays["lengths"])
        case "bitmap":
            return Bitmap(arrays["bits"])
        case "indices":
            return Indices(arrays["ids"])
    raise StateError(f"row index: unknown form; got {form!r}, expected all, runs, bitmap or indices. Build it again.")


class RowIndexBuilder:
    """Takes selected rows in row order, chunk by chunk, and builds the smallest index.

    Chunks with few runs are held as runs, others as bits, so memory stays near that of the index.

    >>> builder = RowIndexBuilder()
    >>> builder.add(0, np.array([True, False, True]))
    >>> builder.add(3, length=5)
    >>> builder.build().ids(0, 7).tolist()
    [0, 2, 3, 4, 5, 6, 7]
    """

    def __init__(self) -> None:
        self._segments: list[Ids | tuple[int, npt.NDArray[np.uint8]]] = []  # (k, 2) run bounds, or (row_start, bits)
        self._n_runs = 0
        self._last: Ids | None = None
        self.row_stop = 0
        self.n = 0

    def add(self, row_start: int, mask: Mask | None = None, *, length: int | None = None) -> None:
        """Rows from ``row_start`` on: those where ``mask`` is True, or all of ``length`` rows.

        Rows between two calls aren't selected.

        Raises:
            SelectionError: rows before the end of those added already.
        """
        if row_start < self.row_stop:
            raise SelectionError(
                f"rows: chunks out of order; got row {row_start:,}, expected at least {self.row_stop:,}"
            )
        if mask is None:
            if not length:
                return
            self.row_stop = row_start + length
            self._add_runs(np.array([[row_start, self.row_stop]], np.int64))
            return
        mask = np.ascontiguousarray(mask, bool)
        self.row_stop = row_start + len(mask)
        edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
        n_runs = (len(edges) + 1 + bool(len(mask) and mask[0])) // 2
        if not n_runs:
            return
        if 128 * n_runs < len(mask) or n_runs == 1:  # 16 bytes a run against one bit a row
            bounds = np.concatenate([[0] if mask[0] else [], edges, [len(mask)] if mask[-1] else []]).astype(np.int64)
            self._add_runs(bounds.reshape(-1, 2) + row_start)
        else:
            skew = row_start % 8  # bits begin at a whole byte, so that segments can be or-ed together
            bits = np.packbits(np.concatenate([np.zeros(skew, bool), mask]) if skew else mask, bitorder="little")
            self._segments.append((row_start - skew, bits))
            self._n_runs += n_runs
            self._last = None
            self.n += int(np.count_nonzero(mask))

    def _add_runs(self, bounds: Ids) -> None:
        self.n += int((bounds[:, 1] - bounds[:, 0]).sum())
        if self._last is not None and self._last[-1, 1] == bounds[0, 0]:  # goes on from the chunk before
            self._last[-1, 1] = bounds[0, 1]
            bounds = bounds[1:]
        if len(bounds):
            self._segments.append(bounds)
            self._n_runs += len(bounds)
            self._last = bounds

    def build(self, *, n_rows: int | None = None) -> RowIndex:
        """The smallest index of the rows added; AllRows if they are all of ``n_rows`` (default: up to the last)."""
        if self.n == (self.row_stop if n_rows is None else n_rows):
            return AllRows(self.n)
        word = smallest_unsigned(self.row_stop)().itemsize
        sizes = {"runs": 2 * word * self._n_runs, "indices": word * self.n, "bitmap": self.row_stop * 17 // 128}
        match min(sizes, key=sizes.__getitem__):
            case "runs":
                bounds = np.concatenate([self._bounds(one) for one in self._segments] or [np.empty((0, 2), np.int64)])
                goes_on = np.flatnonzero(bounds[1:, 0] == bounds[:-1, 1]) + 1
                starts, ends = np.delete(bounds[:, 0], goes_on), np.delete(bounds[:, 1], goes_on - 1)
                return Runs(starts, ends - starts)
            case "indices":
                ids = np.empty(self.n, np.uint32 if word == 4 else np.uint64)
                at = 0
                for one in self._segments:
                    for start, stop in self._bounds(one):
                        ids[at : at + stop - start] = np.arange(start, stop)
                        at += int(stop - start)
                return Indices(ids)
        return Bitmap(self._bitmap())

    @staticmethod
    def _bounds(segment: Ids | tuple[int, npt.NDArray[np.uint8]]) -> Ids:
        """A segment's runs, shape (n_runs, 2): start and stop."""
        if isinstance(segment, np.ndarray):
            return segment
        start, bits = segment
        mask = np.concatenate([[0], np.unpackbits(bits, bitorder="little"), [0]])
        return (np.flatnonzero(mask[1:] != mask[:-1]) + start).reshape(-1, 2)

    def _bitmap(self) -> npt.NDArray[np.uint8]:
        """All segments as one packed bitmap, a whole number of blocks long."""
        out = np.zeros(-(-self.row_stop // BLOCK) * (BLOCK // 8), np.uint8)
        for segment in self._segments:
            if isinstance(segment, np.ndarray):
                for start, stop in segment:
                    _set_bits(out, int(start), int(stop))
            else:
                start, bits = segment
                out[start // 8 : start // 8 + len(bits)] |= bits
        return out


def _set_bits(bits: npt.NDArray[np.uint8], start: int, stop: int) -> None:
    first, last = start // 8, (stop - 1) // 8
    head, tail = 0xFF << (start % 8) & 0xFF, 0xFF >> (7 - (stop - 1) % 8)
    if first == last:
        bits[first] |= head & tail
        return
    bits[first] |= head
    bits[first + 1 : last] = 0xFF
    bits[last] |= tail

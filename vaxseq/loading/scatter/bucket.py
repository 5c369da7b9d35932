"""A bucket in memory: loaded from its pieces, and served in the order of its places."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.frame.buffers import BufferPool
from vaxseq.frame.pages import aligned_bytes
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.scatter.piece_layout import Bytes, Items, Numbers, PieceLayout

_WIDE_BYTES = 512  # of an item: narrower ones are sorted, since finding one takes longer than copying it

Picked = list[Numbers | None]


class Bucket:
    """Rows of each field, and which item of it has which place; None where they lie in order."""

    def __init__(self, fields: list[Items], picked: Picked) -> None:
        self._fields, self._picked = fields, picked

    def take(self, start: int, stop: int, out: Arrays) -> None:
        """The rows at places [start, stop), in order."""
        if start == stop:
            return
        arrays = [items_of(array) for array in out if array.size]
        for field, picked, place in zip(self._fields, self._picked, arrays, strict=True):
            if picked is None:
                place[...] = field[start:stop]
            else:
                field.take(picked[start:stop], out=place, mode="clip")

    def part(self, start: int, stop: int) -> tuple[list[Items], Picked]:
        """The fields, and which items of them are those at places [start, stop)."""
        fields = [
            field[start:stop] if picked is None else field
            for field, picked in zip(self._fields, self._picked, strict=True)
        ]
        return fields, [None if picked is None else picked[start:stop] for picked in self._picked]


class BucketMemory:
    """What buckets are loaded to and sorted in, used again and again: new memory costs more than filling it."""

    def __init__(self, layout: PieceLayout, bucket_rows: int) -> None:
        self._layout = layout
        fields = [(number, layout.widths[number]) for number in layout.data]
        self._wide = {number for number, width in fields if width >= _WIDE_BYTES}
        self._laid = [number for number, _ in fields if not layout.countable[number]]
        held = 3 if self._wide else 1  # where rows stay as they came: one is served, the next is there, and one comes
        self._pieces = BufferPool(_pages, -(-bucket_rows // layout.rows) * layout.nbytes, held)
        narrow = sum(width for number, width in fields if number not in self._wide)
        laid = sum(layout.widths[number] for number in self._laid)
        self._sorted = BufferPool(_bytes, bucket_rows * narrow, 3)
        self._end_to_end = BufferPool(_bytes, bucket_rows * laid, held)

    def pieces(self, count: int) -> Bytes:
        """Memory for so many pieces."""
        return self._pieces.arrays(count * self._layout.nbytes)[0]

    def bucket(self, pieces: Bytes, rows: int) -> Bucket:
        """The bucket of so many rows that these pieces hold."""
        layout = self._layout
        places = np.empty((rows, layout.widths[-1]), np.uint8)
        layout.lay(pieces, len(layout.widths) - 1, places)
        order = np.empty(rows, np.int64)
        order[places.reshape(-1).view(np.uint32)] = np.arange(rows)
        numbers = order // np.uint32(layout.rows)
        laid = self._cut(self._end_to_end, rows, self._laid)
        narrow = [number for number in layout.data if number not in self._wide]
        sorted_ = self._cut(self._sorted, rows, narrow)
        fields, picked = [], Picked()
        for number in layout.data:
            if number in laid:
                layout.lay(pieces, number, as_bytes(laid[number]))
                came, wanted = laid[number], order
            else:
                came, wanted = layout.items(pieces, number), layout.numbers(order, numbers, number)
            if number in sorted_:
                fields.append(came.take(wanted, out=sorted_[number], mode="clip"))
                picked.append(None)
            else:
                fields.append(came)
                picked.append(wanted)
        return Bucket(fields, picked)

    def _cut(self, pool: BufferPool, rows: int, fields: list[int]) -> dict[int, Items]:
        memory, found, at = pool.arrays(rows * sum(self._layout.widths[number] for number in fields))[0], {}, 0
        for number in fields:
            size = rows * self._layout.widths[number]
            found[number] = memory[at : at + size].view(np.dtype((np.void, self._layout.widths[number])))
            at += size
        return found


def _bytes(size: int) -> list[npt.NDArray[Any]]:
    return [np.empty(size, np.uint8)]


def _pages(size: int) -> list[npt.NDArray[Any]]:
    return [aligned_bytes(size)]


def as_bytes(array: npt.NDArray[Any]) -> Bytes:
    """A contiguous array's rows as bytes, shape (rows, bytes of a row)."""
    if not array.size:
        return np.empty((len(array), 0), np.uint8)
    return array.reshape(len(array), -1).view(np.uint8)


def items_of(array: npt.NDArray[Any]) -> Items:
    """A contiguous array's rows, each one item."""
    rows = as_bytes(array)
    return rows.view(np.dtype((np.void, rows.shape[1])))[:, 0]

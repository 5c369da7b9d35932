"""Buckets on the disk: rows come in any order, each to the bucket of its place, and leave bucket by bucket in order.

Bucket k holds places [k * bucket_rows, (k + 1) * bucket_rows). What comes for it is collected in memory, and written
once it fills a piece. Pieces are large and equal, so that a disk takes them anywhere at its pace.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import ScratchError
from vaxseq.loading.scatter.bucket import Bucket, BucketMemory, Picked, items_of
from vaxseq.loading.scatter.piece_file import PieceFile
from vaxseq.loading.scatter.piece_layout import Bytes, Items, PieceLayout

Places = npt.NDArray[np.int64]

_WORDS = 1 << 32


@dataclass(slots=True)
class _Piece:
    """``rows`` rows of a bucket, of which it is piece ``number``; so many are spoken for, so many are there."""

    bucket: int
    number: int
    rows: int
    memory: Bytes
    fields: list[Items]
    claimed: int = 0
    filled: int = 0


_Part = tuple[_Piece, int, int]  # a piece, from which of its rows on, how many are spoken for


class Buckets:
    """``rows`` rows, in pieces of a file that others may lie in as well. Thread-safe.

    Raises:
        ScratchError: the disk is full, or fails.
    """

    def __init__(self, file: PieceFile, layout: PieceLayout, rows: int, bucket_rows: int, memory: BucketMemory) -> None:
        self._file, self._layout, self._memory = file, layout, memory
        self.rows, self.bucket_rows = rows, bucket_rows
        self.count = -(-rows // bucket_rows)
        self._claimed = np.zeros(self.count, np.int64)
        self._slots = np.full((self.count, self._pieces_of(min(rows, bucket_rows))), -1)
        self._collected: dict[int, _Piece] = {}
        self._lock = threading.Lock()

    def __del__(self) -> None:
        """What was never asked for takes no space any more."""
        self._file.give_back(self._slots[self._slots >= 0])
        self._file.forget([piece.memory for piece in self._collected.values()])

    def rows_of(self, number: int) -> int:
        """Rows of a bucket."""
        return min(self.bucket_rows, self.rows - number * self.bucket_rows)

    def scatter(self, arrays: Sequence[npt.NDArray[Any]], places: Places, picked: Picked | None = None) -> None:
        """Put rows where their places say; row i of ``places`` is row i of the arrays, or the i-th that is picked."""
        if not len(places):
            return
        if self.rows <= _WORDS:
            places = places.astype(np.uint32)  # divides in a tenth of the time
        size = places.dtype.type(self.bucket_rows)
        bucket = places // size
        within = (places - bucket * size).astype(np.uint32, copy=False)
        order = np.argsort(bucket.astype(np.uint16), kind="stable")
        numbers = items_of(np.take(within, order))
        fields = [items_of(array) for array in arrays if array.size]
        wanted = [order if one is None else np.take(one, order) for one in picked or [None] * len(fields)]
        parts, low = self._claim(np.bincount(bucket, minlength=self.count)), 0
        for piece, start, rows in parts:
            stop, high = start + rows, low + rows
            for field, ids, out in zip(fields, wanted, piece.fields, strict=False):
                field.take(ids[low:high], out=out[start:stop], mode="clip")
            piece.fields[-1][start:stop] = numbers[low:high]
            low = high
        self._write(self._filled(parts))

    def check(self) -> None:
        """Refuses buckets that lack rows: what is served next would be wrong."""
        if (rows := int(self._claimed.sum())) != self.rows:
            raise ScratchError(f"scratch: {rows:,} rows were scattered, expected {self.rows:,}. Report this, please.")

    def load(self, number: int) -> Bucket:
        """A bucket that has all its rows."""
        rows = self.rows_of(number)
        slots = self._slots[number, : self._pieces_of(rows)]
        pieces = self._memory.pieces(len(slots))
        self._file.read(slots, pieces)
        return self._memory.bucket(pieces, rows)

    def free(self, number: int) -> None:
        """Give a bucket's space back."""
        self._file.give_back(self._slots[number, : self._pieces_of(self.rows_of(number))])
        self._slots[number] = -1

    def _pieces_of(self, rows: int) -> int:
        return -(-rows // self._layout.rows)

    def _claim(self, counts: Places) -> list[_Part]:
        """Where so many rows of each bucket go, bucket by bucket."""
        parts, each, collected = [], self._layout.rows, self._collected
        with self._lock:
            numbers = np.flatnonzero(counts)
            claimed = self._claimed[numbers] + counts[numbers]
            over = numbers[claimed > np.minimum(self.bucket_rows, self.rows - numbers * self.bucket_rows)]
            if len(over):
                raise ScratchError(f"scratch: bucket {over[0]} got too many rows. Report this, please.")
            for number, done, left in zip(
                numbers.tolist(), self._claimed[numbers].tolist(), counts[numbers].tolist(), strict=True
            ):
                while left:
                    piece = collected.get(number)
                    if piece is None:
                        memory, rows = self._file.piece(), min(each, self.rows_of(number) - done)
                        piece = _Piece(number, done // each, rows, memory, self._layout.fields(memory))
                        collected[number] = piece
                    start, rows = piece.claimed, min(left, piece.rows - piece.claimed)
                    parts.append((piece, start, rows))
                    piece.claimed = start + rows
                    done, left = done + rows, left - rows
                    if piece.claimed == piece.rows:
                        del collected[number]
            self._claimed[numbers] = claimed
        return parts

    def _filled(self, parts: list[_Part]) -> list[_Piece]:
        """The pieces that have all their rows now that these are there."""
        filled = []
        with self._lock:
            for piece, _, rows in parts:
                piece.filled += rows
                if piece.filled == piece.rows:
                    filled.append(piece)
        return filled

    def _write(self, pieces: list[_Piece]) -> None:
        if pieces:
            slots = self._file.write([piece.memory for piece in pieces])
            self._slots[[piece.bucket for piece in pieces], [piece.number for piece in pieces]] = slots

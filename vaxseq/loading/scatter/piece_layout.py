"""How rows lie in a piece of a file, and how they are come to where many pieces lie one behind the other in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np
import numpy.typing as npt

from vaxseq.frame.pages import PAGE, in_pages

Bytes = npt.NDArray[np.uint8]
Items = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]

PLACE_BYTES = 4
_WASTE = 1 / 16  # of a piece, at most, for a field to be countable


@dataclass(frozen=True, slots=True)
class PieceLayout:
    """``rows`` rows in ``nbytes`` bytes, whole pages: each field's together, and last the place of each row.

    A field is ``countable`` if a piece is a multiple of its width: then its items keep one distance from piece to
    piece, and are taken from many pieces as from one array.

    >>> PieceLayout.of([80, 4], 256 << 10, 1_000_000)
    PieceLayout(widths=(80, 4, 4), begins=(0, 242000, 254100), rows=3025, nbytes=266240, countable=(True, True, True))
    """

    widths: tuple[int, ...]
    begins: tuple[int, ...]
    rows: int
    nbytes: int
    countable: tuple[bool, ...]

    @classmethod
    def of(cls, field_bytes: Sequence[int], piece_bytes: int, most_rows: int) -> PieceLayout:
        """For fields of so many bytes a row: about ``piece_bytes``, ``most_rows`` at most, one row at least."""
        widths = (*field_bytes, PLACE_BYTES)
        wanted = sum(widths) * min(max(1, piece_bytes // sum(widths)), most_rows)
        best = _laid_out(widths, in_pages(wanted), frozenset())
        assert best is not None
        step, counted = PAGE, frozenset[int]()
        for width in sorted({width for width in widths if width}, reverse=True):
            both = lcm(step, width)
            found = _laid_out(widths, -(-wanted // both) * both, counted | {width})
            if both <= 2 * piece_bytes and found is not None and found.nbytes * (1 - _WASTE) <= found.used:
                best, step, counted = found, both, counted | {width}
        return best

    @property
    def data(self) -> list[int]:
        """The fields that have bytes, without the places."""
        return [field for field, width in enumerate(self.widths[:-1]) if width]

    @property
    def used(self) -> int:
        """Bytes of rows."""
        return self.rows * sum(self.widths)

    def file_bytes(self, rows: int, bucket_rows: int) -> int:
        """What so many rows take on the disk, in buckets of so many."""
        whole, rest = divmod(rows, bucket_rows)
        return (whole * -(-bucket_rows // self.rows) - (-rest // self.rows)) * self.nbytes

    def items(self, pieces: Bytes, field: int) -> Items:
        """All items of the width of a countable field in some pieces."""
        return pieces.view(np.dtype((np.void, self.widths[field])))

    def numbers(self, rows: Numbers, pieces: Numbers, field: int, out: Numbers | None = None) -> Numbers:
        """Which of these items are those of some rows, counted through all pieces; ``pieces`` are those they lie in."""
        width = self.widths[field]
        found = np.multiply(pieces, np.int64(self.nbytes // width - self.rows), out=out)
        found += rows
        found += self.begins[field] // width
        return found

    def rows_of_pieces(self, pieces: Bytes, field: int) -> Items:
        """A field's items, shape (pieces, rows of a piece): any field's, but slower to come to than ``items``."""
        width, begin = self.widths[field], self.begins[field]
        each = pieces.reshape(-1, self.nbytes)[:, begin : begin + self.rows * width]
        return each.view(np.dtype((np.void, width)))

    def lay(self, pieces: Bytes, field: int, out: Bytes) -> None:
        """The rows of a field end to end, shape (rows, width): those of all pieces but what the last one lacks."""
        width, begin = self.widths[field], self.begins[field]
        size, each = self.rows * width, pieces.reshape(-1, self.nbytes)
        whole = len(out) // self.rows
        out[: whole * self.rows].reshape(whole, size)[...] = each[:whole, begin : begin + size]
        rest = out[whole * self.rows :]
        if rest.size:
            rest[...] = each[whole, begin : begin + rest.size].reshape(rest.shape)


def _laid_out(widths: tuple[int, ...], nbytes: int, counted: frozenset[int]) -> PieceLayout | None:
    """As many rows as there is room for, where items of the ``counted`` widths begin with a multiple of them."""
    rows = nbytes // sum(widths)
    while rows:
        begins, end = [], 0
        for width in widths:
            begin = -(-end // width) * width if width in counted else end
            begins.append(begin)
            end = begin + rows * width
        if end <= nbytes:
            return PieceLayout(widths, tuple(begins), rows, nbytes, tuple(width in counted for width in widths))
        rows -= 1
    return None

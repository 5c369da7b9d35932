"""Memory for pieces that are being filled: one block, so that a single call puts rows into many of them.

A call for each piece would hand the interpreter over each time: beside a thread that computes, that takes milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vaxseq.errors import ScratchError
from vaxseq.frame.pages import aligned_bytes
from vaxseq.loading.scatter.piece_layout import Bytes, Items, Numbers, PieceLayout
from vaxseq.loading.scatter.workspace import Workspace, Workspaces

_AT_ONCE_BYTES = 1 << 20  # that are picked before they are put: what a processor's cache holds


class PieceMemory:
    """Room for ``count`` pieces; one that was never used takes no memory. Thread-safe."""

    def __init__(self, layout: PieceLayout, count: int, workspaces: Workspaces) -> None:
        self.layout, self.count, self.workspaces = layout, count, workspaces
        self._free = np.zeros(0, np.int64)
        self._lock = threading.RLock()  # whoever has it may be the one that lets go of others' pieces
        self._renew()

    @classmethod
    def of(cls, layout: PieceLayout, buckets: int, most_rows: int, threads: int) -> PieceMemory:
        """For so many buckets, when so many threads each scatter so many rows at once."""
        each = buckets + -(-most_rows // layout.rows)  # pieces that one of them may be at work on
        return cls(layout, 2 * buckets + threads * each, Workspaces(most_rows, threads))

    def take(self, count: int) -> Numbers:
        """Numbers of pieces that nobody else has."""
        with self._lock:
            if count > len(self._free):
                raise ScratchError(f"scratch: more than {self.count:,} pieces at once. Report this, please.")
            left = len(self._free) - count
            taken, self._free = self._free[left:][::-1], self._free[:left]
            return taken

    def give_back(self, pieces: Numbers) -> None:
        """These are used no more."""
        with self._lock:
            self._free = np.concatenate([self._free, pieces[::-1]])

    def trim(self) -> None:
        """Let the system have the memory back, if no piece is in use."""
        with self._lock:
            if len(self._free) == self.count:
                self._renew()

    def piece(self, number: int) -> Bytes:
        """All bytes of a piece."""
        return self._block[number * self.layout.nbytes :][: self.layout.nbytes]

    def put(self, field: int, work: Workspace, items: Items, picked: npt.NDArray[np.integer] | None = None) -> None:
        """Put items of a field, or those of them that are ``picked``, where ``work`` says."""
        put = self._counted(field, work) if self.layout.countable[field] else self._by_piece(field, work)
        if picked is None:
            put(slice(None), items)
            return
        step = max(1, _AT_ONCE_BYTES // items.itemsize)
        spare = np.empty(min(step, len(picked)), items.dtype)
        for low in range(0, len(picked), step):
            part = slice(low, low + step)
            wanted = picked[part]
            put(part, items.take(wanted, out=spare[: len(wanted)], mode="clip"))

    def _counted(self, field: int, work: Workspace) -> Callable[[slice, Items], None]:
        into = self.layout.items(self._block, field)
        at = self.layout.numbers(work.rows, work.pieces, field, work.items)
        return lambda part, items: into.put(at[part], items, mode="clip")

    def _by_piece(self, field: int, work: Workspace) -> Callable[[slice, Items], None]:
        into, each = self.layout.rows_of_pieces(self._block, field), self.layout.rows
        within = np.subtract(work.rows, np.multiply(work.pieces, each, out=work.items), out=work.items)

        def put(part: slice, items: Items) -> None:
            into[work.pieces[part], within[part]] = items

        return put

    def _renew(self) -> None:
        self._block = aligned_bytes(self.count * self.layout.nbytes)
        self._free = np.arange(self.count)[::-1]

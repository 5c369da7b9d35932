"""Pieces of equal size on the disk."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vaxseq.errors import ScratchError
from vaxseq.loading.scatter.scratch_file import Bytes, ScratchFile

Slots = npt.NDArray[np.int64]


class PieceFile:
    """Pieces of ``piece_bytes``, whole pages, by the slots of a scratch file that they lie in. Thread-safe.

    A slot that was given back is used again: a disk takes new bytes in an old place quicker than in a new one.

    An epoch ``needs`` so many bytes.

    Raises:
        ScratchError: the folder can't be written; later: it is full, or fails.
    """

    def __init__(self, folder: Path, piece_bytes: int, needs: int) -> None:
        self.piece_bytes, self._folder, self._needs = piece_bytes, folder, needs
        try:
            self._file = ScratchFile(folder)
        except OSError as error:
            raise ScratchError(
                f"scratch: {folder} can't be written ({error.strerror}). Name another folder: scratch= or "
                "VAXSEQ_SCRATCH."
            ) from error
        self._slots = 0
        self._free: list[int] = []
        self._lock = threading.RLock()  # whoever has it may be the one that lets go of others' buckets

    def reserve(self) -> None:
        """Take an epoch's space at once: writes don't wait for it then, and a full disk is told before them."""
        try:
            self._file.reserve(self._needs)
        except OSError as error:
            raise self._full(error) from error

    def write(self, pieces: list[Bytes]) -> Slots:
        """Writes pieces; returns where each lies now."""
        with self._lock:
            new = max(0, len(pieces) - len(self._free))
            taken = [self._free.pop() for _ in range(len(pieces) - new)]
            slots = np.array([*taken, *range(self._slots, self._slots + new)], np.int64)
            self._slots += new
        try:
            self._file.write(pieces, slots * self.piece_bytes)
        except OSError as error:
            raise self._full(error) from error
        return slots

    def read(self, slots: Slots, out: Bytes) -> None:
        """The pieces of these slots, end to end.

        Raises:
            ScratchError: the file lacks a part of them.
            OSError: as a read's.
        """
        if self._file.read(slots * self.piece_bytes, out) < len(out):
            raise ScratchError(f"scratch: {self._folder} lost rows that were written. Is its disk failing?")

    def give_back(self, slots: Slots) -> None:
        """What lies there is needed no more."""
        with self._lock:
            self._free += slots.tolist()

    def sync(self) -> None:
        """Wait until the disk has all that was written."""
        self._file.sync()

    def close(self) -> None:
        """Give the file's space back."""
        self._file.close()

    def _full(self, error: OSError) -> ScratchError:
        return ScratchError(
            f"scratch: {self._folder} can't take the {self._needs / 1e9:.2f} GB of an epoch ({error.strerror}). Make "
            'room, name another folder (scratch= or VAXSEQ_SCRATCH), shuffle="block", or read directly: scratch=None.'
        )

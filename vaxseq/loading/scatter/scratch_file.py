"""A file for what memory can't hold: without a name, past the page cache where the file system can do so."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.reads import fill
from vaxseq.frame.pages import PAST_CACHE
from vaxseq.frame.queued_io import read_pieces, write_pieces
from vaxseq.loading.scatter.disk_space import reserve

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
T = TypeVar("T")


class ScratchFile:
    """Nothing is left of it when the process ends. All that is read and written are whole pages. Thread-safe.

    The page cache couldn't keep what is written until it is read, and would push out what others keep there.

    Raises:
        OSError: the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)
        if PAST_CACHE:
            try:
                fcntl.fcntl(self._file.fileno(), fcntl.F_SETFL, self._flags | PAST_CACHE)
            except OSError as error:
                if error.errno != errno.EINVAL:  # it can't, with this file system
                    raise

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def read(self, offsets: Offsets, out: Bytes) -> int:
        """Equal pieces from these offsets on, end to end; returns how many bytes came: fewer where the file ends."""
        sizes = np.full(len(offsets), len(out) // len(offsets))
        places = np.cumsum(sizes) - sizes
        came = self.moved(lambda file: read_pieces(file, offsets, sizes, out, places)).tolist()
        for at, (offset, place) in enumerate(zip(offsets.tolist(), places.tolist(), strict=True)):
            if came[at] < sizes[0]:  # a read may give less than it is asked for
                came[at] = self.moved(partial(fill, buffer=out[place : place + sizes[0]].data, at=offset))
            if not self._flags & PAST_CACHE:  # it is read once: what others need is to stay in memory instead
                os.posix_fadvise(self._file.fileno(), offset, int(sizes[0]), os.POSIX_FADV_DONTNEED)
        return sum(came)

    def write(self, pieces: Sequence[Bytes], offsets: Offsets) -> None:
        """Write each piece from its offset on.

        Raises:
            OSError: the disk is full, or fails.
        """
        self.moved(lambda file: write_pieces(file, offsets, pieces))

    def moved(self, move: Callable[[int], T]) -> T:
        """What ``move`` returns, of the file; past the page cache until a file system turns out not to do so."""
        file, flags = self._file.fileno(), self._flags
        try:
            return move(file)
        except OSError as error:
            if error.errno != errno.EINVAL or not flags & PAST_CACHE:
                raise
            fcntl.fcntl(file, fcntl.F_SETFL, flags & ~PAST_CACHE)
            return move(file)

    def reserve(self, size: int) -> None:
        """Give its first bytes, so many, their place on the disk.

        Raises:
            OSError: there's no room for them.
        """
        reserve(self._file.fileno(), size)

    def sync(self) -> None:
        """Wait until the disk has all that was written."""
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Give the file's space back."""
        self._file.close()

    @property
    def _flags(self) -> int:
        return fcntl.fcntl(self._file.fileno(), fcntl.F_GETFL)

"""Memory that processes share. It has no name, so nothing of it is left however the processes end."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
import numpy.typing as npt

Layout = tuple[int, tuple[int, ...], str]  # offset, shape and dtype of an array in a slab

_ALIGN = 64


class Slab:
    """A piece of memory that grows, and that a process sees too if it was started with the slab as an argument.

    Growing moves it; views of the old place stay good, and are of the same bytes.
    """

    def __init__(self, file: int | None = None) -> None:
        self._file = _nameless() if file is None else file
        weakref.finalize(self, os.close, self._file)
        self._bytes: npt.NDArray[np.uint8] | None = None

    def __reduce__(self) -> Any:
        return _received, (DupFd(self._file),)

    def bytes(self, size: int) -> npt.NDArray[np.uint8]:
        """The whole slab, of this size at least."""
        if self._bytes is None or len(self._bytes) < size:
            held = os.fstat(self._file).st_size
            if held < max(1, size):
                held = max(1, -(-size // mmap.PAGESIZE)) * mmap.PAGESIZE
                os.ftruncate(self._file, held)
            self._bytes = np.frombuffer(mmap.mmap(self._file, held), np.uint8)
        return self._bytes

    def view(self, layout: Layout) -> npt.NDArray[Any]:
        """The array that lies there."""
        at, shape, name = layout
        dtype = np.dtype(name)
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        return self.bytes(at + size)[at : at + size].view(dtype).reshape(shape)


def lay(arrays: list[npt.NDArray[Any]], at: int = 0) -> tuple[list[Layout], int]:
    """Where arrays lie one after the other from an offset on, and where they end."""
    layouts: list[Layout] = []
    for array in arrays:
        layouts.append((at, array.shape, array.dtype.str))
        at += -(-array.nbytes // _ALIGN) * _ALIGN
    return layouts, at


def _nameless() -> int:
    """A file without a name, in memory; where a system has no such thing, one of the temporary folder."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("vaxseq")  # /dev/shm is often small, in containers above all; this isn't in it
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _received(file: Any) -> Slab:
    return Slab(file.detach())

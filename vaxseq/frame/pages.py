"""Memory for reads and writes past the page cache: aligned to pages, in huge pages where the system has them.

Storage is told of each piece of memory by itself, and two thousand of a page cost it more than what it reads.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

PAGE = 4096  # what storage takes at once: this, or a part of it
PAST_CACHE = getattr(os, "O_DIRECT", 0)
_HUGE = 2 << 20
_STRETCH = 8 << 20


def in_pages(size: int) -> int:
    """The bytes of all pages that so many bytes from a page's begin on lie in."""
    return -(-size // PAGE) * PAGE


def aligned_bytes(size: int) -> npt.NDArray[np.uint8]:
    """New memory of ``size`` bytes that begins with a page."""
    return aligned_array((size,), np.dtype(np.uint8))


def aligned_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A new array that begins with a page. No other array is its base, so views of it count as its."""
    size = math.prod(shape) * dtype.itemsize
    return np.ndarray(shape, dtype, _arena.part(in_pages(size))[:size])


def to_page(memory: npt.NDArray[np.uint8], page: int = PAGE) -> int:
    """How many bytes lie before the first page that begins in this memory."""
    return -int(memory.__array_interface__["data"][0]) % page


class _Arena:
    """Cuts parts from stretches of huge pages; a stretch is given back once nobody holds a part of it."""

    def __init__(self) -> None:
        self._left = memoryview(b"")
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forked)

    def part(self, size: int) -> memoryview:
        if size >= _STRETCH:
            return _huge_pages(size)
        with self._lock:
            if size > len(self._left):
                self._left = _huge_pages(_STRETCH)
            part, self._left = self._left[:size], self._left[size:]
            return part

    def _forked(self) -> None:
        self._left, self._lock = memoryview(b""), threading.Lock()


def _huge_pages(size: int) -> memoryview:
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    whole = mmap.mmap(-1, size + _HUGE, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            whole.madvise(mmap.MADV_HUGEPAGE)
        except OSError as error:
            if error.errno != errno.EINVAL:  # this kernel has none
                raise
    first = to_page(np.frombuffer(whole, np.uint8), _HUGE)
    return memoryview(whole)[first : first + size]


_arena = _Arena()

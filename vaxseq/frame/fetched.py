"""Rows of many columns past the page cache: all that lies in one file is asked for at once.

A column by itself has few pieces to wait for, and each wait wakes a thread: the pieces of all columns keep storage busy
while one thread sleeps. Each comes to pages of its own, so that nothing is moved afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vaxseq.frame.buffers import BufferPool
from vaxseq.frame.direct_reads import FileRows
from vaxseq.frame.pages import PAGE, aligned_bytes, in_pages

Bytes = npt.NDArray[np.uint8]

_POOLED_BYTES, _ROOM = 256 << 20, 3  # of what is fetched at once; threads that read ahead, and their user


class Wanted(NamedTuple):
    """Rows ``low`` to ``high`` of a file: a part, or all, of rows ``start`` to ``stop`` of the column ``owner``."""

    owner: int
    start: int
    stop: int
    file: FileRows
    low: int
    high: int


class Fetched:
    """The bytes of rows that were fetched together."""

    def __init__(self, content: dict[tuple[int, int, int], list[Bytes]]) -> None:
        self._content = content

    def of(self, owner: int, start: int, stop: int) -> list[Bytes] | None:
        """A column's rows ``start`` to ``stop``, in the pieces that they lie in; None if they weren't asked for."""
        return self._content.get((owner, start, stop))


class Fetcher:
    """Fetches rows into memory that is used again once nobody holds a part of it. Thread-safe."""

    def __init__(self) -> None:
        self._pool: BufferPool | None = None
        self._lock = threading.Lock()

    def fetch(self, wanted: Sequence[Wanted]) -> Fetched:
        """All of these; of a column's rows, the parts in their order, and none twice.

        Raises:
            DatasetError: a file was replaced, or cut short.
        """
        extents = np.array([one.file.extent(one.low, one.high) for one in wanted], np.int64).reshape(-1, 2)
        begins = extents[:, 0] // PAGE * PAGE
        sizes = -(-(extents[:, 1] - begins) // PAGE) * PAGE
        places = np.cumsum(sizes) - sizes
        memory = self._memory(int(sizes.sum()))
        files: dict[tuple[str, int], list[int]] = {}
        for number, one in enumerate(wanted):
            files.setdefault((one.file.path, one.file.inode), []).append(number)
        for numbers in files.values():
            wanted[numbers[0]].file.fetch_extents(extents[numbers], memory, places[numbers])
        content: dict[tuple[int, int, int], list[Bytes]] = {}
        firsts, lengths = places + extents[:, 0] - begins, extents[:, 1] - extents[:, 0]
        for one, first, length in zip(wanted, firsts.tolist(), lengths.tolist(), strict=True):
            content.setdefault((one.owner, one.start, one.stop), []).append(memory[first : first + length])
        return Fetched(content)

    def _memory(self, size: int) -> Bytes:
        if size > _POOLED_BYTES:
            return aligned_bytes(size)
        with self._lock:
            if self._pool is None or size > self._pool.rows:
                self._pool = BufferPool(_bytes, in_pages(size), _ROOM)
            pool = self._pool
        return pool.arrays(size)[0]


def _bytes(size: int) -> list[Bytes]:
    return [aligned_bytes(size)]

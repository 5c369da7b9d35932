"""A scratch file of blocks of rows, written as they are first read: later a block is one read, not one a column.

Reads and writes go past the page cache where they can: it couldn't keep what an epoch reads until the next one.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.reads import fill
from vaxseq.errors import ScratchError
from vaxseq.frame.pages import PAST_CACHE, aligned_bytes, in_pages
from vaxseq.frame.reading_threads import at_once
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.scatter.buckets import as_bytes
from vaxseq.plan.shuffle import Block

Numbered = Callable[[npt.NDArray[np.int64]], list[Block]]

_log = logging.getLogger("vaxseq")
_GROUPS_BYTES = 32 << 20  # of blocks that come together, read at once


def kept_bytes(rows: int, block_rows: int, row_bytes: int) -> int:
    """What the file takes for all rows."""
    return -(-rows // block_rows) * in_pages(block_rows * row_bytes)


class KeptBlocks:
    """A file without a name, so that nothing is left of it, in which each block of up to ``block_rows`` has its place.

    A block's fields lie one behind the other. Thread-safe. Of a source that fetches so many blocks ``together``, those
    that come with the ones that are wanted are kept as well.
    """

    def __init__(self, folder: Path, rows: int, block_rows: int, row_bytes: int, *, together: int = 1) -> None:
        self._folder, self._row_bytes = folder, row_bytes
        self._together = max(1, min(together, _GROUPS_BYTES // max(1, block_rows * row_bytes)))
        self._groups = max(1, _GROUPS_BYTES // max(1, self._together * block_rows * row_bytes))
        self._reading = threading.Lock()
        self._size = in_pages(block_rows * row_bytes)
        self._there = np.zeros(-(-rows // block_rows), bool)
        self._memory = threading.local()
        self._lock = threading.Lock()
        self._file: int | None = None
        self._given_up = False

    def load(
        self, blocks: list[Block], out: Arrays, read: Callable[[list[Block], Arrays], None], numbered: Numbered
    ) -> None:
        """The rows of these blocks, end to end, into arrays; what isn't kept yet is read, and kept from now on.

        ``numbered`` tells blocks by their numbers.

        Raises:
            ScratchError: what was written can't be read.
        """
        stops = np.cumsum([block.stop - block.start for block in blocks]).tolist()
        places = [[array[low:high] for array in out] for low, high in zip([0, *stops[:-1]], stops, strict=True)]
        if self._together > 1 and not self._given_up:
            self._keep_together([block.number for block in blocks], out, read, numbered)
        jobs: list[Callable[[], None]] = []
        for known, some in groupby(range(len(blocks)), lambda number: bool(self._there[blocks[number].number])):
            numbers = list(some)
            if not known:  # neighbours in ``out``, all at once
                low, high = stops[numbers[0]] - len(places[numbers[0]][0]), stops[numbers[-1]]
                read([blocks[number] for number in numbers], [array[low:high] for array in out])
            move = self._fetch if known else self._keep
            jobs += [partial(move, blocks[number].number, places[number]) for number in numbers]
        at_once(jobs)

    def _keep_together(
        self, wanted: list[int], like: Arrays, read: Callable[[list[Block], Arrays], None], numbered: Numbered
    ) -> None:
        """Keeps what comes with the blocks that are wanted, these among it: one thread at a time, so nothing twice."""
        with self._reading:
            groups = sorted({number // self._together for number in wanted if not self._there[number]})
            for low in range(0, len(groups), self._groups):
                numbers = np.concatenate(
                    [
                        np.arange(one * self._together, (one + 1) * self._together)
                        for one in groups[low:][: self._groups]
                    ]
                )
                numbers = numbers[numbers < len(self._there)]
                blocks = numbered(numbers[~self._there[numbers]])
                sizes = [block.stop - block.start for block in blocks]
                came = [np.empty((sum(sizes), *one.shape[1:]), one.dtype) for one in like]
                read(blocks, came)
                ends = np.cumsum(sizes).tolist()
                at_once(
                    partial(self._keep, block.number, [array[end - size : end] for array in came])
                    for block, size, end in zip(blocks, sizes, ends, strict=True)
                )

    def _fetch(self, number: int, out: Arrays) -> None:
        assert self._file is not None
        size = sum(array.nbytes for array in out)
        memory = self._aligned()
        if self._moved(lambda file: fill(file, memory[: in_pages(size)].data, number * self._size)) < size:
            raise ScratchError(f"scratch: {self._folder} lost rows that were written. Is its disk failing?")
        at = 0
        for array in out:
            content = as_bytes(array).reshape(-1)
            content[...] = memory[at : at + len(content)]
            at += len(content)

    def _keep(self, number: int, rows: Arrays) -> None:
        memory, at = self._aligned(), 0
        for array in rows:
            content = as_bytes(array).reshape(-1)
            memory[at : at + len(content)] = content
            at += len(content)
        if self._given_up:
            return
        try:
            self._moved(lambda file: _write(file, memory[: in_pages(at)].data, number * self._size))
        except OSError as error:
            self._give_up(error)
        else:
            self._there[number] = True

    def _moved(self, move: Callable[[int], int]) -> int:
        """What ``move`` returns, of the file; past the page cache until a file system turns out not to do so."""
        file = self._opened()
        flags = fcntl.fcntl(file, fcntl.F_GETFL)
        try:
            return move(file)
        except OSError as error:
            if error.errno != errno.EINVAL or not flags & PAST_CACHE:
                raise
            fcntl.fcntl(file, fcntl.F_SETFL, flags & ~PAST_CACHE)
            return move(file)

    def _opened(self) -> int:
        with self._lock:
            if self._file is None:
                self._owner = tempfile.TemporaryFile(dir=self._folder)
                self._file = self._owner.fileno()
                if PAST_CACHE:
                    try:
                        fcntl.fcntl(self._file, fcntl.F_SETFL, fcntl.fcntl(self._file, fcntl.F_GETFL) | PAST_CACHE)
                    except OSError as error:
                        if error.errno != errno.EINVAL:  # it can't, with this file system
                            raise
            return self._file

    def _give_up(self, error: OSError) -> None:
        with self._lock:
            if not self._given_up:
                self._given_up = True
                _log.warning(
                    "scratch: %s can't take the %.2f GB that a block shuffle keeps (%s): it reads by columns, which is "
                    "slower. Make room, or name another folder (scratch= or VAXSEQ_SCRATCH).",
                    self._folder, len(self._there) * self._size / 1e9, error.strerror,
                )  # fmt: skip

    def _aligned(self) -> npt.NDArray[np.uint8]:
        """This thread's memory for a block, at a page's begin."""
        if not hasattr(self._memory, "block"):
            self._memory.block = aligned_bytes(self._size)
        block: npt.NDArray[np.uint8] = self._memory.block
        return block


def _write(file: int, data: memoryview, at: int) -> int:
    done = 0
    while done < len(data):  # a write may take less than it is given
        done += os.pwrite(file, data[done:], at + done)
    return done

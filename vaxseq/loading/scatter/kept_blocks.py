"""A scratch file of blocks of rows, written as they are first read: later a block is one read, not one a column.

Reads and writes go past the page cache where they can: it couldn't keep what an epoch reads until the next one.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.reads import fill
from vaxseq.errors import ScratchError
from vaxseq.frame.pages import PAGE, aligned_bytes, in_pages, to_page
from vaxseq.frame.reading_threads import at_once
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.scatter.bucket import as_bytes
from vaxseq.loading.scatter.scratch_file import ScratchFile
from vaxseq.plan.shuffle import Block

Numbered = Callable[[npt.NDArray[np.int64]], list[Block]]
Read = Callable[[list[Block], list[Arrays], Callable[[Block, Arrays], None] | None], None]

_log = logging.getLogger("vaxseq")
_GROUPS_BYTES = 32 << 20  # of blocks that come together, read at once
_WAITING, _WRITERS = 6, 3  # blocks that wait to be written: more hold memory that the next ones could be read into


def kept_bytes(rows: int, block_rows: int, row_bytes: int) -> int:
    """What the file takes for all rows."""
    return -(-rows // block_rows) * in_pages(block_rows * row_bytes)


def places_of(blocks: list[Block], out: Arrays) -> list[Arrays]:
    """The part of each block in arrays that hold all of them, end to end."""
    stops = np.cumsum([block.stop - block.start for block in blocks]).tolist()
    return [[array[low:high] for array in out] for low, high in zip([0, *stops[:-1]], stops, strict=True)]


class KeptBlocks:
    """A file without a name, so that nothing is left of it, in which each block of up to ``block_rows`` has its place.

    A block's fields lie one behind the other. Thread-safe. Blocks are written while others are read, from the
    memory that they came to where that lies in whole pages. Of a source that fetches so many blocks ``together``, those
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
        self._file: ScratchFile | None = None
        self._given_up = False
        self._writing: dict[int, Future[None]] = {}
        self._room = threading.Semaphore(_WAITING)
        self._writer: ThreadPoolExecutor | None = None

    def load(self, blocks: list[Block], out: Arrays, read: Read, numbered: Numbered) -> None:
        """The rows of these blocks, end to end, into arrays; what isn't kept yet is read, and kept from now on.

        ``numbered`` tells blocks by their numbers; ``read`` reads blocks, each into arrays of its own, and tells of
        each that has come.

        Raises:
            ScratchError: what was written can't be read.
        """
        places = places_of(blocks, out)
        if self._together > 1 and not self._given_up:
            self._keep_together([block.number for block in blocks], out, read, numbered)
        self._settle([block.number for block in blocks])
        known = [bool(self._there[block.number]) for block in blocks]
        new = [place for place, there in enumerate(known) if not there]
        if new:
            read([blocks[place] for place in new], [places[place] for place in new], self._offer)
        at_once(partial(self._fetch, blocks[at].number, places[at]) for at in range(len(blocks)) if known[at])

    def _settle(self, wanted: list[int]) -> None:
        """Waits for those of the blocks that are being written."""
        with self._lock:
            over = [number for number, future in self._writing.items() if number in wanted or future.done()]
            futures = [self._writing.pop(number) for number in over]
        for future in futures:
            future.result()

    def _offer(self, block: Block, rows: Arrays) -> None:
        """Has a block written, which nobody changes while its arrays are held; waits while too many wait for that."""
        if self._given_up:
            return
        self._room.acquire()
        with self._lock:
            if self._writer is None:
                self._writer = ThreadPoolExecutor(_WRITERS, thread_name_prefix="vaxseq-kept-blocks")
                weakref.finalize(self, self._writer.shutdown, wait=False, cancel_futures=True)
            try:
                self._writing[block.number] = self._writer.submit(self._write_offered, block.number, rows)
            except RuntimeError:  # the program ends, and nobody will ask for it again
                self._room.release()

    def _write_offered(self, number: int, rows: Arrays) -> None:
        try:
            self._keep(number, rows)
        finally:
            self._room.release()

    def _keep_together(self, wanted: list[int], like: Arrays, read: Read, numbered: Numbered) -> None:
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
                came = [[np.empty((size, *one.shape[1:]), one.dtype) for one in like] for size in sizes]
                read(blocks, came, None)
                at_once(partial(self._keep, block.number, rows) for block, rows in zip(blocks, came, strict=True))

    def _fetch(self, number: int, out: Arrays) -> None:
        fields, at = _fields(out), number * self._size
        size = sum(map(len, fields))
        if _in_pages(fields) and self._moved(lambda file: os.preadv(file, [one.data for one in fields], at)) == size:
            return
        memory = self._aligned()
        if self._moved(lambda file: fill(file, memory[: in_pages(size)].data, at)) < size:
            raise ScratchError(f"scratch: {self._folder} lost rows that were written. Is its disk failing?")
        low = 0
        for field in fields:
            field[...] = memory[low : low + len(field)]
            low += len(field)

    def _keep(self, number: int, rows: Arrays) -> None:
        if self._given_up:
            return
        fields, at = _fields(rows), number * self._size
        size = sum(map(len, fields))
        try:
            if (
                not _in_pages(fields)
                or self._moved(lambda file: os.pwritev(file, [one.data for one in fields], at)) < size
            ):
                memory = self._aligned()
                np.concatenate(fields, out=memory[:size])
                self._opened().write([memory[: in_pages(size)]], np.array([at]))
        except OSError as error:
            self._give_up(error)
        else:
            self._there[number] = True

    def _moved(self, move: Callable[[int], int]) -> int:
        return self._opened().moved(move)

    def _opened(self) -> ScratchFile:
        with self._lock:
            if self._file is None:
                self._file = ScratchFile(self._folder)
                self._file.reserve(len(self._there) * self._size)
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


def _fields(rows: Arrays) -> list[npt.NDArray[np.uint8]]:
    """The bytes of a block's fields."""
    return [as_bytes(array).reshape(-1) for array in rows]


def _in_pages(fields: list[npt.NDArray[np.uint8]]) -> bool:
    """Whether all of them are whole pages, which go to a file and come from there without a copy."""
    return all(len(field) % PAGE == 0 and to_page(field) == 0 for field in fields)

"""Reads and writes past the page cache, many handed to the system by one call and waited for by another.

A thread that moves one piece after the other is put to sleep and woken for each, and each time has to get hold of the
interpreter again: for pieces of 128 kB that takes longer than moving them. Linux queues them without threads; where
it doesn't, or refuses, they are moved one by one. Source: io_submit(2), io_getevents(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

# processor -> the numbers of io_setup, io_destroy, io_getevents, io_submit
_CALLS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
_DEPTH = 128  # pieces in a queue; several threads have one each
_REFUSED = (errno.ENOSYS, errno.EPERM, errno.EAGAIN, errno.ENOMEM)
_PIECE = np.dtype(
    [
        ("data", "u8"), ("key", "u4"), ("flags", "u4"), ("opcode", "u2"), ("priority", "i2"), ("file", "u4"),
        ("memory", "u8"), ("size", "u8"), ("offset", "i8"), ("reserved", "u8"), ("more_flags", "u4"),
        ("event_file", "u4"),
    ]
)  # fmt: skip
_READ, _WRITE = 0, 1  # what is asked for
_EVENT = np.dtype([("data", "u8"), ("piece", "u8"), ("result", "i8"), ("more", "i8")])

_here = threading.local()

Counts = npt.NDArray[np.int64]


def read_pieces(file: int, offsets: Counts, sizes: Counts, memory: npt.NDArray[np.uint8], places: Counts) -> Counts:
    """How many bytes came of each piece: from ``offsets`` on, ``sizes`` long, to ``places`` of the memory.

    The file was opened past the page cache, and all three are whole pages. A piece may come short, as a read may.

    Raises:
        OSError: as a read's.
    """
    queue = _queue() if len(offsets) > 1 else None
    if queue is not None:
        return queue.move(_READ, file, offsets, sizes, _address(memory) + places)
    return np.array(
        [
            os.preadv(file, [memory[place : place + size].data], offset)
            for offset, size, place in zip(offsets.tolist(), sizes.tolist(), places.tolist(), strict=True)
        ],
        np.int64,
    )


def write_pieces(file: int, offsets: Counts, pieces: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Write each piece from its offset on; pieces, offsets and sizes are whole pages.

    Raises:
        OSError: as a write's.
    """
    queue = _queue() if len(pieces) > 1 else None
    came = [0] * len(pieces)
    if queue is not None:
        sizes, addresses = np.array([(len(piece), _address(piece)) for piece in pieces], np.int64).T
        came = queue.move(_WRITE, file, offsets, sizes, addresses).tolist()
    for piece, offset, done in zip(pieces, offsets.tolist(), came, strict=True):
        while done < len(piece):  # a write may take less than it is given
            done += os.pwrite(file, piece[done:].data, offset + done)


class _Queue:
    """A thread's own queue."""

    def __init__(self) -> None:
        self.process = os.getpid()  # a fork's child doesn't have it
        self._setup, self._destroy, self._wait, self._submit = _CALLS[platform.machine()]
        self._context = ctypes.c_ulong(0)
        self._call = _system()
        if self._call(self._setup, ctypes.c_uint(_DEPTH), ctypes.byref(self._context)) < 0:
            raise _error()

    def __del__(self) -> None:
        if self._context.value and self.process == os.getpid():
            self._call(self._destroy, self._context)

    def move(self, what: int, file: int, offsets: Counts, sizes: Counts, addresses: Counts) -> Counts:
        """How many bytes of each piece were read or written."""
        came = np.empty(len(offsets), np.int64)
        for first in range(0, len(offsets), _DEPTH):
            part = slice(first, first + _DEPTH)
            pieces = np.zeros(len(offsets[part]), _PIECE)
            pieces["opcode"], pieces["file"], pieces["offset"], pieces["size"] = what, file, offsets[part], sizes[part]
            pieces["memory"], pieces["data"] = addresses[part], np.arange(len(pieces))
            self._move(pieces, came[part])
        failed = came[came < 0]
        if len(failed):
            raise OSError(-int(failed[0]), os.strerror(-int(failed[0])))
        return came

    def _move(self, pieces: npt.NDArray[np.void], came: Counts) -> None:
        pointers = (_address(pieces) + np.arange(len(pieces)) * _PIECE.itemsize).astype(np.uint64)
        done = waiting = 0
        try:
            while done < len(pieces):
                taken = self._call(
                    self._submit, self._context, ctypes.c_long(len(pieces) - done),
                    ctypes.c_void_p(_address(pointers) + 8 * done),
                )  # fmt: skip
                if taken < 0:
                    raise _error()
                done, waiting = done + taken, waiting + taken
        finally:  # whatever happens, nothing may come into memory later that others use by then
            while waiting:
                waiting -= self._collect(waiting, came)

    def _collect(self, count: int, came: Counts) -> int:
        events = np.empty(count, _EVENT)
        got: int = self._call(
            self._wait, self._context, ctypes.c_long(count), ctypes.c_long(count),
            ctypes.c_void_p(_address(events)), None,
        )  # fmt: skip
        if got < 0:
            if ctypes.get_errno() == errno.EINTR:
                return 0
            raise _error()
        came[events["data"][:got].astype(np.int64)] = events["result"][:got]
        return got


def _queue() -> _Queue | None:
    """This thread's queue; None where there can't be one."""
    queue: _Queue | None = getattr(_here, "queue", None)
    if queue is not None and queue.process == os.getpid():
        return queue
    if sys.platform != "linux" or platform.machine() not in _CALLS or getattr(_here, "refused", False):
        return None
    try:
        _here.queue = _Queue()
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        _here.refused = True
        return None
    return _here.queue  # type: ignore[no-any-return]


@cache
def _system() -> Callable[..., int]:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return call


def _address(array: npt.NDArray[np.generic]) -> int:
    return int(array.ctypes.data)  # without the description of its type, that takes longer


def _error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))

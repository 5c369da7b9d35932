"""Files mapped into memory: none is kept open, and one that is cut short meanwhile is an error, not the process's end.

A mapping outlives its file's descriptor, but Python's ``mmap`` and Arrow's ``memory_map`` keep one each, so that a
dataset of a thousand fragments would need a thousand.

Who reads a page that its file no longer has gets SIGBUS. On Linux such pages of ours are put zeros for, so that the
reading comes to its end, and there the thread gets a DatasetError. Any other fault is left to whoever had the signal
before.
"""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import mmap
import os
import sys
import threading
import weakref
from functools import cache

from vaxseq.errors import DatasetError
from vaxseq.frame.file_changes import FileStamp, pages_lost_of

_FAILED = ctypes.c_void_p(-1).value
_SIGBUS, _SA_SIGINFO = 7, 4  # of Linux
_MAP_FIXED = 0x10
_CODE_AT, _ADDRESS_AT = 8, 16  # why, and where the fault was, in a siginfo_t of 64 bits
_maps: dict[int, tuple[int, str]] = {}  # address: size, file


def map_file(path: str) -> tuple[memoryview, FileStamp]:
    """A file's bytes, mapped until nobody holds a part of them, and what the file was at that moment."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mark = FileStamp.of(path, file)
        if not mark.size:
            return memoryview(b""), mark
        _survive_lost_pages()
        address = _libc().mmap(None, mark.size, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
    finally:
        os.close(file)
    if address == _FAILED:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    owner = (ctypes.c_char * mark.size).from_address(address)
    _maps[address] = mark.size, path
    weakref.finalize(owner, _unmap, address, mark.size).atexit = False
    return memoryview(owner).toreadonly().cast("B"), mark


def _unmap(address: int, size: int) -> None:
    del _maps[address]  # before another mapping may have the address
    _libc().munmap(address, size)


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_longlong,
    ]  # fmt: skip
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc


class _SigAction(ctypes.Structure):
    """A struct sigaction of Linux with 64 bits."""

    _fields_ = (
        ("handler", ctypes.c_void_p), ("mask", ctypes.c_ulong * 16), ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )  # fmt: skip


_before: list[_SigAction] = []  # whose the signal was: the one before us, and who took it from us since


def _survive_lost_pages() -> None:
    """Takes SIGBUS, also again from whoever has taken it since the last file was mapped."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) != 8:
        return
    sigaction = _libc().sigaction
    now = _SigAction()
    sigaction(_SIGBUS, None, ctypes.byref(now))
    if now.handler == _HANDLER:
        return
    ours = _SigAction(handler=_HANDLER, flags=_SA_SIGINFO)
    sigaction(_SIGBUS, ctypes.byref(ours), ctypes.byref(now))
    _before.append(now)


def _lost_page(_signal: int, info: int, _context: int) -> None:
    """Called in the thread that reads, in the middle of it."""
    path, fault = None, True
    try:
        frame = inspect.currentframe()
        fault = ctypes.c_int.from_address(info + _CODE_AT).value > 0  # else somebody sent the signal
        if fault and frame is not None and frame.f_back is not None:  # else no error could be raised in the thread
            path = _zeros_for(ctypes.c_void_p.from_address(info + _ADDRESS_AT).value or 0)
    finally:
        if path is None:  # the fault comes again, and is the other's; whose hand it comes back from has had its turn
            before = _before.pop() if len(_before) > 1 else _before[0]
            _libc().sigaction(_SIGBUS, ctypes.byref(before), None)
            if not fault:
                os.kill(os.getpid(), _SIGBUS)
    if path is not None:
        pages_lost_of(path)
        # The interpreter looks for such an error after each call that it makes; the loop makes this one, so the error
        # waits until this function is left and the reading has ended.
        for _ in map(_raise_in, (threading.get_ident(),), (_error_of(path),)):
            break


_handler = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(_lost_page)
_HANDLER = ctypes.cast(_handler, ctypes.c_void_p).value
_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = [ctypes.c_ulong, ctypes.py_object]


def _zeros_for(address: int) -> str | None:
    """Zeros for all that a mapping's file has lost; the file, or None if the address isn't in a mapping of ours."""
    for start, (size, path) in list(_maps.items()):
        if start <= address < start + size:
            first = (address - start) // mmap.PAGESIZE * mmap.PAGESIZE
            with contextlib.suppress(OSError):  # it may have gone, too
                first = min(first, -(-os.stat(path).st_size // mmap.PAGESIZE) * mmap.PAGESIZE)
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
            made = _libc().mmap(start + first, size - first, mmap.PROT_READ, flags, -1, 0)
            return path if made == start + first else None
    return None


def _error_of(path: str) -> type[DatasetError]:
    """A class whose only instance is made by the interpreter, which takes no argument."""

    class CutShortError(DatasetError):
        __qualname__ = "CutShortError"

        def __init__(self) -> None:
            super().__init__(
                f"{path}: was cut short while it was read. Open the dataset again, and make anew what was fitted or "
                "stored from it."
            )

        def __reduce__(self) -> tuple[type[DatasetError], tuple[str]]:
            return DatasetError, (str(self),)

    return CutShortError

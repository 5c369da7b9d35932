"""The space that a file takes on its disk: reserved at once, or given back in parts while the rest stays."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import lru_cache
from typing import Any

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_UNABLE = {errno.EOPNOTSUPP, errno.ENOSYS}


def punch(file: int, start: int, length: int) -> bool:
    """Whether the bytes' space was given back; False where the system or the file system has no holes.

    Raises:
        OSError: the disk fails.
    """
    return _call(file, _KEEP_SIZE | _PUNCH_HOLE, start, length)


def reserve(file: int, length: int) -> bool:
    """Whether so many bytes from the file's begin on have their place, so that writes don't wait for it one by one.

    Raises:
        OSError: the disk has no room for them.
    """
    return _call(file, 0, 0, length)


def _call(file: int, mode: int, start: int, length: int) -> bool:
    call = _fallocate()
    if call is None or length <= 0:
        return False
    if call(file, mode, start, length) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number))


@lru_cache(maxsize=1)
def _fallocate() -> Any:
    call = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return call

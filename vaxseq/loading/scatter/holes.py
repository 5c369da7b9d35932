"""Give the space of a part of a file back to its disk while the rest stays."""

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
    call = _fallocate()
    if call is None or length <= 0:
        return False
    if call(file, _KEEP_SIZE | _PUNCH_HOLE, start, length) == 0:
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

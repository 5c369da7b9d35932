"""The space that a file takes on its disk, reserved at once."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import lru_cache
from typing import Any

_UNABLE = {errno.EOPNOTSUPP, errno.ENOSYS}


def reserve(file: int, length: int) -> None:
    """Give the bytes from a file's begin on their place, if the file system can: writes don't wait for it one by one.

    Raises:
        OSError: the disk has no room for them.
    """
    call = _fallocate()
    if call is not None and length > 0 and call(file, 0, 0, length) and (number := ctypes.get_errno()) not in _UNABLE:
        raise OSError(number, os.strerror(number))


@lru_cache(maxsize=1)
def _fallocate() -> Any:
    call = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return call

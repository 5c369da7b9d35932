"""One training at a time in a folder: a lock of the system's, which a killed process doesn't leave behind."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import weakref
from pathlib import Path
from typing import Any

from vaxseq.errors import OptionError
from vaxseq.training.keras_internals import is_running

_NAME = "lock"
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

_log = logging.getLogger("vaxseq")
_held: dict[str, tuple[int, weakref.ref[Any]]] = {}  # by folder, of this process: the open lock file, and its owner


class FolderLock:
    """Held by one owner at a time. A fit that broke off holds it no more, though nobody told so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def was_taken(self) -> bool:
        """Whether a training has ever held the folder."""
        return (self._folder / _NAME).exists()

    def take(self, owner: Any) -> None:
        """Hold the folder.

        Raises:
            OptionError: another training holds it, here or in another process.
            OSError: the folder can't be written.
        """
        key = str(self._folder.resolve())
        number, holder = _held.get(key, (None, None))
        if number is not None and holder is not None:
            other = holder()
            if other is not None and other is not owner and is_running(other):
                raise OptionError(self._busy("in this process"))
            self.release()
        number = os.open(self._folder / _NAME, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            said = os.read(number, 80).decode(errors="replace")
            os.close(number)
            if error.errno in _UNSUPPORTED:
                _log.warning(
                    "%s: its file system has no locks, so a second training there isn't noticed.", self._folder
                )
                return
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise OptionError(self._busy(said)) from error
            raise
        os.ftruncate(number, 0)
        os.write(number, f"process {os.getpid()} on {os.uname().nodename}".encode())
        _held[key] = (number, weakref.ref(owner))

    def release(self) -> None:
        """Hold it no more."""
        number, _ = _held.pop(str(self._folder.resolve()), (None, None))
        if number is not None:
            os.close(number)

    def _busy(self, who: str) -> str:
        return (
            f"{self._folder}: another training saves there ({who}). Wait for it, or give each training a folder of its "
            "own."
        )

"""The files behind a frame as they were when it was opened: a change is told, instead of rows of two states."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from vaxseq.errors import DatasetError

_FEW = 16  # files; to look at more of them takes at most a tenth of the time
_SHARE = 10
_PAUSE_S = 20e-6  # by file, of a few: a look takes a tenth of that


_lost: set[str] = set()


def pages_lost_of(path: str) -> None:
    """Notes that a reader got zeros for what the file had lost meanwhile; other threads may have got them, too."""
    _lost.add(path)


def check_read(check: Callable[[], None]) -> None:
    """After rows were read from a map: ``check``, which raises if their file has changed, if any has lost pages."""
    if _lost:
        check()


class FileStamp(NamedTuple):
    """A file at a moment."""

    path: str
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str, file: int | None = None) -> FileStamp:
        """The file at a path, or the open one."""
        about = os.stat(path) if file is None else os.fstat(file)
        return cls(path, about.st_ino, about.st_size, about.st_mtime_ns)

    def check(self) -> None:
        """Refuses to go on with a file that isn't what it was. One that is gone is still mapped as it was.

        Raises:
            DatasetError: naming the file, and what is another.
        """
        try:
            about = os.stat(self.path)
        except OSError:
            return
        if (about.st_ino, about.st_size, about.st_mtime_ns) != self[1:]:
            self._refuse(about)

    def check_same(self) -> None:
        """The same for another process, or machine, that opens the file: inodes may differ between machines.

        Raises:
            DatasetError: naming the file, and what is another.
        """
        about = os.stat(self.path)
        if (about.st_size, about.st_mtime_ns) != self[2:]:
            self._refuse(about)

    def _refuse(self, about: os.stat_result) -> None:
        if about.st_ino != self.inode:
            what = "was replaced by another file"
        elif about.st_size < self.size:
            what = f"was cut short: got {about.st_size:,} bytes, expected {self.size:,}"
        else:
            what = "was changed"
        raise DatasetError(
            f"{self.path}: {what}, since it was opened. Open the dataset again, and make anew what was fitted or "
            "stored from it."
        )


class FileWatch:
    """Marks that are looked at again before rows are read."""

    def __init__(self, marks: Iterable[FileStamp]) -> None:
        self._marks = tuple(dict.fromkeys(marks))
        self._next = 0.0

    @property
    def watches(self) -> bool:
        """Whether there are any files."""
        return bool(self._marks)

    def check(self) -> None:
        """Refuses to go on when one of the files has changed; a look a moment ago is enough.

        Raises:
            DatasetError: naming the file.
        """
        started = time.monotonic()
        if started < self._next and not _lost:
            return
        for mark in self._marks:
            mark.check()
        if len(self._marks) <= _FEW:
            self._next = started + _PAUSE_S * len(self._marks)
        else:
            self._next = time.monotonic() + _SHARE * (time.monotonic() - started)


def stamps_of(dataset: Any) -> list[FileStamp]:
    """The marks of a vaex dataset's files: from when they were opened, or of now where vaex itself opened them."""
    found: list[FileStamp] = []
    stack = [dataset]
    while stack:
        one = stack.pop()
        mark, path = getattr(one, "mark", None), getattr(one, "path", None)
        if isinstance(mark, FileStamp):
            found.append(mark)
        elif isinstance(path, str) and os.path.isfile(path):
            found.append(FileStamp.of(path))
        stack += [getattr(one, name) for name in ("original", "left", "right") if hasattr(one, name)]
        stack += list(getattr(one, "datasets", ()))
    return found

"""The folder of what was computed once and can be again: row indexes, columns of the past, explorations, stores."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DRAFT = re.compile(r"[a-z]+-[0-9a-f]{32}\.\w+\.[0-9a-f]{16}\.draft")  # the folder may hold others' files
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def cache_folder() -> Path:
    """$VAXSEQ_CACHE, else $XDG_CACHE_HOME/vaxseq, else ~/.cache/vaxseq."""
    if named := os.environ.get("VAXSEQ_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaxseq"


@contextmanager
def draft_of(file: Path) -> Iterator[Path]:
    """A file to write, which takes the name ``file`` when the block ends, and goes when it fails.

    Drafts that killed processes have left beside it are removed: nobody holds their locks.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    for path in file.parent.iterdir():
        if _DRAFT.fullmatch(path.name):
            with suppress(FileNotFoundError, PermissionError):
                _remove_unless_held(path)
    draft, lock = _new_draft(file)
    try:
        yield draft
        os.replace(draft, file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(lock)


def _new_draft(file: Path) -> tuple[Path, int]:
    while True:
        draft = file.with_name(f"{file.name}.{os.urandom(8).hex()}.draft")
        handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        _lock(handle, fcntl.LOCK_EX)
        if draft.exists():  # nobody took it for a left one before it was locked
            return draft, handle
        os.close(handle)


def _remove_unless_held(draft: Path) -> None:
    handle = os.open(draft, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
            draft.unlink()
    finally:
        os.close(handle)


def _lock(handle: int, how: int) -> bool:
    """Whether the file is ours alone now; never where the file system has no locks."""
    try:
        fcntl.flock(handle, how)
    except OSError as error:
        if error.errno not in (*_NO_LOCKS, errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True

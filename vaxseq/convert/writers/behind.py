"""Writing to the disk while the next rows are read, so that the sync at a file's end finds little left to wait for."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

_STEP = 16 << 20


class WriteBehind:
    """Syncs one growing file from a thread. It promises nothing: a sync at the end says when all is durable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None
        self._waiting_bytes = 0

    def grew(self, size_bytes: int) -> None:
        """So many bytes more were written. Raises what an earlier sync met, such as a full disk."""
        self._waiting_bytes += size_bytes
        if self._waiting_bytes < _STEP or (self._last is not None and not self._last.done()):
            return
        if self._last is not None:
            self._last.result()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="vaxseq-write-behind")
        self._waiting_bytes = 0
        self._last = self._pool.submit(_sync, self._path)

    def close(self) -> None:
        """Ends the thread."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)  # of its own, so that an error is told to the writer's handle as well
    try:
        os.fdatasync(handle)
    finally:
        os.close(handle)

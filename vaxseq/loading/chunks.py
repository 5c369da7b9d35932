"""Consecutive batches that are loaded at once, and the order in which threads come to an epoch's rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")


class Chunk(Generic[Made]):
    """Consecutive batches, loaded or being loaded; each is handed out once, so that nobody shares its memory."""

    def __init__(self, future: Future[Any] | None, load: Callable[[], dict[tuple[int, int], Made]] | None) -> None:
        self._future, self._read = future, load
        self._lock = threading.Lock()
        self._batches: dict[tuple[int, int], Made] | None = None

    def take(self) -> dict[tuple[int, int], Made]:
        with self._lock:
            if self._batches is None:
                self._batches = self._future.result() if self._future else self._read()  # type: ignore[misc]
                self._future = self._read = None
            return self._batches


class Turn:
    """Lets threads at an epoch's rows in the order in which their chunks were asked for."""

    def __init__(self, before: Turn | None) -> None:
        self._before: threading.Event | None = None if before is None else before._done
        self._done: threading.Event = threading.Event()

    def __enter__(self) -> None:
        if self._before is not None:
            self._before.wait()

    def __exit__(self, *_: object) -> None:
        self._done.set()

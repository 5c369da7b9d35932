"""An iterator whose next things are made in a thread of their own, a few before they're asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def ahead(source: Iterator[T], count: int) -> Iterator[T]:
    """The same things in the same order; at most ``count`` are made that weren't asked for.

    The thread begins with the first of them, and has ended when the iterator is at its end or closed. An error of the
    source comes in its turn.
    """
    room = threading.Semaphore(count)
    made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    closed = threading.Event()

    def work() -> None:
        while True:
            room.acquire()
            if closed.is_set():
                return
            try:
                one: Any = next(source, _END)
            except BaseException as error:  # noqa: BLE001 - whoever asks for the next thing gets it
                made.put((_END, error))
                return
            made.put((one, None))
            if one is _END:
                return
            del one  # or the thread would hold it while it waits for room

    worker = threading.Thread(target=work, daemon=True, name="vaxseq-device")
    worker.start()
    try:
        while True:
            one, error = made.get()
            if error is not None:
                raise error
            if one is _END:
                return
            room.release()
            yield one
            del one
    finally:
        closed.set()
        room.release()
        if threading.current_thread() is not worker:  # who collects garbage may be any thread
            worker.join()

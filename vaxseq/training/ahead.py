"""An iterator whose next things are made in a thread of their own, a few before they're asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def ahead(source: Iterator[T], count: int) -> Iterator[T]:
    """The same things in the same order; at most ``count`` are made that weren't asked for.

    The thread begins with the first of them, and has ended when the iterator is at its end or closed. It holds the
    source only while it makes something: an iterator that is forgotten in a circle of objects is collected, and the
    thread ends with it. An error of the source comes in its turn.
    """
    worker: list[int] = []

    def make() -> Any:
        worker[:] = [threading.get_ident()]
        return next(source, _END)

    pool = ThreadPoolExecutor(1, thread_name_prefix="vaxseq-device")
    coming: deque[Future[Any]] = deque(pool.submit(make) for _ in range(count))
    try:
        while True:
            coming.append(pool.submit(make))
            one = coming.popleft().result()
            if one is _END:
                return
            yield one
            del one
    finally:
        pool.shutdown(wait=threading.get_ident() not in worker, cancel_futures=True)  # any thread may collect garbage

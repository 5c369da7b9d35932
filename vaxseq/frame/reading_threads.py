"""A thread pool for reads: storage is quickest when it is asked for several things at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

Found = TypeVar("Found")

_THREADS = 4  # each may ask for many pieces at once

_pools: dict[int, ThreadPoolExecutor] = {}  # by process: a fork leaves its parent's threads behind


def at_once(jobs: Iterable[Callable[[], Found]]) -> list[Found]:
    """What the jobs return, in their order; the error of one that fails. A job asks for no others.

    Each thread takes one job after the other: to be woken for each of them costs more than a read.
    """
    waiting = list(jobs)
    found: list[Any] = [None] * len(waiting)
    numbers = count()

    def work() -> None:
        while (number := next(numbers)) < len(waiting):  # one step of the interpreter, so each goes to one thread
            found[number] = waiting[number]()

    pool = _pools.get(os.getpid())
    if pool is None:
        pool = _pools.setdefault(os.getpid(), ThreadPoolExecutor(_THREADS, thread_name_prefix="vaxseq-storage"))
    others = [pool.submit(work) for _ in range(min(_THREADS, len(waiting)) - 1)]
    try:
        work()
    finally:
        for one in others:
            one.exception()
    for one in others:
        one.result()
    return found

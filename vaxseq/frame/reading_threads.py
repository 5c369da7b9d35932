"""Threads that wait for storage: it is quickest when it is asked for several things at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Found = TypeVar("Found")

_THREADS = 4

_pools: dict[int, ThreadPoolExecutor] = {}  # by process: a fork leaves its parent's threads behind


def at_once(jobs: Iterable[Callable[[], Found]]) -> list[Found]:
    """What the jobs return, in their order; the error of the first one that fails. A job asks for no others."""
    pool = _pools.get(os.getpid())
    if pool is None:
        pool = _pools.setdefault(os.getpid(), ThreadPoolExecutor(_THREADS, thread_name_prefix="vaxseq-storage"))
    return list(pool.map(lambda job: job(), jobs))

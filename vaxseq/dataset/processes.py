"""Processes that read or compute for this one: they end when it does, however it ends, and leave Ctrl-C to it.

How many there are is said by VAXSEQ_WORKERS, which is read here and nowhere else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from vaxseq.errors import OptionError

_VARIABLE = "VAXSEQ_WORKERS"
_watched = threading.Event()


def workers_asked() -> int:
    """The local processes that share a job where the call names none: $VAXSEQ_WORKERS, else 1.

    Raises:
        OptionError: it isn't a whole number from 1.
    """
    told = os.environ.get(_VARIABLE) or "1"
    if not told.isascii() or not told.isdigit() or int(told) < 1:
        raise OptionError(f"{_VARIABLE}: got {told!r}, expected a whole number from 1.")
    return int(told)


@contextmanager
def with_workers(executor: Executor | None, *, worth: bool = True) -> Iterator[Executor | None]:
    """Who shares a job: the executor, else as many local processes as VAXSEQ_WORKERS asks for, else None.

    ``worth``: whether local processes can help, who have no part of this one's memory.
    """
    workers = workers_asked() if executor is None and worth else 1
    if workers == 1:
        yield executor
        return
    pool = WorkerPool(workers)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class WorkerPool(ProcessPoolExecutor):
    """Local processes, spawned: a fork of a process with threads may hang."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As every executor does. A process that this starts is deaf to Ctrl-C from its first moment on."""
        with _no_interrupt():
            return super().submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As every executor does. After Ctrl-C nobody waits for work that is begun; another one is held back meanwhile.

        Arrow repeats one that it met, and in the middle that would leave processes that are told nothing, and are
        waited for at the end.
        """
        with _no_interrupt():
            if isinstance(sys.exc_info()[1], KeyboardInterrupt):
                for process in list((self._processes or {}).values()):
                    process.terminate()
            super().shutdown(wait, cancel_futures=cancel_futures)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Holds Ctrl-C back; what is started meanwhile inherits that, and this process gets it a moment later.

    The system gives it to any thread that doesn't block it, and Python then interrupts the main one wherever that is,
    so it is held back there as well: a pool that has half started a process would wait for it for ever.
    """
    held: list[int] = []
    usual = signal.getsignal(signal.SIGINT)
    here = usual is not None and threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if here:
        signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        if here:
            signal.signal(signal.SIGINT, usual)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if held:
            signal.raise_signal(signal.SIGINT)


def end_with_parent() -> None:
    """In a process of a pool: ends it when its parent is gone. Nothing else would: it would wait for work for ever.

    Elsewhere it does nothing, and neither does a second call.
    """
    parent = multiprocessing.parent_process()
    if parent is None or _watched.is_set():
        return
    _watched.set()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="vaxseq-parent").start()

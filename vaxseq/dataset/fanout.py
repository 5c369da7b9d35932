"""Work shared with an executor: results in the order of the calls, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

from vaxseq.errors import OptionError, SourceError

K = TypeVar("K")
T = TypeVar("T")
_UNKNOWN_WORKERS = 8


def workers_of(executor: Executor) -> int:
    """How many calls it runs at once; a guess where it doesn't say."""
    return getattr(executor, "_max_workers", None) or _UNKNOWN_WORKERS


def check_executor(executor: Any) -> None:
    """Looks at what is asked for work later on.

    Raises:
        OptionError: it is no executor.
    """
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise OptionError(f"executor: got {executor!r}, expected a concurrent.futures.Executor")


@contextmanager
def submitted(
    executor: Executor, calls: Iterable[tuple[K, tuple[Any, ...]]], *, most: int | None = None
) -> Iterator[Iterator[tuple[K, Future[Any]]]]:
    """The calls' futures in their order; the next call is asked for when a future was taken. What is left is cancelled.

    Args:
        executor: where they run.
        calls: each with what it is known by: (key, (function, argument, ...)).
        most: how many are under way at once, which bounds the memory; by default two more than there are workers.
    """
    waiting: deque[tuple[K, Future[Any]]] = deque()
    rest = iter(calls)

    def futures() -> Iterator[tuple[K, Future[Any]]]:
        room = workers_of(executor) + 2 if most is None else most
        while True:
            while len(waiting) < room and (one := next(rest, None)) is not None:
                waiting.append((one[0], _begun(executor, *one[1])))
            if not waiting:
                return
            yield waiting.popleft()

    try:
        yield futures()
    finally:
        for _, future in waiting:
            future.cancel()


def _begun(executor: Executor, function: Callable[..., T], *arguments: Any) -> Future[T]:
    try:
        return executor.submit(function, *arguments)
    except BrokenExecutor:
        raise
    except RuntimeError as error:
        raise OptionError(f"executor: it takes no work ({error}). Keep it open until the work is done.") from error


def in_turn(
    executor: Executor, function: Callable[..., T], calls: Iterable[tuple[Any, ...]], *, where: str
) -> Iterator[T]:
    """``function`` of each tuple of arguments, in their order.

    Raises:
        SourceError: a worker died; ``where`` begins the message.
    """
    try:
        with submitted(executor, ((None, (function, *arguments)) for arguments in calls)) as futures:
            for _, future in futures:
                yield future.result()
    except BrokenExecutor as error:
        remedy = "It may have run out of memory: use fewer workers"
        raise SourceError(f"{where}: a worker process ended while it read ({error}). {remedy}") from error

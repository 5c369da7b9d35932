"""Work on a frame shared with an executor: results in the order of the calls, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, TypeVar

from vaxseq.errors import SourceError

T = TypeVar("T")
_UNKNOWN_WORKERS = 8


def workers_of(executor: Executor) -> int:
    """How many calls it runs at once; a guess where it doesn't say."""
    return getattr(executor, "_max_workers", None) or _UNKNOWN_WORKERS


def in_turn(
    executor: Executor, function: Callable[..., T], calls: Iterable[tuple[Any, ...]], *, where: str
) -> Iterator[T]:
    """``function`` of each tuple of arguments, in their order; a few more are under way than there are workers.

    Raises:
        SourceError: a worker died; ``where`` begins the message.
    """
    waiting: deque[Future[T]] = deque()
    most = workers_of(executor) + 2
    rest = iter(calls)
    try:
        while True:
            while len(waiting) < most and (arguments := next(rest, None)) is not None:
                waiting.append(executor.submit(function, *arguments))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenExecutor as error:
        remedy = "It may have run out of memory: use fewer workers"
        raise SourceError(f"{where}: a worker process ended while it read ({error}). {remedy}") from error
    finally:
        for future in waiting:
            future.cancel()

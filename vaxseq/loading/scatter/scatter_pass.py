"""One pass over the source: every row that will be served goes to the bucket of its place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vaxseq.errors import ScratchError
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.row_unit import RowUnit
from vaxseq.loading.scatter.buckets import Buckets
from vaxseq.loading.scatter.draws import Draws
from vaxseq.loading.scatter.sharing import Sharing
from vaxseq.loading.scatter.source import THREADS, ItemSource
from vaxseq.plan.inverse_order import InverseOrder

Ids = npt.NDArray[np.int64]
Put = Callable[[Arrays], int]
Step = Callable[[], tuple[Ids, Put]]  # the items of a chunk that are wanted, and what puts their rows away


def scatter(
    source: ItemSource, places: InverseOrder, epoch: int, start: int, buckets: Buckets, folder: Path, chunk_rows: int,
    advance: Callable[[int], None], sharing: Sharing | None = None,
) -> None:  # fmt: skip
    """Fill ``buckets`` with the rows of places ``start`` and on; ``advance`` is told rows of the source as they go.

    Raises:
        ScratchError: the disk is full.
        SourceError: one of those with whom the reading is shared died.
        MissingValueError, OSError: as the reader says.
    """
    stop = start + buckets.rows
    if places.plan.resampling is None:
        steps = _by_formula(source, places, epoch, (start, stop), buckets, chunk_rows)
    else:
        draws = Draws(places, source.index.n, epoch, start, stop, folder)
        steps = _by_draws(source, draws, buckets, chunk_rows)
    for rows in _here(source, steps) if sharing is None else _shared(source, steps, sharing, chunk_rows):
        advance(rows)
        if not threading.main_thread().is_alive():  # the program ends: nobody waits for this epoch any more
            raise ScratchError("scratch: the program ended while an epoch was scattered")


def _here(source: ItemSource, steps: Iterator[Step]) -> Iterator[int]:
    def do(step: Step) -> int:
        wanted, put = step()
        return put(source.read(wanted))

    with ThreadPoolExecutor(THREADS, thread_name_prefix="vaxseq-scatter") as pool:
        waiting: list[Future[int]] = []
        try:
            for step in steps:
                waiting.append(pool.submit(do, step))
                if len(waiting) > THREADS:
                    yield waiting.pop(0).result()
            for one in waiting:
                yield one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _shared(source: ItemSource, steps: Iterator[Step], sharing: Sharing, chunk_rows: int) -> Iterator[int]:
    """Rows are put away in the order in which they were asked for, by this thread."""

    def units() -> Iterator[tuple[Put, RowUnit]]:
        for step in steps:
            wanted, put = step()
            if len(wanted):
                yield put, source.unit(wanted)

    for put, arrays in sharing.read(source.reader, units(), chunk_rows):
        yield put(arrays)


def _by_formula(
    source: ItemSource, places: InverseOrder, epoch: int, span: tuple[int, int], buckets: Buckets, chunk_rows: int
) -> Iterator[Step]:
    start, stop = span
    whole = places.whole and (start, stop) == (0, places.count)

    def step(low: int, high: int) -> tuple[Ids, Put]:
        items = source.items(low, high)
        kept, found = places.of(epoch, items)
        if not whole:
            inside = np.flatnonzero((found >= start) & (found < stop))
            kept, found = inside if kept is None else kept[inside], found[inside] - start

        def put(arrays: Arrays) -> int:
            buckets.scatter(arrays, found)
            return high - low

        return items if kept is None else items[kept], put

    for low, high in source.chunks(chunk_rows):
        yield lambda low=low, high=high: step(low, high)  # type: ignore[misc]


def _by_draws(source: ItemSource, draws: Draws, buckets: Buckets, chunk_rows: int) -> Iterator[Step]:
    by_item = source.index.ascending

    def step(items: Ids, places: Ids) -> tuple[Ids, Put]:
        once, which = np.unique(items, return_inverse=True)
        if not by_item:
            order = np.argsort(source.index.select(once), kind="stable")
            once, which = once[order], np.argsort(order)[which]

        def put(arrays: Arrays) -> int:
            buckets.scatter(arrays, places, [which] * len(arrays))
            return len(items)

        return once, put

    for items, places in draws:
        for low in range(0, len(items), chunk_rows):
            part = slice(low, low + chunk_rows)
            yield lambda items=items[part], places=places[part]: step(items, places)  # type: ignore[misc]

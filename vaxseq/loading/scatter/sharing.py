"""A scatter shared with an executor: its workers read and compute, this process puts rows in their buckets."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

from vaxseq.dataset.fanout import submitted, workers_of
from vaxseq.dataset.memory_limit import memory_room
from vaxseq.dataset.processes import end_with_parent
from vaxseq.errors import SourceError
from vaxseq.loading.readers.frame import Arrays
from vaxseq.loading.row_unit import RowUnit
from vaxseq.loading.scatter.source import ItemReader
from vaxseq.loading.windows import WindowReader
from vaxseq.plan.window import WindowIndex

T = TypeVar("T")

_SHARE = 1 / 16  # of the memory that may hold what workers have read
_UNTOLD_BYTES = 1 << 30


class OpensReader(Protocol):
    """A small picklable description of a reader."""

    def open(self) -> ItemReader: ...


@dataclass(frozen=True)
class Sharing:
    """Who reads, and what they are to open, which is asked for when a pass begins."""

    executor: Executor
    spec: Callable[[], OpensReader]

    def read(
        self, reader: ItemReader, units: Iterable[tuple[T, RowUnit]], chunk_rows: int
    ) -> Iterator[tuple[T, Arrays]]:
        """Each unit's arrays, with what it is known by, in order. A bounded number of them is under way.

        Raises:
            SourceError: a worker died.
            MissingValueError, OSError: as the reader says.
        """
        description = pickle.dumps(self.spec())
        chunks = int((memory_room() or _UNTOLD_BYTES) * _SHARE) // max(1, chunk_rows * reader.row_bytes())
        most = max(2, min(chunks, workers_of(self.executor) + 2))
        calls = ((key, (_read, description, *_elsewhere(reader, unit))) for key, unit in units)
        try:
            with submitted(self.executor, calls, most=most) as futures:
                for key, future in futures:
                    yield key, future.result()
        except BrokenExecutor as error:
            raise SourceError(
                f"scatter: a worker process ended while it read ({error}). It may have run out of memory: use fewer "
                "workers, and make the Sequence anew with an executor that works."
            ) from error


def _elsewhere(reader: ItemReader, unit: RowUnit) -> tuple[RowUnit, WindowIndex | None]:
    """A unit as another process can read it: windows with where they are, numbered from the unit's first."""
    if not isinstance(reader, WindowReader):
        return unit, None
    numbers = unit.row_ids()
    low, high = int(numbers.min()), int(numbers.max()) + 1
    return RowUnit.of(numbers - low), reader.index.part(low, high)


def _read(description: bytes, unit: RowUnit, windows: WindowIndex | None) -> Arrays:
    """What a worker does."""
    end_with_parent()
    reader = _opened(description)
    if windows is not None:
        assert isinstance(reader, WindowReader)
        reader = reader.over(windows)
    return unit.read(reader)


@lru_cache(maxsize=2)
def _opened(description: bytes) -> ItemReader:
    spec: OpensReader = pickle.loads(description)  # noqa: S301 - made by this Sequence, for its own workers
    return spec.open()

"""Units read by an executor's workers; the results come back in order, a bounded number ahead."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from vaxseq.convert.readers import readers
from vaxseq.convert.readers.base import Unit
from vaxseq.convert.rejects import Reject
from vaxseq.convert.unit_reader import FinishedPiece, Job, UnitReader
from vaxseq.dataset.processes import WorkerPool, end_with_parent
from vaxseq.errors import SourceError

_AHEAD = 4  # units that may wait for their turn


@contextmanager
def process_pool(workers: int) -> Iterator[Executor]:
    """Local processes beside this one."""
    pool = WorkerPool(workers - 1)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def warm() -> None:
    """Runs in a worker: what it needs is imported before the first unit comes."""
    readers()


@contextmanager
def explained_pool(where: str) -> Iterator[None]:
    """Workers that ended by themselves as one clear error.

    Raises:
        SourceError: with the usual causes.
    """
    try:
        yield
    except BrokenExecutor as error:
        raise SourceError(
            f"{where}: a worker process ended while it read ({error}). A script that calls convert(workers=...) "
            "must do so "
            "under `if __name__ == '__main__':`; else memory may have run out: take fewer workers. Run it again to "
            "go on."
        ) from error


def read_unit(job: Job, unit: Unit, number: int, types: Mapping[str, pa.DataType], folder: str) -> list[str]:
    """Runs in a worker: writes the unit's finished pieces as files and returns their paths."""
    end_with_parent()
    reader = UnitReader(job)
    paths = []
    try:
        for finished in reader.read(unit, types):
            path = os.path.join(folder, f"unit-{number:06d}-{finished.number:06d}.arrow")
            note = {
                "rejects": [asdict(one) for one in finished.rejects],
                "dropped": finished.dropped,
                "number": finished.number,
            }
            schema = finished.table.schema.with_metadata({b"note": json.dumps(note).encode()})
            table = finished.table.unify_dictionaries().combine_chunks()  # so that nobody copies it once more
            draft = f"{path}.{os.getpid()}.partial"  # a cluster may run a unit twice: never write into what is mapped
            with pa.OSFile(draft, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                writer.write_table(table)
            os.replace(draft, path)
            paths.append(path)
    finally:
        reader.close()
    return paths


@dataclass(slots=True)
class _Waiting:
    """A unit whose turn comes: a worker's, or read here."""

    number: int
    unit: Unit
    future: Future[list[str]] | None = None
    here: list[FinishedPiece] | None = None

    @property
    def ready(self) -> bool:
        """Whether nobody has to wait for it."""
        return self.future is None or self.future.done()


def in_order(
    pool: Executor, job: Job, units: Iterable[tuple[int, Unit]], types: Mapping[str, pa.DataType], work: Path, *,
    helps: bool,
) -> Iterator[tuple[tuple[int, int], FinishedPiece, tuple[int, int]]]:  # fmt: skip
    """(key, finished piece, key after it) in order, whichever worker was first; ``helps``: this process reads too."""
    if (work / "units").exists():  # of a run that was killed; a cluster's worker may still be writing there
        shutil.rmtree(work / "units", ignore_errors=True)
    # a name of its own, so that no run takes files, or a cluster's remembered result, for another's
    folder = work / "units" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    workers = getattr(pool, "_max_workers", None) or 4
    width = _AHEAD + workers
    # A local worker has one unit to read and one to go on with, and this process takes the others. None is called
    # back: when a process ends, Python 3.11's pool stumbles over cancelled units and never tells of the rest.
    most = 2 * workers if helps else width
    waiting: deque[_Waiting] = deque()
    rest = iter(units)
    here = UnitReader(job)

    def ask(number: int, unit: Unit) -> None:
        future = pool.submit(read_unit, job, unit, number, dict(types), str(folder.absolute()))
        waiting.append(_Waiting(number, unit, future))

    try:
        while True:
            while len(waiting) < width and sum(not one.ready for one in waiting) < most:
                if (found := next(rest, None)) is None:
                    break
                ask(*found)
            if not waiting:
                return
            if helps and not waiting[0].ready and len(waiting) < width and (found := next(rest, None)) is not None:
                number, unit = found
                if unit.stop < 0:  # of unknown length, so it may not fit into memory
                    ask(number, unit)
                else:
                    waiting.append(_Waiting(number, unit, None, list(here.read(unit, types))))
                continue
            head = waiting.popleft()
            pieces = iter(head.here or ()) if head.future is None else _loaded(head.future.result(), head.unit)
            yield from keyed(head.number, pieces)
    finally:
        here.close()
        for one in waiting:
            if one.future is not None and not helps:
                one.future.cancel()


def keyed(
    number: int, pieces: Iterable[FinishedPiece]
) -> Iterator[tuple[tuple[int, int], FinishedPiece, tuple[int, int]]]:
    """A unit's pieces, each with its key and the key after it."""
    last: FinishedPiece | None = None
    for finished in pieces:
        if last is not None:
            yield (number, last.number), last, (number, last.number + 1)
        last = finished
    if last is not None:
        yield (number, last.number), last, (number + 1, 0)


def _loaded(paths: list[str], unit: Unit) -> Iterator[FinishedPiece]:
    for path in paths:
        yield _load(path, unit)
        os.unlink(path)  # the map lives on until its last buffer is gone


def _load(path: str, unit: Unit) -> FinishedPiece:
    with pa.memory_map(path) as source:
        table = pa.ipc.open_file(source).read_all()
    note = json.loads((table.schema.metadata or {})[b"note"])
    table = table.replace_schema_metadata(None)
    return FinishedPiece(unit, note["number"], table, [Reject(**one) for one in note["rejects"]], note["dropped"])

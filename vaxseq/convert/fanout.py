"""Units read by an executor's workers; the results come back in order, a bounded number ahead."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from vaxseq.convert.piece import Finished, Job, Reject, UnitReader
from vaxseq.convert.readers.base import Unit

_AHEAD = 4  # units that may wait for their turn


@contextmanager
def process_pool(workers: int) -> Iterator[Executor]:
    """Local processes. They are spawned: a fork of a process with threads may hang."""
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def read_unit(job: Job, unit: Unit, number: int, types: Mapping[str, pa.DataType], skip: int, folder: str) -> list[str]:
    """Runs in a worker: writes the unit's finished pieces as files and returns their paths."""
    reader = UnitReader(job)
    paths = []
    try:
        for finished in reader.read(unit, types, skip):
            path = os.path.join(folder, f"unit-{number:06d}-{finished.number:06d}.arrow")
            note = {
                "rejects": [asdict(one) for one in finished.rejects],
                "dropped": finished.dropped,
                "number": finished.number,
            }
            schema = finished.table.schema.with_metadata({b"note": json.dumps(note).encode()})
            table = finished.table.unify_dictionaries()
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                writer.write_table(table)
            paths.append(path)
    finally:
        reader.close()
    return paths


def in_order(
    pool: Executor,
    job: Job,
    units: Iterable[tuple[int, Unit]],
    types: Mapping[str, pa.DataType],
    work: Path,
    start: tuple[int, int],
) -> Iterator[tuple[tuple[int, int], Finished, tuple[int, int]]]:
    """(key, finished piece, key after it) in order, whichever worker was first."""
    folder = work / "units"
    folder.mkdir(exist_ok=True)
    for stray in folder.iterdir():  # of a run that was killed
        stray.unlink()
    waiting: deque[tuple[int, Unit, Future[list[str]]]] = deque()
    width = _AHEAD + (getattr(pool, "_max_workers", None) or 4)
    rest = iter(units)
    try:
        while True:
            while len(waiting) < width and (found := next(rest, None)) is not None:
                number, unit = found
                skip = start[1] if number == start[0] else 0
                waiting.append(
                    (number, unit, pool.submit(read_unit, job, unit, number, dict(types), skip, str(folder.absolute())))
                )
            if not waiting:
                return
            number, unit, future = waiting.popleft()
            paths = future.result()
            for index, path in enumerate(paths):
                finished = _load(path, unit)
                after = (number, finished.number + 1) if index < len(paths) - 1 else (number + 1, 0)
                yield (number, finished.number), finished, after
                os.unlink(path)  # the map lives on until its last buffer is gone
    finally:
        for _, _, future in waiting:
            future.cancel()


def _load(path: str, unit: Unit) -> Finished:
    with pa.memory_map(path) as source:
        table = pa.ipc.open_file(source).read_all()
    note = json.loads((table.schema.metadata or {})[b"note"])
    table = table.replace_schema_metadata(None)
    return Finished(unit, note["number"], table, [Reject(**one) for one in note["rejects"]], note["dropped"])

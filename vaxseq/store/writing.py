"""Write a store's rows: by units of rows, in any process, and, for a shuffled store, through buckets."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.processes import end_with_parent
from vaxseq.loading.query_spec import QuerySpec
from vaxseq.loading.readers.frame import Arrays, FrameReader, take_rows
from vaxseq.loading.row_unit import RowUnit
from vaxseq.plan.shuffle import order
from vaxseq.store.file import Place, read

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Job:
    """What a writing process needs: what to open and compute, where to write."""

    spec: QuerySpec
    rows: int
    target: str
    bucketed: str | None
    shuffle_seed: int | None
    bucket_rows: int


def write_unit(description: bytes, first: int, rows: RowUnit, offsets: npt.NDArray[np.int64] | None) -> int:
    """Compute the selected rows first, first + 1, ... and write them: in place, or behind each other in their buckets.

    ``offsets`` are, for a shuffled store, the store rows at which this unit's rows of each bucket begin.
    """
    end_with_parent()
    job, reader = _opened(description)
    ids = rows.row_ids()
    arrays = rows.read(reader)
    if job.bucketed is None or offsets is None or job.shuffle_seed is None:
        _write(job.target, [*arrays, ids], first)
        return len(ids)
    destination = order(job.rows, job.shuffle_seed, 0, first, first + len(ids))
    bucket = destination // job.bucket_rows
    by_bucket = np.argsort(bucket, kind="stable")
    sorted_arrays = [take_rows(array, by_bucket) for array in [*arrays, ids, destination]]
    ends = np.cumsum(np.bincount(bucket, minlength=len(offsets)))
    for number, end in enumerate(ends.tolist()):
        begin = int(ends[number - 1]) if number else 0
        if end > begin:
            _write(job.bucketed, [array[begin:end] for array in sorted_arrays], int(offsets[number]))
    return len(ids)


def settle_bucket(description: bytes, number: int) -> int:
    """Put the rows of one bucket into their final order."""
    end_with_parent()
    job = _job(description)
    if job.bucketed is None:
        return 0
    start, stop = number * job.bucket_rows, min((number + 1) * job.bucket_rows, job.rows)
    *arrays, ids, destination = _read(job.bucketed, start, stop)
    place = np.empty(stop - start, dtype=np.int64)
    place[destination.astype(np.int64) - start] = np.arange(stop - start)
    _write(job.target, [take_rows(array, place) for array in [*arrays, ids]], start)
    return stop - start


def describe(job: Job) -> bytes:
    """The job for other processes."""
    return pickle.dumps(job)


@lru_cache(maxsize=2)
def _job(description: bytes) -> Job:
    job: Job = pickle.loads(description)  # noqa: S301 - made by this run, for its own workers
    return job


@lru_cache(maxsize=2)
def _opened(description: bytes) -> tuple[Job, FrameReader]:
    job = _job(description)
    return job, job.spec.reader()


@lru_cache(maxsize=4)
def _places(path: str, inode: int) -> tuple[Place, ...]:
    del inode  # tells a file from another one that had its name
    stored = read(path)
    return (*stored.places, stored.row_id)


def _write(path: str, arrays: list[npt.NDArray[Any]], first: int) -> None:
    places = _places(path, Path(path).stat().st_ino)
    with open(path, "r+b", buffering=0) as file:
        for place, array in zip(places, arrays, strict=True):
            data = np.ascontiguousarray(array, place.dtype).reshape(-1).view(np.uint8).data
            at = place.offset + first * place.row_bytes
            while data:  # a write may take less than it is given
                done = os.pwrite(file.fileno(), data, at)
                data, at = data[done:], at + done


def _read(path: str, start: int, stop: int) -> Arrays:
    places = _places(path, Path(path).stat().st_ino)
    return [
        np.fromfile(path, place.dtype, (stop - start) * (place.row_bytes // place.dtype.itemsize),
                    offset=place.offset + start * place.row_bytes).reshape(stop - start, *place.shape[1:])
        for place in places
    ]  # fmt: skip

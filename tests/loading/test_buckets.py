"""Buckets on the disk: every row comes back at its place, whatever its fields' widths, and space is used again."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.errors import ScratchError
from vaxseq.frame.pages import PAGE, PAST_CACHE
from vaxseq.loading.scatter import scratch_file
from vaxseq.loading.scatter.bucket import Bucket, BucketMemory
from vaxseq.loading.scatter.buckets import Buckets
from vaxseq.loading.scatter.epoch import EpochBuckets
from vaxseq.loading.scatter.piece_file import PieceFile
from vaxseq.loading.scatter.piece_layout import PieceLayout
from vaxseq.loading.scatter.piece_memory import PieceMemory

THREADS = 3
WIDTHS = st.lists(st.sampled_from([0, 1, 2, 3, 4, 8, 13, 80, 512, 513, 640, 2048, 5000]), min_size=1, max_size=4)


def made(folder: Path, rows: int, bucket_rows: int, widths: list[int], piece_bytes: int = PAGE) -> Buckets:
    layout = PieceLayout.of(widths, piece_bytes, bucket_rows)
    file = PieceFile(folder, layout.nbytes, layout.file_bytes(rows, bucket_rows))
    filling = PieceMemory.of(layout, -(-rows // bucket_rows), rows, THREADS)
    return Buckets(file, filling, BucketMemory(layout, bucket_rows), rows, bucket_rows)


def size(buckets: Buckets) -> int:
    file = buckets._file._file._file
    return os.fstat(file.fileno()).st_size


def read(bucket: Bucket, start: int, stop: int, widths: list[int]) -> list[np.ndarray]:
    out = [np.empty((stop - start, width), np.uint8) for width in widths]
    bucket.take(start, stop, out)
    return out


@given(WIDTHS, st.integers(1, 60_000), st.integers(1, 2000))
def test_pieces_are_pages_that_hold_their_fields(widths: list[int], piece_bytes: int, most_rows: int) -> None:
    layout = PieceLayout.of(widths, piece_bytes, most_rows)
    record = sum(widths) + 4
    assert layout.nbytes % PAGE == 0 and layout.rows >= 1
    assert layout.nbytes <= max(2 * piece_bytes, record) + PAGE, "a piece is much larger than it is to be"
    ends = [begin + layout.rows * width for begin, width in zip(layout.begins, layout.widths, strict=True)]
    assert all(end <= begin for end, begin in zip(ends, [*layout.begins[1:], layout.nbytes], strict=True))
    pieces = np.arange(3 * layout.nbytes, dtype=np.uint32).astype(np.uint8)
    for field, width in enumerate(layout.widths):
        if width and layout.countable[field]:
            laid = np.empty((3 * layout.rows, width), np.uint8)
            layout.lay(pieces, field, laid)
            counted = layout.items(pieces, field)[
                layout.numbers(np.arange(len(laid)), np.arange(len(laid)) // layout.rows, field)
            ]
            assert counted.tobytes() == laid.tobytes()


@given(
    widths=WIDTHS, rows=st.integers(1, 700), bucket_rows=st.integers(1, 300), piece_bytes=st.integers(1, 40_000),
    seed=st.integers(0, 9), picked=st.booleans(),
)  # fmt: skip
def test_each_row_comes_back_at_its_place(
    tmp_path_factory: pytest.TempPathFactory,
    widths: list[int], rows: int, bucket_rows: int, piece_bytes: int, seed: int, picked: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 255, (rows, width), np.uint8) for width in widths]
    places, expected = rng.permutation(rows), [np.empty_like(array) for array in arrays]
    for array, one in zip(arrays, expected, strict=True):
        one[places] = array
    buckets = made(tmp_path_factory.getbasetemp(), rows, bucket_rows, widths, piece_bytes)
    cuts = np.unique([0, rows, *rng.integers(0, rows, 4)])
    parts = [slice(low, high) for low, high in pairwise(cuts.tolist())]

    def scatter(part: slice) -> None:
        if picked:
            buckets.scatter(arrays, places[part], [np.arange(rows)[part]] * len(arrays))
        else:
            buckets.scatter([array[part] for array in arrays], places[part])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(scatter, parts))
    buckets.check()
    for number in range(buckets.count):
        bucket, first = buckets.load(number), number * bucket_rows
        middle = buckets.rows_of(number) // 2
        for start, stop in ((0, middle), (middle, buckets.rows_of(number))):
            for one, found in zip(expected, read(bucket, start, stop, widths), strict=True):
                np.testing.assert_array_equal(found, one[first + start : first + stop])


def test_buckets_that_lack_rows_or_get_too_many_are_refused(tmp_path: Path) -> None:
    buckets = made(tmp_path, 10, 4, [8])
    buckets.scatter([np.arange(9.0)], np.arange(9))
    with pytest.raises(ScratchError, match="9 rows were scattered, expected 10"):
        buckets.check()
    with pytest.raises(ScratchError, match="bucket 1 got too many rows"):
        buckets.scatter([np.arange(1.0)], np.array([5]))
    buckets.scatter([np.array([9.0])], np.array([9]))
    buckets.check()
    got = np.empty(2)
    buckets.load(2).take(0, 2, [got])
    assert got.tolist() == [8, 9]


def test_pieces_that_were_given_back_are_taken_again_and_no_more_than_there_are(tmp_path: Path) -> None:
    memory = made(tmp_path, 100, 50, [8])._filling
    first = memory.take(memory.count)
    assert sorted(first) == list(range(memory.count))
    with pytest.raises(ScratchError, match="pieces at once"):
        memory.take(1)
    memory.trim()
    memory.give_back(first[:2])
    assert memory.take(2).tolist() == first[:2].tolist(), "memory that was touched before is to be used first"
    memory.give_back(first)
    memory.trim()
    assert memory.take(1).tolist() == [0]


@pytest.mark.parametrize("how", ["freed", "forgotten"])
def test_space_that_is_given_back_is_used_again(how: str, tmp_path: Path) -> None:
    buckets, places = made(tmp_path, 5000, 1000, [80]), np.random.default_rng(0).permutation(5000)
    buckets.scatter([np.zeros((5000, 80), np.uint8)], places)
    used, file, filling, memory = size(buckets), buckets._file, buckets._filling, buckets._memory
    for fill in range(1, 4):
        if how == "freed":
            for number in range(buckets.count):
                buckets.free(number)
        buckets = Buckets(file, filling, memory, 5000, 1000)
        gc.collect()
        buckets.scatter([np.full((5000, 80), fill, np.uint8)], places)
        assert size(buckets) == used
        assert (read(buckets.load(3), 0, 1000, [80])[0] == fill).all()


def test_a_bucket_that_is_being_read_keeps_its_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = made(tmp_path, 100, 50, [8])
    buckets.scatter([np.arange(100.0)], np.arange(100))
    held = EpochBuckets(0, 0, buckets, passes_on=False)
    load, reading, go_on = Buckets.load, threading.Event(), threading.Event()

    def slow(*given: object) -> Bucket:
        reading.set()
        go_on.wait(30)
        return load(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(Buckets, "load", slow)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(held.load, 1)
        reading.wait(30)
        held.served(1, 50)
        other = Buckets(buckets._file, buckets._filling, buckets._memory, 50, 50)
        other.scatter([np.zeros(50)], np.arange(50))  # would take its space, were it free
        go_on.set()
        bucket = future.result()
    assert bucket is not None
    got = np.empty(50)
    bucket.take(0, 50, [got])
    assert got.tolist() == list(range(50, 100))
    assert held.load(1) is None


@pytest.mark.skipif(not PAST_CACHE, reason="no such reads and writes here")
def test_a_file_system_that_always_caches_serves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, refused = scratch_file.write_pieces, []

    def refuse(file: int, *given: object) -> None:
        import fcntl

        if fcntl.fcntl(file, fcntl.F_GETFL) & PAST_CACHE:
            refused.append(file)
            raise OSError(22, os.strerror(22))
        write(file, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(scratch_file, "write_pieces", refuse)
    buckets = made(tmp_path, 1000, 300, [8])
    buckets.scatter([np.arange(1000.0)], np.arange(1000))
    got = np.empty(300)
    buckets.load(1).take(0, 300, [got])
    assert got.tolist() == list(range(300, 600)) and len(refused) == 1

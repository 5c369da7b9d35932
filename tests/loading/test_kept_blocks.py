"""A block shuffle beyond memory keeps what it read: the same rows, each block read by columns once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vaxseq
from vaxseq.errors import ScratchError
from vaxseq.frame.pages import aligned_bytes
from vaxseq.loading.readers.frame import Arrays, FrameReader
from vaxseq.loading.scatter import kept_blocks, scratch_file
from vaxseq.loading.scatter.kept_blocks import KeptBlocks, kept_bytes
from vaxseq.plan.shuffle import Block, BlockOrder
from vaxseq.training.sequence import Sequence

Came = Callable[[Block, Arrays], None]

ROWS = 300_000  # 37 blocks in two buffers, the middle one short


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaxseq.training.sequence.block_items", lambda item_bytes: 8192)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.random(ROWS, np.float32), "b": rng.integers(-9, 9, ROWS), "c": np.arange(ROWS)})
    path = tmp_path_factory.mktemp("blocks") / "d.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=70_000)
    return str(path)


def make(path: str, **options: Any) -> Sequence:
    frame = vaxseq.open(path)
    frame["twice"] = frame.b * 2
    options = {"inputs": {"m": ["a", "b"], "v": ["twice"]}, "targets": "c", "batch_size": 1000} | options
    return Sequence(frame, shuffle="block", seed=3, **options)


def epochs(sequence: Sequence, count: int) -> list[np.ndarray]:
    batches = [sequence.batch(epoch, number) for epoch in range(count) for number in range(len(sequence))]
    return [np.asarray(array) for x, y in batches for array in (*x.values(), y)]


def little_memory(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("VAXSEQ_MEMORY", "1MB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(folder))


@pytest.mark.parametrize("options", [{}, {"where": "a < 0.5"}, {"rows": slice(100, None)}, {"read_ahead": 0}])
def test_rows_are_read_by_columns_once_and_the_same_as_in_memory(
    data: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = epochs(make(data, **options), 3)
    little_memory(monkeypatch, tmp_path)
    sequence, read = make(data, **options), []
    for name in ("read", "read_spans"):
        method = getattr(FrameReader, name)
        monkeypatch.setattr(FrameReader, name, lambda *given, method=method, **o: read.append(1) or method(*given, **o))
    found = epochs(sequence, 1)
    by_columns = len(read)
    found += epochs(sequence, 3)[len(found) :]
    assert by_columns, "the test doesn't see what is read"
    assert len(read) <= by_columns + 1, "a later epoch reads by columns again"  # a buffer of the next one, ahead
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.iterdir()), "the file has a name"


@pytest.mark.parametrize("options", [{}, {"scratch": None}])
def test_what_is_expected_in_turn_is_read_by_blocks_from_the_first_batch_on(
    data: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = epochs(make(data), 1)
    little_memory(monkeypatch, tmp_path)
    sequence = make(data, **options)
    sequence._epochs.whole.loader.expect(0, 0)
    monkeypatch.setattr(FrameReader, "gather", None)
    for one, other in zip(epochs(sequence, 1)[:30], expected, strict=False):
        np.testing.assert_array_equal(one, other)


def test_the_way_and_its_bytes_are_told(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    little_memory(monkeypatch, tmp_path)
    kept = make(data)
    size = kept_bytes(ROWS, 8192, kept._pipeline.items.reader.row_bytes())
    told = f"by blocks, read ahead, then from {size / 1e9:.2f} GB of scratch in {tmp_path}"
    assert kept.describe(seconds=0).way == told
    assert kept.describe(seconds=0).scratch_bytes == size
    for sequence in (make(data, scratch=None), make(data, shard=(0, 2))):
        assert sequence.describe(seconds=0).scratch_bytes == 0
    monkeypatch.setattr("vaxseq.loading.scatter.strategy.room", lambda folder: size - 1)
    assert make(data).describe(seconds=0).scratch_bytes == 0


@pytest.mark.parametrize("memory", ["1MB", None])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_rank_reads_its_blocks_and_gathers_no_row(
    data: str, count: int, memory: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(data, batch_size=500)
    expected = [whole.batch(1, number) for number in range(len(whole))]
    if memory is not None:
        little_memory(monkeypatch, tmp_path)
    gathered, gather = [], FrameReader.gather
    monkeypatch.setattr(
        FrameReader, "gather", lambda *given, **o: gathered.append(len(given[1])) or gather(*given, **o)
    )
    for rank in range(count):
        sequence = make(data, batch_size=500, shard=(rank, count), pad=True)
        for number in range(len(sequence)):
            step = number * count + rank
            x, y = sequence.batch(1, number)[:2]
            if step < len(expected):
                np.testing.assert_array_equal(x["m"], expected[step][0]["m"])
                np.testing.assert_array_equal(y, expected[step][1])
    if memory is not None:
        assert sum(gathered) < 20 * 500 * count, "but for the last batches, and those asked for before it is clear"
    elif count == 7:
        assert sum(gathered) > ROWS // 2, "few of a buffer's rows are wanted: memory is asked for those alone"


@pytest.mark.slow
@given(
    st.integers(1, 3000),
    st.integers(1, 20),
    st.integers(1, 9),
    st.integers(1, 5),
    st.sampled_from(["it can", "set", "move"]),
)
def test_a_block_is_read_once_and_kept_as_it_was(
    tmp_path_factory: Any, rows: int, blocks: int, buffer_blocks: int, together: int, refused: str
) -> None:
    block_rows = -(-rows // blocks)
    x, y = np.random.default_rng(0).random((rows, 3), np.float32), np.arange(rows)
    kept, read = KeptBlocks(tmp_path_factory.getbasetemp(), rows, block_rows, 12 + 8, together=together), []

    def by_columns(blocks: list[Block], places: list[Arrays], came: Came | None) -> None:
        for block, out in zip(blocks, places, strict=True):
            read.append(block.number)
            for array, source in zip(out, (x, y), strict=True):
                array[...] = source[block.start : block.stop]
            if came is not None:
                came(block, out)

    with pytest.MonkeyPatch.context() as patch:
        if refused != "it can":
            refuse_past_cache(patch, refused)
        for epoch in range(3):
            order = BlockOrder(rows, 0, epoch, block_rows, buffer_blocks)
            for number in range(epoch == 0, order.n_buffers):  # the first epoch was begun by another run
                buffer = order.buffer(number)
                out = [np.empty((buffer.stop - buffer.start, 3), np.float32), np.empty(buffer.stop - buffer.start, int)]
                kept.load(buffer.parts(), out, by_columns, buffer.numbered)
                positions = buffer.positions(buffer.start, buffer.stop)
                places = buffer.places(buffer.start, buffer.stop)
                np.testing.assert_array_equal(out[0][places], x[positions])
                np.testing.assert_array_equal(out[1][places], y[positions])
    assert sorted(read) == list(range(order.n_blocks))


def refuse_past_cache(patch: pytest.MonkeyPatch, when: str) -> None:
    """As a file system that has no such reads and writes, or one that finds out late."""
    flag, really_set, really_read = scratch_file.PAST_CACHE, scratch_file.fcntl.fcntl, os.preadv

    def check(refuse: bool) -> None:
        if refuse:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def control(file: int, command: int, value: int = 0) -> int:
        check(when == "set" and command == scratch_file.fcntl.F_SETFL and bool(value & flag))
        return really_set(file, command, value)

    def writing(really: Callable[..., int]) -> Callable[..., int]:
        def write(file: int, content: Any, at: int) -> int:
            check(when == "move" and bool(really_set(file, scratch_file.fcntl.F_GETFL) & flag))
            return really(file, content, at)

        return write

    def read(file: int, buffers: Any, at: int) -> int:
        check(when == "move" and bool(really_set(file, scratch_file.fcntl.F_GETFL) & flag))
        return really_read(file, buffers, at)

    patch.setattr(scratch_file.fcntl, "fcntl", control)
    patch.setattr(os, "pwrite", writing(os.pwrite))
    patch.setattr(os, "pwritev", writing(os.pwritev))
    patch.setattr(os, "preadv", read)


def test_a_disk_without_room_is_told_before_the_first_block(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = epochs(make(data), 1)
    little_memory(monkeypatch, tmp_path)

    def full(file: int, length: int) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(scratch_file, "reserve", full)
    monkeypatch.setattr(KeptBlocks, "_fetch", None)
    for one, other in zip(epochs(make(data), 1), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sum("No space left on device" in one.getMessage() for one in caplog.records) == 1


def test_a_disk_that_fills_up_is_told_and_rows_go_on_by_columns(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = epochs(make(data), 2)
    little_memory(monkeypatch, tmp_path)
    left = [5]

    def filling(really: Callable[..., int]) -> Callable[..., int]:
        def write(file: int, content: Any, at: int) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return really(file, content, at)

        return write

    for name in ("pwrite", "pwritev"):
        monkeypatch.setattr(os, name, filling(getattr(os, name)))
    for one, other in zip(epochs(make(data), 2), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    told = [one.getMessage() for one in caplog.records if "that a block shuffle keeps" in one.getMessage()]
    assert len(told) == 1
    assert "No space left on device" in told[0]


@pytest.mark.parametrize("width", [1, 100, 4000])
def test_blocks_that_come_together_are_bounded_by_their_bytes(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_blocks, "_GROUPS_BYTES", 1 << 16)
    kept, read = KeptBlocks(tmp_path, 640, 10, width * 8, together=16), []

    def by_columns(blocks: list[Block], places: list[Arrays], came: Came | None) -> None:
        read.append(sum(array.nbytes for out in places for array in out))
        for block, out in zip(blocks, places, strict=True):
            out[0][...] = np.arange(block.start, block.stop)[:, None]

    def numbered(numbers: Any) -> list[Block]:
        return [Block(int(one), int(one) * 10, int(one) * 10 + 10) for one in numbers]

    out = [np.empty((10, width))]
    kept.load(numbered([3]), out, by_columns, numbered)
    assert out[0].tolist() == [[float(row)] * width for row in range(30, 40)]
    assert max(read) <= max(1 << 16, 10 * width * 8)


def in_pages(rows: int) -> Arrays:
    return [aligned_bytes(8 * rows).view(np.int64), aligned_bytes(4 * rows).view(np.float32)]


@pytest.mark.parametrize("short", [False, True])
def test_blocks_of_whole_pages_are_written_and_read_where_they_lie(
    short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, copies, really = KeptBlocks(tmp_path, 10_240, 1024, 12), [], KeptBlocks._aligned
    monkeypatch.setattr(KeptBlocks, "_aligned", lambda self: copies.append(1) or really(self))
    if short:  # a write or a read may take less than it is given
        write, read = os.pwritev, os.preadv
        monkeypatch.setattr(os, "pwritev", lambda file, views, at: write(file, views[:1], at))
        monkeypatch.setattr(os, "preadv", lambda file, views, at: read(file, views[:1], at))
    numbers = np.random.default_rng(0).permutation(10)
    for _ in range(2):
        blocks = [Block(int(one), int(one) * 1024, int(one) * 1024 + 1024) for one in numbers]
        out = in_pages(10_240)
        kept.load(blocks, out, filled, lambda numbers: [])
        wanted = np.concatenate([np.arange(block.start, block.stop) for block in blocks])
        np.testing.assert_array_equal(out[0], wanted)
        np.testing.assert_array_equal(out[1], (wanted / 7).astype(np.float32))
    assert len(copies) == (20 if short else 0)


def filled(blocks: list[Block], places: list[Arrays], came: Came | None) -> None:
    assert came is not None
    for block, (ints, floats) in zip(blocks, places, strict=True):
        ints[...] = np.arange(block.start, block.stop)
        floats[...] = ints / 7
        came(block, [ints, floats])


def test_a_write_that_fails_otherwise_is_told_and_nobody_waits_for_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptBlocks(tmp_path, 40_960, 1024, 12)

    def fail(*given: Any) -> int:
        raise RuntimeError("not of the disk")

    monkeypatch.setattr(KeptBlocks, "_keep", fail)
    blocks = [Block(one, one * 1024, one * 1024 + 1024) for one in range(40)]
    kept.load(blocks, in_pages(40_960), filled, lambda numbers: [])
    with pytest.raises(RuntimeError, match="not of the disk"):
        kept.load(blocks, in_pages(40_960), filled, lambda numbers: [])


def test_rows_that_a_disk_loses_are_told(tmp_path: Path) -> None:
    kept, blocks = KeptBlocks(tmp_path, 100, 50, 12), [Block(1, 50, 100)]
    kept.load(blocks, in_pages(50), filled, lambda numbers: [])
    kept._settle([1])
    assert kept._file is not None
    kept._file.moved(lambda file: os.ftruncate(file, 0))
    out = in_pages(50)
    with pytest.raises(ScratchError, match="lost rows that were written. Is its disk failing"):
        kept.load(blocks, out, filled, lambda numbers: [])

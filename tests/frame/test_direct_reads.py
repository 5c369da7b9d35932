"""Data larger than memory is read from its files: the same rows, whatever the format, order and window."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex
from hypothesis import given
from hypothesis import strategies as st
from leaner import really_sync

import vaxseq
from vaxseq.errors import DatasetError
from vaxseq.frame import direct_reads
from vaxseq.frame.direct_reads import FileRows, exceeds_memory, mappings, memory_allowed
from vaxseq.frame.fetched import Fetcher, Wanted
from vaxseq.training.sequence import Sequence

ROWS = 30_000


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_reads, "memory_allowed", lambda: 1000)


def columns() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    gaps = rng.random(ROWS) < 0.1
    return {
        "a": rng.random(ROWS, np.float32),
        "b": rng.integers(-9, 9, ROWS),
        "gappy": pa.array(rng.random(ROWS), mask=gaps),
        "word": pa.array([["x", "yy", "z"][one] for one in rng.integers(0, 3, ROWS)]).dictionary_encode(),
        "grid": pa.FixedSizeListArray.from_arrays(pa.array(rng.random(4 * ROWS)), 4),
        "series": np.arange(ROWS) // 100,
    }


def written(folder: Path, kind: str) -> str:
    table = pa.table(columns())
    if kind == "hdf5":
        vaex.from_arrow_table(table.select(["a", "b", "gappy", "series"])).export_hdf5(str(folder / "d.hdf5"))
        return str(folder / "d.hdf5")
    path = str(folder / "d.arrow")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7_000 if kind == "arrow in pieces" else None)
    return path


def everything(path: str, **options: Any) -> list[np.ndarray]:
    inputs = {"m": ["a", "b"]} | ({"grid": "grid"} if path.endswith("arrow") else {})
    frame = vaxseq.open(path)
    frame["twice"] = frame.b * 2
    sequence = Sequence(frame, inputs=inputs | {"v": ["twice"]}, targets="b", batch_size=500, **options)
    batches = [sequence.batch(1, number) for number in range(len(sequence))]
    return [np.asarray(array) for x, y in batches for array in (*x.values(), y)]


ORDERS: list[dict[str, Any]] = [
    {}, {"shuffle": "global"}, {"shuffle": "block"}, {"where": "gappy > 0.4", "shuffle": "block"},
    {"where": "gappy > 0.4"}, {"rows": slice(None, None, 50)},
    {"window": vaxseq.Window(10, stride=3, group_by="series"), "shuffle": "global"},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["hdf5", "arrow", "arrow in pieces"])
def test_batches_are_the_same_as_from_the_mapping(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, kind)
    mapped = [everything(path, **options) for options in ORDERS]
    monkeypatch.setattr(direct_reads, "memory_allowed", lambda: 1000)
    source = vaxseq.frame.source_of(path)
    assert source._column("a")._data._files, "the file isn't read as one that is larger than memory"
    for options, expected in zip(ORDERS, mapped, strict=True):
        for one, other in zip(everything(path, **options), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_what_is_read_stays_as_it_is_while_anybody_holds_it(tmp_path: Path, little_memory: None) -> None:
    source = vaxseq.frame.source_of(written(tmp_path, "arrow in pieces"))
    expected = columns()
    blocks = [(at, source.read(["a", "gappy", "grid"], at, at + 3_000)) for at in range(0, ROWS, 3_000)]
    for at, block in blocks:
        np.testing.assert_array_equal(block["a"].data, expected["a"][at : at + 3_000])
        gappy = expected["gappy"][at : at + 3_000].to_numpy(zero_copy_only=False)
        np.testing.assert_array_equal(block["gappy"].data, gappy)
    kept = blocks[3][1]["a"].data[5:7]
    places = {id(block["a"].data.base) for _, block in blocks}
    del blocks, block
    for at in range(0, ROWS, 3_000):
        again = source.read(["a"], at, at + 3_000)["a"].data
        assert not np.shares_memory(again, kept)
        assert id(again.base) in places, "memory that nobody holds isn't used again"
        del again
    np.testing.assert_array_equal(kept, expected["a"][9_005:9_007])


def test_a_store_is_the_same_as_from_the_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, store = written(tmp_path, "arrow"), tmp_path / "s.h5"
    orders = [order for order in ORDERS if "where" not in order and "rows" not in order]
    mapped = [everything(path, store=store, **options) for options in orders]
    monkeypatch.setattr(direct_reads, "memory_allowed", lambda: 1000)
    for options, expected in zip(orders, mapped, strict=True):
        for one, other in zip(everything(path, store=store, **options), expected, strict=True):
            np.testing.assert_array_equal(one, other)


@given(st.lists(st.integers(0, 999), max_size=60), st.sampled_from([1, 12, 5000]), st.integers(1, 4))
def test_rows_are_gathered_in_their_order(tmp_path_factory: Any, ids: list[int], width: int, parts: int) -> None:
    path = tmp_path_factory.getbasetemp() / f"rows-{width}"
    values = np.random.default_rng(width).integers(0, 255, (1000, width), np.uint8)
    if not path.exists():
        path.write_bytes(b"head" + values.tobytes())
    rows = FileRows(str(path), path.stat().st_ino, 4, width)
    out = np.empty((len(ids), width), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct_reads, "_HELD_BYTES", 40_000 // parts)
        patch.setattr(direct_reads, "_BRIDGED_GAP_BYTES", 20)
        rows.gather(np.array(ids, np.int64), out)
    np.testing.assert_array_equal(out, values[ids])


@given(st.data(), st.sampled_from([1, 12, 5000]), st.integers(1, 9000), st.sampled_from(["it can", "open", "read"]))
def test_rows_past_the_page_cache_are_the_same(
    tmp_path_factory: Any, data: st.DataObject, width: int, head: int, refused: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"past-{width}-{head}"
    values = np.random.default_rng(width).integers(0, 255, (50_000 // width, width), np.uint8)
    path.write_bytes(bytes(head) + values.tobytes())
    rows = FileRows(str(path), path.stat().st_ino, head, width, past_cache=True)
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(values))] * 2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct_reads, "_BOUNCE_BYTES", 4096)
        patch.setattr(direct_reads, "_bounce", threading.local())  # or what this thread had is large enough
        if refused != "it can":  # a file system that has no such reads, and one that finds out late
            refuse_past_cache(patch, refused)
        fetched = rows.fetch(start, stop, np.empty((stop - start) * width + direct_reads.SLACK_BYTES, np.uint8))
        np.testing.assert_array_equal(fetched.reshape(-1, width), values[start:stop])
        out = np.empty((stop - start, width), np.uint8)
        rows.read(start, stop, out)
    np.testing.assert_array_equal(out, values[start:stop])
    path.unlink()


def refuse_past_cache(patch: pytest.MonkeyPatch, when: str) -> None:
    really_open, really_read, flag = os.open, os.preadv, direct_reads.PAST_CACHE

    def refuse() -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def opened(path: str, flags: int) -> int:
        if when == "open" and flags & flag:
            refuse()
        return really_open(path, flags)

    def read(file: int, buffers: Any, at: int) -> int:
        if fcntl.fcntl(file, fcntl.F_GETFL) & flag:
            refuse()
        return really_read(file, buffers, at)

    patch.setattr(os, "open", opened)
    if when == "read":
        patch.setattr(os, "preadv", read)


def test_what_is_read_past_the_page_cache_isnt_kept_there(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(1 << 20))
    drop_from_page_cache(path)
    if in_page_cache(path):
        pytest.skip("its pages can't be dropped here, as on a tmpfs")
    memory = np.empty((1 << 20) + direct_reads.SLACK_BYTES, np.uint8)
    drop_from_page_cache(path)
    FileRows(str(path), path.stat().st_ino, 0, 4, past_cache=True).fetch(0, 1 << 18, memory)
    assert not in_page_cache(path)
    FileRows(str(path), path.stat().st_ino, 0, 4).fetch(0, 1 << 18, memory)
    assert in_page_cache(path), "the test doesn't see what the page cache has"


def drop_from_page_cache(path: Path) -> None:
    with open(path, "rb") as file:
        really_sync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def in_page_cache(path: Path) -> bool:
    """Whether the middle of a file can be had without waiting for a disk; asking has the kernel read it."""
    with open(path, "rb", buffering=0) as file:
        try:
            return os.preadv(file.fileno(), [bytearray(4096)], path.stat().st_size // 2, os.RWF_NOWAIT) > 0
        except BlockingIOError:
            return False


def test_columns_that_outgrow_half_of_memory_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "arrow in pieces")
    monkeypatch.setattr(direct_reads, "memory_allowed", lambda: os.path.getsize(path) + 1)
    source = vaxseq.frame.source_of(path)
    source.read(["a", "b", "gappy"], 0, 1)
    assert source.from_files
    assert not source._column("a")._data._files[0].past_cache, "what the cache can hold goes past it"
    meeting, fetch = threading.Barrier(3, timeout=20), FileRows.fetch

    def meet(self: FileRows, start: int, stop: int, memory: np.ndarray) -> np.ndarray:
        meeting.wait()  # in turn, nobody would ever meet here
        met.append(start)
        return fetch(self, start, stop, memory)

    met: list[int] = []
    monkeypatch.setattr(FileRows, "fetch", meet)
    found = source.read(["a", "b", "gappy"], 100, 6_000)
    np.testing.assert_array_equal(found["b"].data, columns()["b"][100:6_000])
    assert len(met) == 3, "the test doesn't see what is read"


@pytest.mark.parametrize("share", [1.01, 0.1])
def test_windows_that_need_no_column_to_be_found_are_found_there_too(
    tmp_path: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "arrow")
    expected = vaxseq.Sequence(path, inputs=["a", "b"], window=vaxseq.Window(8, stride=4), batch_size=64)
    expected = [np.copy(expected.batch(0, number)) for number in range(len(expected))]
    monkeypatch.setattr(direct_reads, "memory_allowed", lambda: int(os.path.getsize(path) * share))
    source = vaxseq.frame.source_of(path)
    assert source.on_disk
    assert source.read_spans([], [(0, 10), (20, 30)]) == [{}, {}]
    served = vaxseq.Sequence(path, inputs=["a", "b"], window=vaxseq.Window(8, stride=4), batch_size=64)
    assert len(served) == len(expected)
    for number, batch in enumerate(expected):
        np.testing.assert_array_equal(served.batch(0, number), batch)


@pytest.mark.parametrize("kind", ["hdf5", "arrow", "arrow in pieces"])
def test_columns_that_outgrow_the_page_cache_come_by_one_request(
    tmp_path: Path, kind: str, little_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, names = vaxseq.frame.source_of(written(tmp_path, kind)), ["a", "gappy", "b"]
    asked, fetch = [], FileRows.fetch_extents
    monkeypatch.setattr(
        FileRows,
        "fetch_extents",
        lambda self, extents, *given: asked.append(len(extents)) or fetch(self, extents, *given),
    )
    spans = [(20, 6_000), (29_000, ROWS), (20, 6_000), (20, 6_900), (6_000, 15_000), (7, 7)]
    found = source.read_spans(names, spans)
    assert len(asked) == 1
    assert asked[0] >= 3 * 4, "each column of each span"
    expected = columns()
    for block, (start, stop) in zip(found, spans, strict=True):
        np.testing.assert_array_equal(block["a"].data, expected["a"][start:stop])
        np.testing.assert_array_equal(block["b"].data, expected["b"][start:stop])
        gappy = expected["gappy"][start:stop].to_numpy(zero_copy_only=False)
        np.testing.assert_array_equal(np.where(block["gappy"].is_missing(), np.nan, block["gappy"].data), gappy)


@given(st.data(), st.sampled_from(["it can", "open", "read"]))
def test_rows_of_several_files_are_fetched_to_places_of_their_own(
    tmp_path_factory: Any, data: st.DataObject, refused: str
) -> None:
    values = [
        np.random.default_rng(width).integers(0, 255, (50_000 // width, width), np.uint8) for width in (1, 12, 96)
    ]
    files = []
    for number, rows in enumerate(values):
        path = tmp_path_factory.getbasetemp() / f"fetched-{number}"
        path.write_bytes(bytes(17) + rows.tobytes())
        files.append(FileRows(str(path), path.stat().st_ino, 17, rows.shape[1], past_cache=True))
    drawn = data.draw(st.lists(st.tuples(st.integers(0, 2), *[st.integers(0, 500)] * 2), max_size=9, unique=True))
    spans = [(which, min(a, b), max(a, b) + 1) for which, a, b in drawn]
    wanted = [Wanted(number, low, high, files[which], low, high) for number, (which, low, high) in enumerate(spans)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct_reads, "_PIECE_BYTES", 4096)
        if refused != "it can":
            refuse_past_cache(patch, refused)
        fetched = Fetcher().fetch(wanted)
    for number, (which, low, high) in enumerate(spans):
        [content] = fetched.of(number, low, high) or []
        np.testing.assert_array_equal(content.reshape(-1, values[which].shape[1]), values[which][low:high])
    assert fetched.of(len(spans), 0, 1) is None


def test_a_fetch_behind_the_end_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(bytes(10_000))
    rows = FileRows(str(tmp_path / "rows"), (tmp_path / "rows").stat().st_ino, 0, 10, past_cache=True)
    os.truncate(tmp_path / "rows", 5_000)
    assert Fetcher().fetch([Wanted(0, 0, 500, rows, 0, 500)]).of(0, 0, 500) is not None
    with pytest.raises(DatasetError, match="before the rows that it is to hold; was it cut short"):
        Fetcher().fetch([Wanted(0, 0, 501, rows, 0, 501)])


def test_a_file_that_was_replaced_or_cut_is_told(tmp_path: Path, little_memory: None) -> None:
    path = written(tmp_path, "hdf5")
    sequence = Sequence(path, inputs=["a"], batch_size=500, read_ahead=0)
    sequence.batch(0, 0)
    os.truncate(path, 20_000)
    with pytest.raises(DatasetError, match="was cut short: got 20,000 bytes"):
        sequence.batch(0, len(sequence) - 1)
    (tmp_path / "other").write_bytes(b"something else")
    os.replace(tmp_path / "other", path)
    with pytest.raises(DatasetError, match="was replaced by another file, since it was opened"):
        sequence.batch(0, 3)


def test_a_file_that_is_cut_between_a_look_and_a_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(bytes(100))
    rows = FileRows(str(tmp_path / "rows"), (tmp_path / "rows").stat().st_ino, 0, 10)
    os.truncate(tmp_path / "rows", 45)
    with pytest.raises(DatasetError, match="before the rows that it is to hold; was it cut short"):
        rows.read(0, 10, np.empty(100, np.uint8))
    os.replace(tmp_path / "rows", tmp_path / "kept")
    (tmp_path / "rows").write_bytes(bytes(100))
    with pytest.raises(DatasetError, match="another file has its name now; open the dataset again"):
        rows.read(0, 1, np.empty(10, np.uint8))
    (tmp_path / "rows").unlink()
    with pytest.raises(DatasetError, match="can't be read any more"):
        rows.read(0, 1, np.empty(10, np.uint8))


def test_what_is_in_memory_is_left_alone(little_memory: None) -> None:
    frame = vaex.from_arrays(x=np.arange(5.0))
    assert np.asarray(Sequence(frame, inputs=["x"]).batch(0, 0)[0])[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert FileRows.behind(np.arange(3.0), mappings()) is None


def test_memory_is_what_the_machine_or_the_group_allows() -> None:
    allowed = memory_allowed()
    assert allowed is not None and allowed > 1 << 20
    assert exceeds_memory(allowed) and not exceeds_memory(1 << 20)

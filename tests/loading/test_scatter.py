"""Any order beyond memory: the same bytes as in memory, whatever is served, by whichever way it goes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex

import vaxseq
from vaxseq.errors import OptionError
from vaxseq.loading.readers.frame import FrameReader
from vaxseq.loading.scatter.bucket_reader import BucketReader
from vaxseq.loading.windows import WindowReader
from vaxseq.store import StoreReader
from vaxseq.training.sequence import Sequence

ROWS = 30_000
BATCH = 500
INPUTS = {"m": ["a", "b"], "v": ["twice"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "a": rng.random(ROWS, np.float32),
            "b": rng.integers(-9, 9, ROWS),
            "w": rng.random(ROWS),
            "c": rng.choice(3, ROWS, p=[0.8, 0.15, 0.05]),
            "gappy": pa.array(rng.random(ROWS), mask=rng.random(ROWS) < 0.1),
            "series": np.arange(ROWS) // 100,
        }
    )
    path = tmp_path_factory.mktemp("scatter") / "d.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7_000)
    return str(path)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """So little that buckets hold a few thousand rows; the folder of the scratch files."""
    monkeypatch.setenv("VAXSEQ_MEMORY", "1MB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in (FrameReader, StoreReader, WindowReader):
        monkeypatch.setattr(reader, "chunk_bytes", 1 << 16)


class Elsewhere(ThreadPoolExecutor):
    """Threads to which everything goes as to another process: pickled. ``most`` were under way at once."""

    under_way = most = asked = 0

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.asked += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        future = super().submit(_sent, pickle.dumps((function, args, kwargs)))
        taken = future.result

        def result(timeout: float | None = None) -> Any:
            self.under_way -= 1
            return pickle.loads(taken(timeout))

        future.result = result  # type: ignore[method-assign]
        return future


def _sent(call: bytes) -> bytes:
    function, args, kwargs = pickle.loads(call)
    return pickle.dumps(function(*args, **kwargs))


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere(2) as pool:
        yield pool


def make(path: str, **options: Any) -> Sequence:
    frame = vaxseq.open(path)
    frame["twice"] = frame.b * 2
    options = {"inputs": INPUTS, "targets": "c", "batch_size": BATCH, "shuffle": "global", "seed": 3} | options
    return Sequence(frame, **options)


def flat(batch: Any) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for part in batch:
        found += [np.asarray(one) for one in (part.values() if isinstance(part, dict) else [part])]
    return found


def assert_same(one: Any, other: Any) -> None:
    for array, expected in zip(flat(one), flat(other), strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


def scattered(sequence: Sequence) -> BucketReader:
    found = sequence._epochs.whole.loader._ordered  # type: ignore[attr-defined]
    assert isinstance(found, BucketReader)
    return found


def noisy(batch: Any, rng: np.random.Generator) -> Any:
    x, *rest = batch
    return ({name: array + rng.random(array.shape, np.float32) for name, array in x.items()}, *rest)


WAYS: dict[str, dict[str, Any]] = {
    "all rows": {},
    "a filter": {"where": "gappy > 0.4"},
    "few rows": {"where": "gappy > 0.97"},
    "a slice": {"rows": slice(100, 20_000, 3)},
    "rows twice and out of order": {"rows": np.random.default_rng(1).integers(0, ROWS, 9_000)},
    "rows out of order, in their order": {"rows": np.random.default_rng(1).permutation(ROWS), "shuffle": False},
    "weights": {"sample_weight": "w"},
    "missing targets": {"targets": "gappy", "on_missing": "drop"},
    "padded": {"pad": True, "batch_size": 777},
    "whole batches": {"drop_remainder": True, "batch_size": 777},
    "classes in shares": {"balance": {0: 1, 1: 1, 2: 2}},
    "classes in shares, in parts": {"balance": {0: 0, 1: 1, 2: 1}, "rows": slice(500, 25_000)},
    "drawn by weight": {"balance": "w"},
    "drawn, rows out of order": {"balance": "w", "rows": np.random.default_rng(1).permutation(ROWS)[:9_000]},
    "augmented": {"augment": noisy},
    "one input": {"inputs": ["a", "b"]},
    "no target": {"targets": None},
    "windows": {"window": vaxseq.Window(10, stride=3, group_by="series")},
    "padded windows": {
        "window": vaxseq.Window(150, stride=7, group_by="series", min_valid=0.5, target="mean"),
        "batch_size": 50,
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_epochs_are_the_same_as_in_memory(data: str, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = make(data, **WAYS[way], read_ahead=0)
    monkeypatch.setenv("VAXSEQ_MEMORY", "1MB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))
    got = make(data, **WAYS[way])
    assert scattered(got).way.kind == "scattered"
    batches = [(epoch, index) for epoch in (0, 1, 2) for index in range(len(got))]
    for place in batches:
        assert_same(got.batch(*place), expected.batch(*place))
    assert not list(tmp_path.iterdir()), "a scratch file has a name"


@pytest.mark.parametrize("way", WAYS)
def test_epochs_are_the_same_where_workers_read(
    data: str, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    expected = make(data, **WAYS[way], read_ahead=0)
    monkeypatch.setenv("VAXSEQ_MEMORY", "1MB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))
    got = make(data, **WAYS[way], executor=elsewhere)
    got._epochs.whole.loader.expect(0, 0)
    for index in range(len(got)):
        assert_same(got.batch(0, index), expected.batch(0, index))
    assert elsewhere.asked >= scattered(got).passes > 0


@pytest.mark.parametrize("way", ["all rows", "classes in shares", "windows"])
def test_a_store_is_scattered_as_well(data: str, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = tmp_path / "s.h5"
    expected = make(data, **WAYS[way], store=store, read_ahead=0)
    monkeypatch.setenv("VAXSEQ_MEMORY", "100kB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))
    got = make(data, **WAYS[way], store=store)
    assert scattered(got).way.kind == "scattered"
    for place in [(epoch, index) for epoch in (0, 1) for index in range(len(got))]:
        assert_same(got.batch(*place), expected.batch(*place))


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"pad": True}, {"drop_remainder": True}, {"balance": "w"}], ids=str)
@pytest.mark.slow
def test_shards_and_resumes_serve_each_row_once(
    data: str, shards: int, options: dict[str, Any], little_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in range(shards):
        monkeypatch.delenv("VAXSEQ_MEMORY")
        one = make(data, shard=(rank, shards), batch_size=512, read_ahead=0, **options)
        expected = [one.batch(0, index) for index in range(len(one))]
        after = [one.batch(1, index) for index in range(min(20, len(one)))]
        monkeypatch.setenv("VAXSEQ_MEMORY", "1MB")
        for third in (0.1, 0.5, 0.9) if not options else (0.5,):
            got = make(data, shard=(rank, shards), batch_size=512, **options)
            cut = int(third * len(got))
            for index in range(cut):
                assert_same(got[index], expected[index])
            position = got.position()
            resumed = make(data, shard=(rank, shards), batch_size=512, **options)
            resumed.seek(position)
            for index in range(resumed.num_batches):
                assert_same(resumed[index], expected[cut + index])
            assert cut + index + 1 == len(expected)
            assert resumed.num_batches == len(expected)
            for index in range(min(20, len(resumed))):
                assert_same(resumed[index], after[index])


def test_the_data_is_read_once_in_a_training(data: str, little_memory: Path) -> None:
    sequence = make(data)
    for epoch in range(4):
        for index in range(len(sequence)):
            sequence.batch(epoch, index)
    assert scattered(sequence).passes == 1


def test_an_evaluation_is_scattered_once(data: str, little_memory: Path) -> None:
    sequence = make(data)
    loader = sequence._pipeline.loader(sequence._plan, sequential=True)
    for _ in range(3):
        for index in range(len(sequence)):
            loader.batch(0, index)
    assert loader._ordered.passes == 1  # type: ignore[attr-defined]


def test_an_epoch_that_was_left_is_passed_on_whole(data: str, little_memory: Path, monkeypatch: Any) -> None:
    sequence = make(data)
    for index in range(len(sequence) // 3):
        sequence.batch(0, index)
    rows = [sequence.batch(1, index) for index in range(len(sequence))]
    assert scattered(sequence).passes == 1
    again = [sequence.batch(1, index) for index in range(len(sequence))]
    monkeypatch.delenv("VAXSEQ_MEMORY")
    expected = make(data, read_ahead=0)
    for index in range(len(sequence)):
        assert_same(rows[index], expected.batch(1, index))
        assert_same(again[index], expected.batch(1, index))


def test_a_batch_out_of_turn_is_read_directly(data: str, little_memory: Path) -> None:
    sequence = make(data)
    for index in (40, 3, 17, 3):
        sequence.batch(0, index)
    assert scattered(sequence).passes == 0


def test_a_disk_with_little_room_takes_an_epoch_in_parts(data: str, little_memory: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("vaxseq.loading.scatter.strategy.room", lambda folder: 150_000)
    for options in ({}, {"balance": "w"}, {"shard": (1, 2)}):
        got = make(data, **options)
        assert 2 < scattered(got).way.parts <= 16
        monkeypatch.delenv("VAXSEQ_MEMORY")
        expected = make(data, read_ahead=0, **options)
        monkeypatch.setenv("VAXSEQ_MEMORY", "1MB")
        for place in [(epoch, index) for epoch in (0, 1) for index in range(len(got))]:
            assert_same(got.batch(*place), expected.batch(*place))


@pytest.mark.parametrize("way", ["all rows", "windows"])
def test_workers_make_a_store_and_read_it(
    data: str, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    store = tmp_path / "s.h5"
    expected = make(data, **WAYS[way], read_ahead=0)
    made = make(data, **WAYS[way], store=store, executor=elsewhere)
    assert elsewhere.asked == 1
    assert_same(made.batch(0, 3), expected.batch(0, 3))
    monkeypatch.setenv("VAXSEQ_MEMORY", "100kB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))
    got = make(data, **WAYS[way], store=store, executor=elsewhere)
    for index in range(len(got)):
        assert_same(got.batch(0, index), expected.batch(0, index))
    assert elsewhere.asked > 1


def test_many_workers_read_no_more_than_memory_holds(data: str, little_memory: Path) -> None:
    with Elsewhere(40) as pool:
        sequence = make(data, executor=pool)
        for index in range(len(sequence)):
            sequence.batch(0, index)
        assert pool.asked > 8
        assert pool.most == 2


def test_an_executor_stays_behind_and_is_told_when_it_is_closed(data: str, little_memory: Path) -> None:
    with Elsewhere(1) as pool:
        sequence = make(data, executor=pool)
    other = pickle.loads(pickle.dumps(sequence))
    assert scattered(other).way.kind == "scattered"
    expected = [other.batch(0, index) for index in range(4)]
    with pytest.raises(OptionError, match=r"executor: it takes no work \(cannot schedule.*Keep it open"):
        [sequence.batch(0, index) for index in range(4)]
    assert_same(make(data).batch(0, 3), expected[3])


def test_what_is_no_executor_is_refused(data: str) -> None:
    with pytest.raises(OptionError, match=r"executor: got 4, expected a concurrent.futures.Executor"):
        make(data, executor=4)


def test_what_fits_in_memory_is_not_scattered(data: str) -> None:
    assert make(data)._epochs.whole.loader._ordered is None  # type: ignore[attr-defined]
    assert (
        Sequence(vaex.from_arrays(x=np.arange(9.0)), inputs=["x"], shuffle=True)
        ._pipeline.way(  # in memory already
            make(data)._plan
        )
        .kind
        == "memory"
    )

"""Data larger than memory is read from its files: the same rows, whatever the format, order and window."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex
from hypothesis import given
from hypothesis import strategies as st

import vaxseq
from vaxseq.errors import DatasetError
from vaxseq.frame import direct_reads
from vaxseq.frame.direct_reads import FileRows, exceeds_memory, mappings, memory_allowed
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

"""The frame room: what a Source reads equals what vaex evaluates, whatever the files and the tree above them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex

from vaxseq.errors import (
    ColumnNotFoundError,
    DatasetError,
    OptionError,
    SelectionError,
    SourceError,
    SourceNotFoundError,
)
from vaxseq.expressions.values import Value
from vaxseq.frame import ROW, bind, filter_rows, open, row_numbers, source_of

ROWS = 1_000


def table(rows: int = ROWS, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    hole = rng.random(rows) < 0.2
    words = np.array(["ab", "c", "", "dé"], dtype=object)[rng.integers(0, 4, rows)]
    pixels = rng.integers(0, 255, (rows, 6)).astype(np.uint8)
    return pa.table(
        {
            "f32": rng.random(rows).astype(np.float32),
            "f64": pa.array(rng.random(rows), mask=hole),
            "i64": pa.array(rng.integers(-(2**62), 2**62, rows), mask=hole),
            "u8": rng.integers(0, 255, rows).astype(np.uint8),
            "flag": pa.array(rng.random(rows) < 0.5, mask=hole),
            "when": pa.array(rng.integers(0, 10**18, rows), pa.timestamp("ns"), mask=hole),
            "day": pa.array(rng.integers(0, 9999, rows).astype(np.int32), pa.date32(), mask=hole),
            "text": pa.array(words, pa.string(), mask=hole),
            "word": pa.array(words, pa.string(), mask=hole).dictionary_encode(),
            "pixels": pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), 6),
        }
    )


def write_arrow(data: pa.Table, path: Path, batch_rows: int) -> Path:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, data.schema) as writer:
        writer.write_table(data, max_chunksize=batch_rows)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frame")


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    return write_arrow(table(), folder / "one.arrow", 130)


def same(value: Value, expected: pa.Array | np.ndarray[Any, Any], label: str) -> None:
    if isinstance(expected, pa.ChunkedArray):
        expected = expected.combine_chunks()
    if value.kind == "text":
        assert value.data.cast(pa.string()).to_pylist() == expected.cast(pa.string()).to_pylist(), label
        return
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(value.data, expected, label)
        return
    missing = expected.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(expected.type):
        np.testing.assert_array_equal(value.data, np.array(expected.to_pylist()).reshape(-1, 6), label)
        return
    np.testing.assert_array_equal(value.is_missing(), missing, label)
    filled = expected.drop_null()
    got = value.data[~missing]
    if pa.types.is_boolean(expected.type):
        np.testing.assert_array_equal(got, filled.to_numpy(zero_copy_only=False), label)
    else:
        np.testing.assert_array_equal(got, filled.to_numpy(zero_copy_only=False).astype(got.dtype), label)


def trees(folder: Path, file: Path) -> dict[str, tuple[Any, pa.Table]]:
    one, other = table(), table(seed=1)
    second = write_arrow(other, folder / "two.arrow", 97)
    frame, both = vaex.open(str(file)), vaex.concat([vaex.open(str(file)), vaex.open(str(second))])
    renamed = frame.copy()
    renamed.rename("f32", "renamed")
    numbers = one.select(["f32", "f64", "i64", "u8", "when", "text"])
    hdf5 = folder / "plain.hdf5"
    vaex.open(str(file))[["f32", "u8", "text"]].export_hdf5(str(hdf5))
    arrays = {"f32": np.asarray(one["f32"]), "m": np.ma.array(np.arange(ROWS), mask=np.arange(ROWS) % 3 == 0)}
    taken = [7, 3, 999, 500]
    return {
        "file": (frame, one),
        "concatenated": (both, pa.concat_tables([one, other])),
        "sliced": (frame[200:333], one.slice(200, 133)),
        "sliced again": (both[900:1900][50:700], pa.concat_tables([one, other]).slice(950, 650)),
        "renamed": (renamed, one.rename_columns(["renamed", *one.column_names[1:]])),
        "hdf5": (vaex.open(str(hdf5)), one.select(["f32", "u8", "text"])),
        "arrow in memory": (vaex.from_arrow_table(numbers), numbers),
        "numpy in memory": (vaex.from_arrays(f32=arrays["f32"]), one.select(["f32"])),
        "taken": (frame[["f32", "u8", "text"]].take(taken), one.select(["f32", "u8", "text"]).take(taken)),
    }


def test_blocks_and_gathers_equal_the_table(folder: Path, file: Path) -> None:
    rng = np.random.default_rng(3)
    for label, (frame, expected) in trees(folder, file).items():
        source = source_of(frame)
        rows = expected.num_rows
        assert source.n_rows == rows, label
        names = expected.column_names
        cuts = sorted(rng.integers(0, rows + 1, 2)) if rows > 5 else [1, 3]
        for start, stop in [(0, rows), (cuts[0], cuts[1]), (rows // 2, rows // 2), (0, 1), (rows - 1, rows)]:
            block = source.read(names, int(start), int(stop))
            for name in names:
                same(block[name], expected[name].slice(start, stop - start), f"{label} {name} {start}:{stop}")
        for ids in (rng.integers(0, rows, 300), np.array([0]), np.array([], dtype=np.int64), np.arange(rows)[::-1]):
            block = source.gather(names, ids.astype(np.int64))
            for name in names:
                same(block[name], expected[name].take(pa.array(ids, pa.int64())), f"{label} {name} gather")


def test_numpy_masks_are_missing_values() -> None:
    frame = vaex.from_arrays(m=np.ma.array(np.arange(9), mask=np.arange(9) % 3 == 0))
    source = source_of(frame)
    assert source.read(["m"], 0, 9)["m"].is_missing().tolist() == [True, False, False] * 3
    assert source.gather(["m"], np.array([3, 1]))["m"].is_missing().tolist() == [True, False]


def test_differing_dictionaries_are_led_to_one(folder: Path) -> None:
    first = write_arrow(pa.table({"w": pa.array(["a", "b", None]).dictionary_encode()}), folder / "d1.arrow", 10)
    second = write_arrow(pa.table({"w": pa.array(["c", "b"]).dictionary_encode()}), folder / "d2.arrow", 10)
    source = source_of(vaex.concat([vaex.open(str(first)), vaex.open(str(second))]))
    assert source.read(["w"], 0, 5)["w"].data.to_pylist() == ["a", "b", None, "c", "b"]
    assert source.gather(["w"], np.array([4, 0, 3, 2]))["w"].data.to_pylist() == ["b", "a", "c", None]


def test_the_frames_own_virtual_columns_and_filter_are_vaexs(file: Path) -> None:
    frame = vaex.open(str(file))
    frame["twice"] = frame.f64 * 2
    frame["four"] = frame.twice * 2 + frame.u8
    frame["long"] = frame.text.str.len()
    frame.add_variable("shift", 3)
    frame["moved"] = frame.f32 * 3
    source = source_of(frame)
    for name in ("twice", "four", "long", "moved"):
        expected = frame.evaluate(name, 100, 400)
        block = source.read([name], 100, 400)[name]
        expected = pa.array(expected) if isinstance(expected, np.ndarray) else expected
        same(block, expected, name)
        picked = source.gather([name], np.array([300, 100]))[name]
        same(picked, expected.take(pa.array([200, 0])), name)
    filtered = frame[(frame.four > 100) & (frame.f32 < 0.7)]
    mask = source_of(filtered).filter_mask(0, ROWS)
    assert mask is not None
    assert np.array_equal(frame.evaluate("f32")[mask] if isinstance(frame.evaluate("f32"), np.ndarray) else
                          frame.evaluate("f32").to_numpy()[mask], np.asarray(filtered.evaluate("f32")))  # fmt: skip
    parts = [source_of(filtered).filter_mask(a, b) for a, b in ((0, 10), (10, 500), (500, ROWS))]
    assert np.array_equal(np.concatenate(parts), mask)  # type: ignore[arg-type]
    assert source_of(frame).filter_mask(0, 10) is None


class Double:
    def __call__(self, columns: dict[str, Value]) -> Any:
        return columns["f32"].data * 2


class Third:
    def __call__(self, columns: dict[str, Value]) -> Any:
        return row_numbers(columns[ROW]) % 3 == 0


def test_bound_functions_and_row_filters_survive_a_pickle(file: Path) -> None:
    frame = bind(open(file), {"double": (Double(), ["f32"])})
    part = filter_rows(frame, "third", Third(), [ROW])
    assert ROW not in part.get_column_names()
    again = pickle.loads(pickle.dumps(part))
    expected = np.asarray(table()["f32"])[::3] * 2
    for one in (part, again):
        np.testing.assert_array_equal(one.evaluate("double"), expected)
    narrower = filter_rows(part, "half", Third(), [ROW])[1:3]
    np.testing.assert_array_equal(narrower.evaluate("double"), expected[1:3])
    small = pickle.dumps(source_of(part).spec())
    assert len(small) < 8_000
    mask = pickle.loads(small).open().filter_mask(0, 10)
    assert mask.tolist() == [i % 3 == 0 for i in range(10)]


def test_a_frame_may_gain_columns_after_the_source_was_made(file: Path) -> None:
    frame = open(file)
    source = source_of(frame)
    frame["late"] = frame.f32 * 2
    assert "late" not in source.names


def test_fingerprints_tell_data_columns_and_filters_apart(folder: Path, file: Path) -> None:
    frame = open(file)
    filtered = frame[frame.u8 > 3]
    virtual = frame.copy()
    virtual["v"] = virtual.f32 * 2
    other = write_arrow(table(seed=9), folder / "other.arrow", 130)
    prints = [
        source_of(f).fingerprint() for f in (frame, filtered, frame[frame.u8 > 4], virtual, open(other), frame[:9])
    ]
    assert len(set(prints)) == len(prints)
    assert prints[0] == source_of(open(file)).fingerprint()
    arrays = [vaex.from_arrays(x=np.arange(9.0)), vaex.from_arrays(x=np.arange(9.0)), vaex.from_arrays(x=np.ones(9))]
    first, same_again, different = (source_of(one).fingerprint() for one in arrays)
    assert first == same_again != different


def test_types_name_what_a_feature_can_use(file: Path) -> None:
    types = source_of(open(file)).types()
    assert types["f32"] == "float32" and types["pixels"] == "uint8[6]" and types["word"] == types["text"] == "text"
    assert types["when"] == "datetime64[ns]" and types["day"] == "datetime64[D]" and types["flag"] == "bool"
    odd = vaex.from_arrow_table(pa.table({"s": pa.array([{"a": 1}])}))
    assert source_of(odd).types()["s"].startswith("unreadable: a column of type struct")


def test_opening_says_what_is_wrong(folder: Path, file: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"onne\.arrow: no such file.*Did you mean .*one\.arrow"):
        open(folder / "onne.arrow")
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(SourceError, match=r"not a dataset; expected one of .*Convert it first"):
        open(folder / "notes.txt")
    (folder / "empty.arrow").write_bytes(b"")
    with pytest.raises(DatasetError, match="the file is empty"):
        open(folder / "empty.arrow")
    (folder / "cut.arrow").write_bytes(file.read_bytes()[:500])
    with pytest.raises(DatasetError, match=r"cut\.arrow: can't be opened"):
        open(folder / "cut.arrow")


def test_reading_says_what_is_wrong(file: Path) -> None:
    source = source_of(open(file))
    with pytest.raises(ColumnNotFoundError, match=r"column 'pixel': not in the data\. Did you mean 'pixels'"):
        source.read(["pixel"], 0, 1)
    with pytest.raises(SelectionError, match=r"row ids 0 to 1000: outside of the frame's 1,000 rows"):
        source.gather(["f32"], np.array([0, ROWS]))
    with pytest.raises(SelectionError, match="outside of the frame's"):
        source.read(["f32"], 5, ROWS + 1)
    with pytest.raises(OptionError, match=r"got list, expected a dataset's path, a vaex, pandas .*from_pylist"):
        source_of([1, 2])
    with pytest.raises(OptionError, match="has a column of that name already"):
        bind(open(file), {"f32": (Double(), ["f32"])})
    with pytest.raises(ColumnNotFoundError, match=r"column 'f33': not in the frame\. Did you mean"):
        bind(open(file), {"double": (Double(), ["f33"])})

"""sort_by: the same order as a stable sort in memory, whatever the size of runs; bounded memory; restart."""

from __future__ import annotations

import datetime as dt
import math
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaxseq.convert import commit, convert, sorting, stage
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import ColumnNotFoundError, OptionError


def rows_of(manifest: Manifest) -> pa.Table:
    return pa.concat_tables([pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in manifest.paths()])


CELLS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int": (pa.int64(), st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)),
    "float": (pa.float64(), st.floats(allow_nan=True) | st.sampled_from([0.0, -0.0, math.nan])),
    "text": (pa.string(), st.text("aÄz\U0001f600", max_size=2)),
    "bool": (pa.bool_(), st.booleans()),
    "instant": (pa.timestamp("us"), st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))),
    "length": (pa.duration("s"), st.integers(-9, 9).map(lambda days: dt.timedelta(days))),
    "day": (pa.date32(), st.dates()),
}  # fmt: skip


def rank(value: Any) -> tuple[int, Any]:
    """Python's own order, with NaN after the numbers and a missing value last."""
    if value is None:
        return (2, 0)
    if isinstance(value, float) and math.isnan(value):
        return (1, 0)
    return (0, value)


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, list[str]]:
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=3))
    rows = draw(st.integers(0, 60))
    columns = {
        f"{kind}{number}": pa.array(
            draw(st.lists(st.none() | CELLS[kind][1], min_size=rows, max_size=rows)), CELLS[kind][0]
        )
        for number, kind in enumerate(kinds)
    }
    return pa.table({**columns, "row": pa.array(range(rows), pa.int64())}), list(columns)


@pytest.mark.parametrize(("target", "examples"), [("o.arrow", 60), ("o.hdf5", 15), ("folder", 30)])
def test_the_order_is_a_stable_sort(tmp_path_factory, target, examples) -> None:
    folder = tmp_path_factory.mktemp("sorted")
    patch = pytest.MonkeyPatch()
    patch.setattr(sorting, "_SMALLEST_BLOCK", 2)
    patch.setattr(stage, "MIN_BATCH_ROWS", 7)

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(tables(), st.integers(1, 600))
    def check(made: tuple[pa.Table, list[str]], run_bytes: int) -> None:
        table, names = made
        patch.setattr(sorting, "_RUN_BYTES", run_bytes)
        batches = [table.slice(start, 7) for start in range(0, max(table.num_rows, 1), 7)]
        path = folder / target
        got = convert(batches, path, sort_by=names, overwrite=True, fragment_bytes=900, progress=False)
        if path.suffix == ".hdf5":
            got = convert(path, folder / "back.arrow", overwrite=True, progress=False)
        rows = table.to_pylist()
        expected = sorted(range(len(rows)), key=lambda row: [rank(rows[row][name]) for name in names])
        found = rows_of(got) if got.fragments else table.slice(0, 0)
        assert found["row"].to_pylist() == expected

    try:
        check()
    finally:
        patch.undo()


def test_every_column_moves_with_its_row(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sorting, "_RUN_BYTES", 4000)
    monkeypatch.setattr(sorting, "_SMALLEST_BLOCK", 4)
    rng = np.random.default_rng(0)
    n = 3000
    image = rng.integers(0, 255, (n, 2, 3), dtype=np.uint8)
    flat = pa.array(image.reshape(-1))
    inner = pa.FixedSizeListArray.from_arrays(flat, 3)
    key = rng.integers(0, 50, n)
    table = pa.table({
        "image": pa.FixedSizeListArray.from_arrays(inner, 2), "group": pa.array([f"g{one:02d}" for one in key]),
        "maybe": pa.array([None if one % 3 == 0 else int(one) for one in key]), "row": np.arange(n),
        "half": pa.array(rng.normal(size=n).astype(np.float16)),
    })  # fmt: skip
    batches = [table.slice(at, 500) for at in range(0, n, 500)]
    found = rows_of(convert(batches, tmp_path / "o", sort_by="group", fragment_bytes=20_000, progress=False))
    order = np.argsort(key, kind="stable")
    assert found["row"].to_pylist() == order.tolist()
    assert found["group"].to_pylist() == [f"g{one:02d}" for one in key[order]]
    assert found["maybe"].to_pylist() == [None if one % 3 == 0 else int(one) for one in key[order]]
    assert np.array_equal(np.array(found["image"].to_pylist(), np.uint8), image[order])
    assert np.array_equal(found["half"].to_numpy(), table["half"].to_numpy()[order])
    assert len(Manifest.load(tmp_path / "o").fragments) > 1


def test_mistakes_are_named(tmp_path) -> None:
    table = pa.table({"time": [1], "v": pa.array([[1, 2]], pa.list_(pa.int64(), 2))})
    with pytest.raises(ColumnNotFoundError, match="sort_by: no column 'tmie'. Did you mean 'time'"):
        convert(table, tmp_path / "o.arrow", sort_by=["tmie"], progress=False)
    with pytest.raises(OptionError, match=r"sort_by: column 'v'; got int64\[2\], expected single values"):
        convert(table, tmp_path / "o.arrow", sort_by=["v"], progress=False)
    with pytest.raises(OptionError, match="expected each column once"):
        convert(table, tmp_path / "o.arrow", sort_by=["time", "time"], progress=False)
    with pytest.raises(OptionError, match="option sort_by; got it with append"):
        convert(table, tmp_path / "o", sort_by="time", append=True, progress=False)


def test_a_stopped_sort_begins_again_after_the_reading(tmp_path, monkeypatch) -> None:
    source = tmp_path / "a.csv"
    numbers = list(range(5000))
    random.Random(0).shuffle(numbers)
    source.write_text("n,s\n" + "".join(f"{n},w{n % 3}\n" for n in numbers))
    monkeypatch.setattr(sorting, "_RUN_BYTES", 20_000)
    real = sorting.write_drafts

    def stopped(tables, *rest):
        next(iter(tables))
        raise KeyboardInterrupt

    monkeypatch.setattr(sorting, "write_drafts", stopped)
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "o.arrow", sort_by="n", progress=False)
    assert not (tmp_path / "o.arrow").exists()
    monkeypatch.setattr(sorting, "write_drafts", real)
    monkeypatch.setattr(stage.Stage, "add", lambda *_: pytest.fail("read again"))
    made = rows_of(convert(source, tmp_path / "o.arrow", sort_by="n", progress=False))
    assert made["n"].to_pylist() == list(range(5000))
    assert not (tmp_path / "o.arrow.partial").exists()
    assert commit.sorted_drafts is sorting.sorted_drafts


@pytest.mark.slow
def test_memory_is_bounded(tmp_path) -> None:
    """Sorting 200 MB in runs of 8 MB; in one run they take 520 MB."""
    code = """
import resource, sys, threading, time
import numpy as np, pyarrow as pa
from vaxseq.convert import convert, sorting
sorting._RUN_BYTES = 8 << 20
rng = np.random.default_rng(0)
def batches():
    for start in range(0, 2_500_000, 100_000):
        yield pa.record_batch({name: rng.normal(size=100_000) for name in "abcdefghij"})
def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) // 1024
peak = [0]
before = anonymous()
def watch():
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
made = convert(batches(), sys.argv[1], sort_by="a", progress=False)
column = pa.ipc.open_file(pa.memory_map(sys.argv[1])).read_all()["a"].to_numpy()
assert made.n_rows == 2_500_000
assert (np.diff(column) >= 0).all()
print(peak[0] - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "o.arrow")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 250, done.stdout

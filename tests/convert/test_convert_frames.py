"""Frames, queries and arrays as sources: their own rows, in bounded memory, and never half of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import vaex

import vaxseq as vs
from vaxseq.errors import OptionError, SchemaError, SourceError
from vaxseq.frame import Source, source_of, streaming

ROWS = 300


def make_frame(rows: int = ROWS) -> Any:
    rng = np.random.default_rng(5)
    x = rng.normal(size=rows)
    x[::9] = np.nan
    frame = vaex.from_arrays(
        row=np.arange(rows),
        x=x,
        whole=np.ma.array(rng.integers(2**60, 2**61, rows), mask=rng.random(rows) < 0.2),
        letter=np.array(["q", "p", "r"])[rng.integers(0, 3, rows)],
        word=pa.array(np.array(["a", "bé", None], object)[rng.integers(0, 3, rows)]),
        kind=pa.array(np.array(["u", "v", None], object)[rng.integers(0, 3, rows)]).dictionary_encode(),
        when=np.datetime64("2024-01-01T00:00", "s") + np.arange(rows),
        pixels=rng.normal(size=(rows, 2, 3)).astype(np.float32),
        code=rng.integers(4, 6, rows),
    )
    frame["double"] = frame.x * 2
    frame["big"] = frame.whole + 1
    frame["hour"] = frame.when.dt.hour
    return frame


def same(made: Any, expected: Any) -> None:
    """The rows of two frames, to the last bit."""
    first, second = source_of(made), source_of(expected)
    names = first.shown()
    assert names == second.shown()
    assert first.n_rows == second.n_rows
    for name in names:
        one, other = (source.read([name], 0, source.n_rows)[name] for source in (first, second))
        np.testing.assert_array_equal(one.is_missing(), other.is_missing(), err_msg=name)
        kept = ~one.is_missing()
        assert one.compress(kept).data.tolist() == other.compress(kept).data.tolist(), name


def doings() -> dict[str, Any]:
    frame = make_frame()
    other = vaex.from_arrays(code=np.arange(6), extra=np.arange(6) * 10.0)
    return {
        "whole": frame,
        "filtered": frame[frame.double > 0.1],
        "filtered to nothing": frame[frame.x > 1e9],
        "sorted": frame.sort("x"),
        "sliced": frame[20:90],
        "taken": frame.take([5, 3, 3, 8]),
        "concatenated": vaex.concat([make_frame(), make_frame()]),
        "joined and filtered": frame.join(other, on="code", rsuffix="_right")[frame.x > 0],
        "dropped behind a virtual column": frame.drop("whole"),
    }


@pytest.mark.parametrize("block_rows", [37, 1 << 17])
@pytest.mark.parametrize("doing", doings())
def test_a_vaex_frame_is_written_as_it_reads(
    doing: str, block_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_BLOCK_ROWS", block_rows)
    frame = doings()[doing]
    manifest = vs.convert(frame, tmp_path / "made", progress=False)
    assert manifest.n_rows == len(frame)
    if len(frame):
        same(vs.open(tmp_path / "made"), frame.extract() if frame.filtered else frame)


def test_codes_are_written_as_what_they_stand_for(tmp_path: Path) -> None:
    frame = make_frame()
    letters, codes = frame.letter.tolist(), frame.code.tolist()
    frame.ordinal_encode("letter", inplace=True)
    frame.categorize("code", labels=["four", "five"], inplace=True)
    frame["size"] = np.arange(ROWS) % 2
    frame.categorize("size", labels=[2.5, 7.5], inplace=True)
    manifest = vs.convert(frame, tmp_path / "made.arrow", progress=False)
    types = {one.name: one.type for one in manifest.schema.columns}
    assert (types["letter"], types["code"], types["size"]) == ("category", "category", "float64")
    made = vs.open(tmp_path / "made.arrow")
    assert made.letter.tolist() == letters
    assert made.code.tolist() == ["four" if one == 4 else "five" for one in codes]
    assert made["size"].tolist() == [7.5 if row % 2 else 2.5 for row in range(ROWS)]


def test_a_missing_code_and_a_missing_label_are_missing(tmp_path: Path) -> None:
    frame = vaex.from_arrays(c=np.array([0, 1, 2, 0]))
    frame.categorize("c", labels=["a", None, "z"], inplace=True)
    vs.convert(frame, tmp_path / "made.arrow", progress=False)
    assert vs.open(tmp_path / "made.arrow").c.tolist() == ["a", None, "z", "a"]


def test_what_lies_under_a_missing_value_warns_nobody(tmp_path: Path) -> None:
    table = pa.table({"a": [1.0, 2.0, 3.0], "b": pa.array([0.0, 4.0, 0.0], mask=np.array([True, False, True]))})
    vs.convert(table, tmp_path / "stored.arrow", progress=False)
    frame = vs.open(tmp_path / "stored.arrow")
    frame["ratio"] = frame.a / frame.b
    vs.convert(frame[frame.ratio < 1], tmp_path / "made.arrow", progress=False)
    assert vs.open(tmp_path / "made.arrow").ratio.tolist() == [0.5]


def test_options_hold_for_frames_too(tmp_path: Path) -> None:
    frame = make_frame()
    vs.convert(
        frame, tmp_path / "made", columns=["row", "double"], rename={"double": "twice"}, where="twice > 0",
        sort_by="twice", progress=False,
    )  # fmt: skip
    expected = np.sort(frame.double.to_numpy()[frame.double.to_numpy() > 0])
    np.testing.assert_array_equal(vs.open(tmp_path / "made").twice.to_numpy(), expected)
    vs.convert(frame[["row", "double"]], tmp_path / "grows", progress=False)
    vs.convert(pl.DataFrame({"row": [1000], "double": [0.5]}), tmp_path / "grows", append=True, progress=False)
    assert len(vs.open(tmp_path / "grows")) == ROWS + 1


def test_columns_that_are_not_asked_for_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    raw = Source.raw
    monkeypatch.setattr(streaming, "_BLOCK_ROWS", 100)
    monkeypatch.setattr(Source, "raw", lambda self, names, a, b: asked.append(tuple(names)) or raw(self, names, a, b))
    frame = make_frame()
    vs.convert(frame, tmp_path / "made.arrow", columns=["big", "word"], progress=False)
    assert asked.count(("word", "big")) == 4
    assert sum(len(names) > 2 for names in asked) == 2
    same(vs.open(tmp_path / "made.arrow"), frame[["big", "word"]])


def test_frames_one_after_another(tmp_path: Path) -> None:
    frame = make_frame()[["row", "x"]]
    mixed = [
        frame[:100],
        pl.DataFrame({"row": [7], "x": [0.25]}),
        {"row": [8], "x": [None]},
        pa.table({"row": [9], "x": [1.0]}),
    ]
    vs.convert(mixed, tmp_path / "made.arrow", progress=False)
    made = vs.open(tmp_path / "made.arrow")
    assert made.row.tolist() == [*range(100), 7, 8, 9]
    assert made.x.tolist()[-3:] == [0.25, None, 1.0]


def test_lists_of_a_dict_are_nested_as_those_of_a_table(tmp_path: Path) -> None:
    data = {"tags": [["a", "b"], ["c", "d"]], "x": [[1, 2], [3, 4]], "y": [[1], [2, 3]]}
    for number, source in enumerate((data, pa.table(data), pl.DataFrame(data))):
        vs.convert(source, tmp_path / f"{number}.arrow", progress=False)
        made = vs.open(tmp_path / f"{number}.arrow")
        assert made.tags.tolist() == ["a|b", "c|d"]
        assert made.x.tolist() == [[1, 2], [3, 4]]
        assert made["y.length"].tolist() == [1, 2]


def test_a_reader_that_was_read_is_never_taken_for_an_empty_one(tmp_path: Path) -> None:
    table = pa.table({"x": [1, 2, 3]})
    reader = table.to_reader()
    vs.convert(reader, tmp_path / "made.arrow", progress=False)
    with pytest.raises(
        SourceError, match=r"a RecordBatchReader's rows come once, and some were read already\. Make it"
    ):
        vs.convert(reader, tmp_path / "again.arrow", progress=False)
    with pytest.raises(SourceError, match="rows come once"):
        vs.Sequence(reader, inputs=["x"])
    looked_at = table.to_reader()
    vs.Sequence(looked_at, inputs=["x"])
    vs.convert(looked_at, tmp_path / "kept.arrow", progress=False)
    assert vs.open(tmp_path / "kept.arrow").x.tolist() == [1, 2, 3]


def test_a_stream_that_breaks_off_leaves_no_dataset(tmp_path: Path) -> None:
    table = pa.table({"x": np.arange(10)})

    def broken():
        yield table.to_batches()[0]
        raise pa.ArrowInvalid("the wire is cut")

    with pytest.raises(SourceError, match="the stream broke off: .*the wire is cut"):
        vs.convert(pa.RecordBatchReader.from_batches(table.schema, broken()), tmp_path / "made.arrow", progress=False)
    assert not (tmp_path / "made.arrow").exists()


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "15m", "s", "ns"])
def test_times_of_every_unit(unit: str, tmp_path: Path) -> None:
    times = np.array([np.datetime64("2024-01-01"), np.datetime64("NaT"), np.datetime64("1950-06-04")]).astype(
        f"M8[{unit}]"
    )
    data = {"t": times} if unit in ("Y", "M") else {"t": times, "span": times - times[0]}
    vs.convert(data, tmp_path / "made.arrow", progress=False)
    made = source_of(tmp_path / "made.arrow").read(data, 0, 3)
    for name, one in data.items():
        fine = f"{one.dtype.kind}8[ns]"
        np.testing.assert_array_equal(made[name].data.astype(fine), one.astype(fine))


def test_what_no_dataset_holds_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"<dict>: column 'z': dtype .*float128 can't be converted"):
        vs.convert({"z": np.zeros(2, np.longdouble)}, tmp_path / "made.arrow", progress=False)
    with pytest.raises(OptionError, match=r"<dict>: columns of different lengths; got \{'a': 1, 'b': 2\}"):
        vs.convert({"a": [1], "b": [1, 2]}, tmp_path / "made.arrow", progress=False)


PEAK = """
import re, sys, threading, time
import {imports}
import numpy as np, pyarrow as pa, vaxseq as vs
peaks = [0]
def watch():
    while True:
        found = re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())
        peaks.append(max(peaks.pop(), int(found[1])))
        time.sleep(0.01)
source = {source}
threading.Thread(target=watch, daemon=True).start()
vs.convert(source, sys.argv[1], progress=False)
print(peaks[0] // 1024, "vaex" in sys.modules)
"""
SOURCES = {
    "DuckDB": ("duckdb", "duckdb.connect().sql(f'select range a, range / 3 b from range({rows})')"),
    "polars lazy": ("polars", "polars.scan_parquet(sys.argv[2]).head({rows}).with_columns(c=polars.col('a') * 2)"),
    "vaex": ("vaxseq", "vs.open(sys.argv[3])[:{rows}]"),
    "stream": (
        "pyarrow",
        (
            "pa.RecordBatchReader.from_batches(pa.schema([('a', pa.int64())]), "
            "(pa.record_batch({{'a': np.arange(100_000)}}) for _ in range({rows} // 100_000)))"
        ),
    ),
}


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    table = pa.table({"a": np.arange(8_000_000), "b": np.arange(8_000_000) / 3})
    pl.from_arrow(table).write_parquet(folder / "a.parquet")
    with pa.OSFile(str(folder / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1 << 20)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
def test_streams_take_bounded_memory(kind: str, many_rows: Path, tmp_path: Path) -> None:
    file, arrow = many_rows / "a.parquet", many_rows / "a.arrow"
    peaks = []
    for rows in (2_000_000, 8_000_000):
        imports, source = SOURCES[kind]
        code = PEAK.format(imports=imports, source=source.format(rows=rows))
        target = tmp_path / f"{rows}.hdf5"
        done = subprocess.run(
            [sys.executable, "-c", code, str(target), str(file), str(arrow)], check=True, capture_output=True, text=True
        )
        peak, vaex_loaded = done.stdout.split()[-2:]  # DuckDB shows its progress where it is slow
        peaks.append(int(peak))
        assert (vaex_loaded == "True") == (kind == "vaex")
    print(f"{kind}: {peaks[0]} MB, then {peaks[1]} MB")
    assert peaks[1] < peaks[0] * 1.15 + 50

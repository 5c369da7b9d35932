"""Files of other tools: ORC, Avro, Excel, MATLAB, NumPy archives, old Feather, zip archives."""

from __future__ import annotations

import datetime as dt
import decimal
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from vaxseq.convert import convert
from vaxseq.errors import BadRowError, OptionError, SchemaError, SourceError


def rows_of(path: Path, **options: Any) -> dict[str, list[Any]]:
    target = Path(str(path).partition(".zip")[0]).parent / "out.arrow"
    made = convert(path, target, overwrite=True, resume=False, progress=False, **options)
    return pa.ipc.open_file(pa.memory_map(str(made.location))).read_all().to_pydict()


def test_orc(tmp_path) -> None:
    cells = {"a": [1, 2, None], "p": [{"x": 1.5}, None, {"x": 2.5}], "v": [[1.0], [2.0, 3.0], None]}
    orc.write_table(pa.table(cells), tmp_path / "a.orc")
    found = rows_of(tmp_path / "a.orc")
    assert found == {
        "a": [1, 2, None],
        "p.x": [1.5, None, 2.5],
        "v": [[1.0, None], [2.0, 3.0], None],
        "v.length": [1, 2, None],
    }
    assert rows_of(tmp_path / "a.orc", columns=["p.x"]) == {"p.x": [1.5, None, 2.5]}
    (tmp_path / "b.orc").write_bytes(b"ORC" + bytes(50))
    with pytest.raises(SourceError, match="can't read the ORC file"):
        convert(tmp_path / "b.orc", tmp_path / "o.arrow", progress=False)


def test_avro(tmp_path) -> None:
    fastavro = pytest.importorskip("fastavro")
    fields = [
        {"name": "a", "type": "long"}, {"name": "b", "type": ["null", "double"]},
        {"name": "n", "type": ["int", "double"]},
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "p", "type": {"type": "record", "name": "q", "fields": [{"name": "x", "type": "float"}]}},
        {"name": "again", "type": "q"}, {"name": "v", "type": {"type": "array", "items": "double"}},
        {"name": "e", "type": {"type": "enum", "name": "en", "symbols": ["A", "B"]}},
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
        {"name": "m", "type": {"type": "map", "values": "int"}},
    ]  # fmt: skip
    moment = dt.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    rows = [
        {"a": i, "b": None if i == 1 else i / 2, "n": i or 0.5, "t": moment, "day": dt.date(2020, 1, 2),
         "p": {"x": 1.5}, "again": {"x": 2.5}, "v": [1.0] * (i + 1), "e": "AB"[i % 2],
         "d": decimal.Decimal("1.25"), "m": {"k": i}}
        for i in range(3)
    ]  # fmt: skip
    with open(tmp_path / "a.avro", "wb") as file:
        fastavro.writer(file, {"type": "record", "name": "r", "fields": fields}, rows, codec="deflate")
    found = rows_of(tmp_path / "a.avro")
    assert found["a"] == [0, 1, 2] and found["b"] == [0.0, None, 1.0] and found["n"] == [0.5, 1.0, 2.0]
    assert found["t"][0] == moment.replace(tzinfo=None) and found["day"][0] == dt.date(2020, 1, 2)
    assert found["p.x"] == [1.5] * 3 and found["again.x"] == [2.5] * 3 and found["m.k"] == [0, 1, 2]
    assert found["v"][0] == [1.0, None, None] and found["v.length"] == [1, 2, 3] and found["e"] == ["A", "B", "A"]
    assert found["d"][0] == decimal.Decimal("1.25")
    raw = (tmp_path / "a.avro").read_bytes()
    (tmp_path / "cut.avro").write_bytes(raw[:-9])
    with pytest.raises(SourceError, match="can't read the Avro file"):
        convert(tmp_path / "cut.avro", tmp_path / "o.arrow", progress=False)


@pytest.fixture
def book(tmp_path) -> Path:
    pytest.importorskip("python_calamine")
    openpyxl = pytest.importorskip("openpyxl")
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = "data"
    sheet.append(["Station 7"])
    sheet.append(["t", "n", "x", "s", "mixed", "day", "on", None])
    for i in range(3):
        sheet.append([dt.datetime(2020, 1, 1, i), i, i + 0.5, f"a{i}", i or "z", dt.date(2020, 1, 1 + i), i > 0, None])
    sheet.append([])
    sheet.append([dt.datetime(2020, 1, 2), None, 9, None, True, None, None, None])
    made.save(tmp_path / "a.xlsx")
    made.create_sheet("other").append(["k"])
    made["other"].append([5])
    made.save(tmp_path / "two.xlsx")
    return tmp_path / "a.xlsx"


def test_excel(book) -> None:
    assert rows_of(book, skip_rows=1) == {
        "t": [*(dt.datetime(2020, 1, 1, i) for i in range(3)), dt.datetime(2020, 1, 2)], "n": [0, 1, 2, None],
        "x": [0.5, 1.5, 2.5, 9.0], "s": ["a0", "a1", "a2", None], "mixed": ["z", "1", "2", "true"],
        "day": [*(dt.date(2020, 1, 1 + i) for i in range(3)), None], "on": [False, True, True, None],
    }  # fmt: skip
    notice, *more = convert(book, book.with_name("n.arrow"), skip_rows=1, progress=False).notices
    assert (notice.column, notice.lines, more) == ("mixed", ("line 3: 'z'",), [])
    two = book.with_name("two.xlsx")
    with pytest.raises(SchemaError, match=r"2 sheets with rows, \['data', 'other'\]. Choose one with sheet=") as caught:
        convert(two, book.with_name("o.arrow"), progress=False)
    assert caught.value.options == {"sheet": "data"}
    assert rows_of(two, sheet="other") == {"k": [5]}
    with pytest.raises(OptionError, match=r"option sheet; got 'no', expected one of \['data', 'other'\]"):
        convert(two, book.with_name("o.arrow"), sheet="no", progress=False)
    limit = {"columns": [{"name": "x", "type": "float64", "maximum": 5}]}
    with pytest.raises(BadRowError, match="line 7: column 'x'"):
        convert(book, book.with_name("o.arrow"), skip_rows=1, schema=limit, progress=False)
    book.write_bytes(b"PK\x03\x04" + bytes(99))
    with pytest.raises(SourceError, match="can't read the workbook"):
        convert(book, book.with_name("o.arrow"), progress=False)


@pytest.mark.parametrize(
    ("package", "name", "extra"),
    [("python_calamine", "a.xlsx", "excel"), ("fastavro", "a.avro", "avro"), ("scipy.io", "a.mat", "matlab")],
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, name, extra) -> None:
    (tmp_path / name).write_bytes(bytes(3000))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"pip install 'vaxseq\[{extra}\]'"):
        convert(tmp_path / name, tmp_path / "o.arrow", progress=False)


def test_matlab_before_hdf5(tmp_path) -> None:
    sio = pytest.importorskip("scipy.io")
    sparse = pytest.importorskip("scipy.sparse")
    sio.savemat(tmp_path / "a.mat", {
        "t": np.arange(5.0), "acc": np.arange(15.0).reshape(3, 5), "pairs": np.arange(10, dtype=np.int16).reshape(5, 2),
        "names": np.array(["ab", "c", "ddd", "e", "f"], object), "chars": np.array(["aa", "bb", "cc", "dd", "ee"]),
        "s": {"x": np.arange(5)[:, None], "p": {"on": np.ones(5, bool)}}, "fs": 100.0,
        "sp": sparse.csc_matrix(np.eye(5)),
    })  # fmt: skip
    with pytest.raises(SchemaError, match="column 'sp': a csc_matrix can't be converted") as caught:
        convert(tmp_path / "a.mat", tmp_path / "o.arrow", progress=False)
    made = convert(tmp_path / "a.mat", tmp_path / "o.arrow", progress=False, **caught.value.options)
    found = pa.ipc.open_file(pa.memory_map(str(made.location))).read_all().to_pydict()
    assert found == {
        "t": [0.0, 1.0, 2.0, 3.0, 4.0], "acc": [[float(i), i + 5.0, i + 10.0] for i in range(5)],
        "pairs": [[2 * i, 2 * i + 1] for i in range(5)], "names": ["ab", "c", "ddd", "e", "f"],
        "chars": ["aa", "bb", "cc", "dd", "ee"], "s.x": [0, 1, 2, 3, 4], "s.p.on": [True] * 5,
    }  # fmt: skip
    assert made.notices[0].message.startswith("fs (1 rows) left out beside t, ")
    assert made.notices[1].column == "acc"
    (tmp_path / "b.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:300])
    with pytest.raises(SourceError, match="can't read the MATLAB file"):
        convert(tmp_path / "b.mat", tmp_path / "b.arrow", progress=False)


def test_matlab_in_hdf5(tmp_path) -> None:
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["t"], file["acc"] = np.arange(5.0).reshape(1, 5), np.arange(15.0).reshape(3, 5)
        file["row"] = np.arange(5.0).reshape(5, 1)
        file["on"] = np.array([[1, 0, 1, 0, 1]], "u1")
        file["on"].attrs["MATLAB_class"] = np.bytes_("logical")
        file["s/label"] = np.array([[97, 98, 99, 100, 101]], "u2")
        file["s/label"].attrs["MATLAB_class"] = np.bytes_("char")
        file["#refs#/a"] = np.array([[104], [105]], "u2")
        file["#refs#/a"].attrs["MATLAB_class"] = np.bytes_("char")
        refs = np.array([[file["#refs#/a"].ref] * 5], h5py.ref_dtype)
        file.create_dataset("words", data=refs, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
    assert rows_of(tmp_path / "a.mat") == {
        "acc": [[float(i), i + 5.0, i + 10.0] for i in range(5)], "on": [True, False, True, False, True],
        "row": [0.0, 1.0, 2.0, 3.0, 4.0], "s.label": list("abcde"), "t": [0.0, 1.0, 2.0, 3.0, 4.0], "words": ["hi"] * 5,
    }  # fmt: skip


def test_arrays_of_an_archive_are_read_in_blocks(tmp_path, monkeypatch) -> None:
    from vaxseq.convert.readers import named_arrays

    monkeypatch.setattr(named_arrays, "_PIECE_BYTES", 1000)
    kind = [("a", "i4"), ("b", "f4", (2,))]
    arrays = {"x": np.arange(500), "f": np.asfortranarray(np.arange(1000).reshape(500, 2)), "r": np.zeros(500, kind)}
    np.savez_compressed(tmp_path / "a.npz", **arrays, o=np.array([None] * 500), z=np.arange(3))
    with pytest.raises(SchemaError, match="column 'o': Python objects, which aren't unpickled") as caught:
        convert(tmp_path / "a.npz", tmp_path / "o.arrow", progress=False)
    found = rows_of(tmp_path / "a.npz", **caught.value.options)
    assert found["x"] == list(range(500)) and found["f"] == arrays["f"].tolist()
    assert found["r.a"] == [0] * 500 and found["r.b"][0] == [0.0, 0.0]


def test_old_feather_is_refused_with_the_way_out(tmp_path) -> None:
    (tmp_path / "a.feather").write_bytes(b"FEA1" + bytes(60) + b"FEA1")
    with pytest.raises(SourceError, match="Feather version 1.*pyarrow.feather.write_feather"):
        convert(tmp_path / "a.feather", tmp_path / "o.arrow", progress=False)


def test_texts_in_a_zip_archive(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("year=2020/1.csv", "a,b\n" + "".join(f"{i},x\n" for i in range(3000)))
        archive.writestr("year=2021/2.csv", "a,b\n3,y\n")
        archive.writestr("__MACOSX/._1.csv", "junk")
        archive.writestr("read me.txt.bak", "no data")
    found = rows_of(tmp_path / "a.zip", path_column="file")
    assert found["a"] == [*range(3000), 3] and found["year"] == [2020] * 3000 + [2021]
    assert found["file"][-1] == f"{tmp_path}/a.zip/year=2021/2.csv"
    assert rows_of(tmp_path / "a.zip/year=2021/2.csv") == {"a": [3], "b": ["y"]}
    with pytest.raises(SourceError, match=r"no file 'x.csv' in the archive"):
        convert(tmp_path / "a.zip/x.csv", tmp_path / "o.arrow", progress=False)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "p.parquet")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "p.parquet", "p.parquet")
    with pytest.raises(SourceError, match="no CSV or JSON file in the archive; got .*p.parquet"):
        convert(tmp_path / "b.zip", tmp_path / "o.arrow", progress=False)
    with pytest.raises(SourceError, match="parquet is read at any place of the file"):
        convert(tmp_path / "b.zip/p.parquet", tmp_path / "o.arrow", progress=False)
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[60:80] = bytes(20)
    (tmp_path / "c.zip").write_bytes(bytes(raw))
    with pytest.raises(SourceError, match="can't be unpacked"):
        convert(tmp_path / "c.zip/year=2020/1.csv", tmp_path / "o.arrow", progress=False)

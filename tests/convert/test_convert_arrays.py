"""Files of arrays: groups, records, tables of PyTables and pandas, netCDF's conventions, MATLAB's layout."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from vaxseq.convert import convert, inspect
from vaxseq.convert.readers.conventions import since_of
from vaxseq.convert.readers.hdf5_tables import block_names
from vaxseq.errors import OptionError, SchemaError, SourceError


def rows_of(path: Path, **options: Any) -> dict[str, list[Any]]:
    made = convert(path, path.with_suffix(".out.arrow"), overwrite=True, resume=False, progress=False, **options)
    return pa.ipc.open_file(pa.memory_map(str(made.location))).read_all().to_pydict()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a.h5"


def test_records_come_in_field_by_field(path) -> None:
    inner = np.dtype([("x", "f4"), ("y", "i2", (2,))])
    kind = np.dtype([("i", ">i4"), ("s", "S4"), ("p", inner), ("on", "?")])
    with h5py.File(path, "w") as file:
        file["log"] = np.array([(1, b"ab", (0.5, [1, 2]), True), (3, b"c", (1.5, [3, 4]), False)], kind)
    expected = {"i": [1, 3], "s": ["ab", "c"], "p.x": [0.5, 1.5], "p.y": [[1, 2], [3, 4]], "on": [True, False]}
    assert rows_of(path) == expected
    assert rows_of(path, group="log") == expected
    assert rows_of(path, columns=["p.x", "i"]) == {"p.x": [0.5, 1.5], "i": [1, 3]}


def test_arrays_of_one_length_are_taken_from_all_groups(path) -> None:
    with h5py.File(path, "w") as file:
        file["a/x"], file["a/deep/y"], file["b"] = np.arange(3), np.arange(3.0), np.arange(4)
        file["a/deep/again"] = file["a/deep"]  # a link in a circle
        file["a/alone"] = 5
    assert rows_of(path) == {"x": [0, 1, 2], "deep/y": [0.0, 1.0, 2.0]}
    assert rows_of(path, rows=4) == {"b": [0, 1, 2, 3]}
    assert rows_of(path, group="a/deep") == {"y": [0.0, 1.0, 2.0]}
    with pytest.raises(OptionError, match=r"option rows; got 9, expected the length of one of the arrays, \{'b': 4"):
        convert(path, path.with_suffix(".arrow"), rows=9, progress=False)
    with pytest.raises(OptionError, match=r"option group; got 'c', expected one of \['a', 'b'\]"):
        convert(path, path.with_suffix(".arrow"), group="c", progress=False)


def test_what_is_left_out_is_told_and_units_are_kept(path) -> None:
    with h5py.File(path, "w") as file:
        file["x"], file["slow/y"] = np.arange(5), np.arange(7)
        file["x"].attrs["units"] = "degC"
    made = convert(path, path.with_suffix(".arrow"), progress=False)
    (notice,) = made.notices
    assert notice.message == "slow/y (7 rows) left out beside x (5 rows)"
    assert made.schema.column("x").unit == "degC"
    again = convert(path, path.with_suffix(".slow.arrow"), progress=False, **notice.options)
    assert (again.n_rows, again.notices, again.schema.names) == (7, (), ("y",))


def test_what_cannot_be_read_is_left_out_by_columns(path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)
        file.create_dataset("ragged", (3,), h5py.vlen_dtype(np.int32))
        file.create_dataset("ref", (3,), h5py.ref_dtype)
        file["z"] = np.ones(3, np.complex64)
    with pytest.raises(SchemaError, match=r"column 'ragged': arrays of any length.*columns=\['x'\]"):
        convert(path, path.with_suffix(".arrow"), progress=False)
    assert rows_of(path, columns=["x"]) == {"x": [0, 1, 2]}


def test_enumerations_are_their_words(path) -> None:
    with h5py.File(path, "w") as file:
        file["flag"] = np.array([3, 0, 3, 7], h5py.enum_dtype({"ok": 0, "bad": 3}, "u1"))
    assert rows_of(path) == {"flag": ["bad", "ok", "bad", None]}


def test_netcdf_marks_scales_and_units(path) -> None:
    with h5py.File(path, "w") as file:
        file["v"] = np.array([[10, -999], [30, 40], [-999, -999]], "i2")
        file["v"].attrs.update({"_FillValue": np.int16(-999), "scale_factor": 0.5, "add_offset": np.float32(1)})
        file["f"] = np.array([1.5, np.nan, -9.0])
        file["f"].attrs.update({"missing_value": np.array([-9.0, -8.0]), "units": "degC"})
        file["u"] = np.array([-1, 5, 0], "i1")
        file["u"].attrs.update({"_Unsigned": "true", "_FillValue": np.int8(0)})
        file["name"] = np.array([list("ab  "), list("c\0\0\0"), list("dddd")], "S1")
        file["lat"] = np.arange(2.0)
        file["n"] = np.zeros(3, np.float32)
        file["n"].make_scale("This is a netCDF dimension but not a netCDF variable.         3")
        file["v"].dims[0].attach_scale(file["n"])
    found = rows_of(path.rename(path.with_suffix(".nc")))
    assert found["v"] == [[6.0, None], [16.0, 21.0], None]
    assert np.isnan(found["f"][1]) and [found["f"][0], found["f"][2]] == [1.5, None]
    assert found["u"] == [255, 5, None]
    assert found["name"] == ["ab  ", "c", "dddd"]
    assert "lat" not in found and "n" not in found


@pytest.mark.parametrize(
    ("unit", "counts", "expected"),
    [
        ("seconds since 1970-01-01", np.array([0, 90], "i8"), ["1970-01-01", "1970-01-01 00:01:30"]),
        ("hours since 1900-01-01 00:00:0.0", np.array([1, -1], "i4"), ["1900-01-01 01:00", "1899-12-31 23:00"]),
        ("days since 2000-01-01T12:00:00Z", np.array([0.5, 1e-6]), ["2000-01-02", "2000-01-01 12:00:00.086400"]),
        ("minutes since 2000-1-1 00:00 +02:00", np.array([0, 60], "u1"), ["1999-12-31 22:00", "1999-12-31 23:00"]),
        (
            "milliseconds since 2000-01-01 00:00:00.5", np.array([1, 0]),
            ["2000-01-01 00:00:00.501", "2000-01-01 00:00:00.5"],
        ),
        ("days since 1-1-1 00:00:00", np.array([730119, 0]), ["2000-01-01", "0001-01-01"]),
        (
            "seconds since 1970-01-01", np.array([0.1, 1e9 + 0.25]),
            ["1970-01-01 00:00:00.1", "2001-09-09 01:46:40.25"],
        ),
    ],
)  # fmt: skip
def test_times_since_a_day(path, unit, counts, expected) -> None:
    with h5py.File(path, "w") as file:
        file["t"] = counts
        file["t"].attrs["units"] = unit
    assert rows_of(path)["t"] == [dt.datetime.fromisoformat(one) for one in expected]


def test_other_calendars_and_units_stay_numbers(path) -> None:
    assert since_of("months since 2000-01-01", fractions=False) is None
    assert since_of("m s-1", fractions=False) is None
    with h5py.File(path, "w") as file:
        file["t"] = np.arange(2.0)
        file["t"].attrs.update({"units": "days since 2000-01-01", "calendar": "noleap"})
    assert rows_of(path) == {"t": [0.0, 1.0]}


def test_a_missing_mark_is_missing_in_times_too(path) -> None:
    with h5py.File(path, "w") as file:
        file["t"] = np.array([0, -2147483647], "i4")
        file["t"].attrs.update({"units": "days since 2000-01-01", "_FillValue": np.int32(-2147483647)})
        file["f"] = np.array([np.nan, 1.0])
        file["f"].attrs["units"] = "days since 2000-01-01"
    found = rows_of(path)
    assert found == {"f": [None, dt.datetime(2000, 1, 2)], "t": [dt.datetime(2000, 1, 1), None]}


def test_old_netcdf_is_told(tmp_path) -> None:
    (tmp_path / "a.nc").write_bytes(b"CDF\x01" + bytes(100))
    with pytest.raises(SourceError, match="netCDF-3.*nccopy -4"):
        convert(tmp_path / "a.nc", tmp_path / "o.arrow", progress=False)


def test_pytables(path) -> None:
    tables = pytest.importorskip("tables")
    kind = {
        "t": tables.Time64Col(pos=0), "s": tables.Time32Col(pos=1), "v": tables.Float32Col(pos=2),
        "name": tables.StringCol(4, pos=3), "m": tables.Int16Col(shape=(2,), pos=4),
    }  # fmt: skip
    with tables.open_file(path, "w") as file:
        table = file.create_table("/", "log", kind)
        for i in range(3):
            row = table.row
            row["t"], row["s"], row["v"], row["name"], row["m"] = 1e9 + i + 0.25, i, i / 2, f"n{i}", [i, i]
            row.append()
        table.cols.s.create_index()
    found = rows_of(path)
    assert found == {
        "t": [dt.datetime(2001, 9, 9, 1, 46, 40 + i, 250_000) for i in range(3)],
        "s": [dt.datetime(1970, 1, 1, 0, 0, i) for i in range(3)], "v": [0.0, 0.5, 1.0], "name": ["n0", "n1", "n2"],
        "m": [[0, 0], [1, 1], [2, 2]],
    }  # fmt: skip


@pytest.mark.parametrize("form", ["table", "fixed"])
def test_frames_of_pandas(path, form) -> None:
    pytest.importorskip("tables")
    times = pd.date_range("2020", periods=3)
    frame = pd.DataFrame({"a": [1, 2, 3], "t": times, "b": [1.5, 2.5, 3.5], "n": [3, 2, 1]}, index=times.rename("when"))
    frame.to_hdf(path, key="df", format=form)
    found = rows_of(path)
    index = "index" if form == "table" else "when"
    assert found.keys() == {index, "a", "t", "b", "n"}
    assert found[index] == found["t"] == times.to_list()
    assert (found["a"], found["b"], found["n"]) == ([1, 2, 3], [1.5, 2.5, 3.5], [3, 2, 1])


def test_texts_and_categories_of_pandas(path) -> None:
    pytest.importorskip("tables")
    frame = pd.DataFrame({"c": ["x", None, "z"], "k": pd.Categorical(["u", "v", "u"]), "a": [1, 2, 3]})
    frame.to_hdf(path, key="df", format="table", data_columns=["k"])
    with pytest.raises(SchemaError, match="column 'k': pandas keeps its categories apart; .*to_parquet"):
        convert(path, path.with_suffix(".arrow"), progress=False)
    assert rows_of(path, columns=["c", "a"]) == {"c": ["x", None, "z"], "a": [1, 2, 3]}


def test_names_are_read_out_of_a_pickle_that_is_never_run() -> None:
    assert block_names(b"cos\nsystem\n(S'true'\ntR.") is None
    assert block_names(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x01a\x94\x8c\x01b\x94e.") == ["a", "b"]
    assert block_names(b"N.") is None
    assert block_names("text") is None


def test_a_look_before_shows_the_same(path) -> None:
    with h5py.File(path, "w") as file:
        file["x"], file["slow/y"], file["z"] = np.arange(5), np.arange(7), np.ones(5, np.complex64)
        file["x"].attrs["units"] = "degC"
    facts = inspect(path)
    assert (facts["rows"], facts["memory_maps"], [one["name"] for one in facts["columns"]]) == (5, False, ["x"])
    assert facts["columns"][0]["unit"] == "degC"
    lost, left = facts["notices"]
    assert (lost["column"], lost["options"]) == ("z", {"columns": ["x"]})
    assert left["options"] == {"rows": 7}
    assert inspect(path, rows=7)["rows"] == 7

"""convert(): types, bad rows, restart and the account of every row."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vaex

from vaxseq.convert import convert, stage
from vaxseq.dataset.manifest import Manifest
from vaxseq.dataset.schema import Schema
from vaxseq.errors import (
    BadRowError,
    ColumnNotFoundError,
    DatasetError,
    OptionError,
    SchemaError,
    SourceError,
    SourceNotFoundError,
)


def table_of(manifest: Manifest) -> pa.Table:
    """The dataset's rows, through plain pyarrow."""
    return pa.concat_tables([pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in manifest.paths()])


def csv_types(tmp_path: Path, text: str | bytes, **options: object) -> tuple[list[str], dict[str, list[object]]]:
    """Types and values that a CSV text becomes."""
    source = tmp_path / "in.csv"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    made = convert(source, tmp_path / "out.arrow", progress=False, overwrite=True, resume=False, **options)
    return [column.type for column in made.schema.columns], table_of(made).to_pydict()


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "", "-3"], "int64", [1, None, -3]),
        (["9007199254740993", "", "1"], "int64", [9007199254740993, None, 1]),
        (["1", "2.5"], "float64", [1.0, 2.5]),
        (["00123", "7"], "text", ["00123", "7"]),
        (["7", "00123"], "text", ["7", "00123"]),
        (["0x1F", "5"], "text", ["0x1F", "5"]),
        (["+07", "5"], "text", ["+07", "5"]),
        (["+7", "5"], "float64", [7.0, 5.0]),
        (["1e400", "5"], "text", ["1e400", "5"]),
        (["-inf", "Infinity"], "float64", [-np.inf, np.inf]),
        (["18446744073709551616", "5"], "text", ["18446744073709551616", "5"]),
        (["36893488147419103233", "5"], "text", ["36893488147419103233", "5"]),
        (["true", "False"], "bool", [True, False]),
        (["true", "1"], "text", ["true", "1"]),
        (["", ""], "float64", [None, None]),
        (['""', "x"], "text", ["", "x"]),
        (["", "x"], "text", [None, "x"]),
        (['"NA"', "NA"], "text", ["NA", None]),
        (["2020-01-31", ""], "date", [pd.Timestamp("2020-01-31").date(), None]),
        (["2020-01-31", "2020-02-01 01:02"], "timestamp[s]",
         [pd.Timestamp("2020-01-31"), pd.Timestamp("2020-02-01 01:02")]),
        (["2020-01-01 00:00:00.25"], "timestamp[ms]", [pd.Timestamp("2020-01-01 00:00:00.25")]),
        (["2014-01-01T01:00:00+01:00", "2014-07-01T02:00:00+02:00"], "timestamp[s]",
         [pd.Timestamp("2014-01-01"), pd.Timestamp("2014-07-01")]),
        (["12:30", "x"], "text", ["12:30", "x"]),
    ],
)  # fmt: skip
def test_a_text_column_gets_the_smallest_type_that_loses_nothing(tmp_path, cells, kind, values) -> None:
    kinds, found = csv_types(tmp_path, "k,x\n" + "".join(f"a,{cell}\n" for cell in cells))
    if values[0] == 18446744073709551616:
        values = [float(value) for value in values]
    if cells[0] == "18446744073709551616":
        kind, values = "float64", [2.0**64, 5.0]  # a power of two: exact
    assert kinds[1] == kind
    assert found["x"] == values


def test_a_zone_is_recorded(tmp_path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("t\n2014-01-01T01:00:00+01:00\n")
    assert convert(source, tmp_path / "a.hdf5", progress=False).schema.column("t").timezone == "UTC"


@pytest.fixture
def small_units(monkeypatch):
    """Units of a few hundred bytes, so that a small file has many."""
    from vaxseq.convert.readers import delimited

    monkeypatch.setattr(delimited, "_SMALLEST", 256)
    monkeypatch.setattr(delimited, "_ROWS", 1)
    monkeypatch.setattr(delimited, "_SAMPLE", 512)
    monkeypatch.setattr(stage, "MIN_BATCH_ROWS", 40)


@pytest.mark.parametrize("late", ["3.5", "text", "2020-01-01", "", "007", "9" * 25])
@pytest.mark.parametrize("first", ["int", "null", "date"])
@pytest.mark.usefixtures("small_units")
def test_a_type_that_shows_late_gives_the_same_as_one_that_shows_early(tmp_path, first, late) -> None:
    cell = {"int": lambda i: str(i), "null": lambda _: "", "date": lambda i: f"2021-01-{i % 28 + 1:02d}"}[first]
    rows = [f"{i},{cell(i)},w{i % 3}\n" for i in range(120)] + [f"120,{late},w\n"]
    kinds, values = csv_types(tmp_path, "i,x,w\n" + "".join(rows))
    kinds_reversed, values_reversed = csv_types(tmp_path, "i,x,w\n" + "".join(rows[::-1]))
    assert kinds == kinds_reversed
    assert values["x"] == values_reversed["x"][::-1]
    if kinds[1] == "text":
        assert values["x"] == [row.split(",")[1] or None for row in rows]


@pytest.mark.usefixtures("small_units")
def test_integers_beyond_float64_next_to_fractions_are_refused(tmp_path) -> None:
    with pytest.raises(SchemaError, match=r"got \+9007199254740993"):
        csv_types(tmp_path, "x\n1\n+9007199254740993\n")
    rows = ["9007199254740993\n", *["1\n"] * 500, "0.5\n"]
    with pytest.raises(SchemaError, match=r"2\*\*53.*schema="):
        csv_types(tmp_path, "x\n" + "".join(rows))
    with pytest.raises(SchemaError, match=r"2\*\*53"):
        csv_types(tmp_path, "x\n" + "".join(rows[::-1]))


@pytest.mark.usefixtures("small_units")
def test_a_column_of_many_values_becomes_plain_text_and_keeps_them(tmp_path, monkeypatch) -> None:
    from vaxseq.convert import dictionary

    monkeypatch.setattr(dictionary, "MAX_VALUES", 50)
    rows = [f"{i},v{i % 10 if i < 300 else i},{'ab'[i % 2]}\n" for i in range(600)]
    kinds, values = csv_types(tmp_path, "i,x,y\n" + "".join(rows))
    assert kinds == ["int64", "text", "category"]
    assert values["x"] == [row.split(",")[1] for row in rows]


@pytest.mark.usefixtures("small_units")
def test_a_conversion_that_goes_on_tells_the_same_of_its_values(tmp_path) -> None:
    rows = [f"{i},{-9999 if i == 70 else i % 50},{'' if i < 150 else i / 8}" for i in range(600)]
    whole = tmp_path / "whole.csv"
    whole.write_text("\n".join(["i,x,late", *rows]) + "\n")
    source = tmp_path / "in.csv"
    source.write_text("\n".join(["i,x,late", *rows, "600,1"]) + "\n")
    with pytest.raises(BadRowError, match="line 602"):
        convert(source, tmp_path / "o.arrow", progress=False)
    journal = (tmp_path / "o.arrow.partial" / "journal.jsonl").read_text()
    assert journal.count('"pieces"') > 5
    made = convert(source, tmp_path / "o.arrow", on_bad_rows="reject", progress=False)
    once = convert(whole, tmp_path / "once.arrow", progress=False)
    assert made.ranges == once.ranges == {"i": (0, 599), "x": (-9999, 49), "late": (150 / 8, 599 / 8)}
    assert [(one.column, one.message, one.lines) for one in made.notices] == [
        (one.column, one.message, one.lines) for one in once.notices
    ]
    assert "-9999 in 1 of 600 rows" in made.notices[0].message


def test_one_dictionary_in_order_of_appearance(tmp_path) -> None:
    made = convert(pa.table({"x": ["b", "a", None, "b"] * 10}), tmp_path / "o.arrow", progress=False)
    column = table_of(made)["x"]
    assert column.type == pa.dictionary(pa.int32(), pa.string())
    assert column.chunk(0).dictionary.to_pylist() == ["b", "a"]
    assert column.to_pylist() == ["b", "a", None, "b"] * 10


def test_delimiters_quotes_and_encodings(tmp_path) -> None:
    kinds, values = csv_types(tmp_path, '\ufeffa;b\n1,5;x\n2,5;"y;\nz"\n', decimal=",")
    assert kinds == ["float64", "text"]
    assert values == {"a": [1.5, 2.5], "b": ["x", "y;\nz"]}
    _, values = csv_types(tmp_path, "n;v\nMüller;1\nStrauß;2\n".encode("latin-1"), encoding="latin-1")
    assert values["n"] == ["Müller", "Strauß"]
    _, values = csv_types(tmp_path, "# note\n1|2\n", delimiter="|", header=["p", "q"], skip_rows=1)
    assert values == {"p": [1], "q": [2]}
    _, values = csv_types(tmp_path, "a,b\n?,1\n2,?\n", null_values="?")
    assert values == {"a": [None, 2], "b": [1, None]}
    kinds, values = csv_types(tmp_path, "a b\n5 007\n6 8\n", delimiter=" ")
    assert values == {"a": [5, 6], "b": ["007", "8"]}
    _, values = csv_types(tmp_path, "d\n16/12/2006\n17/12/2006\n", timestamp_format="%d/%m/%Y")
    assert values["d"][0] == pd.Timestamp("2006-12-16")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.usefixtures("small_units")
def test_compressed_text_is_the_text(tmp_path, suffix) -> None:
    import bz2
    import lzma

    text = ("a,b\n" + "".join(f'{i},"q{i % 5}\n"\n' for i in range(500))).encode()
    packed = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": lambda raw: pa.compress(raw, "zstd", asbytes=True),
    }
    (tmp_path / "x.csv").write_bytes(text)
    (tmp_path / f"x.csv{suffix}").write_bytes(packed[suffix](text))
    plain = table_of(convert(tmp_path / "x.csv", tmp_path / "a.arrow", progress=False))
    assert plain.num_rows == 500
    assert plain.equals(table_of(convert(tmp_path / f"x.csv{suffix}", tmp_path / "b.arrow", progress=False)))


@pytest.mark.usefixtures("small_units")
def test_rows_plus_rejects_plus_dropped_are_the_input(tmp_path) -> None:
    good = [f"{i},{i / 2}\n" for i in range(300)]
    rows = [*good[:100], "x,1\n", *good[100:200], "1,2,3\n", "77\n", *good[200:], "5,-1.0\n"]
    source = tmp_path / "in.csv"
    source.write_text("a,b\n" + "".join(rows))
    schema = {"columns": [{"name": "a", "type": "int64"}, {"name": "b", "type": "float64", "minimum": 0}]}
    made = convert(source, tmp_path / "o.arrow", schema=schema, where="a >= 10", on_bad_rows="reject", progress=False)
    rejects = pq.read_table(tmp_path / "o.arrow.rejects.parquet").to_pylist()
    assert (made.n_rows, made.rejected_rows, made.dropped_rows) == (290, 4, 10)
    assert [(one["line"], one["column"], one["text"]) for one in rejects] == [
        (102, "a", "x,1"), (203, None, "1,2,3"), (204, None, "77"), (305, "b", "5,-1.0"),
    ]  # fmt: skip
    with pytest.raises(BadRowError, match=r"in\.csv: line 102: column 'a': not a int64; got 'x'.*on_bad_rows='reject'"):
        convert(source, tmp_path / "p.arrow", schema=schema, progress=False)


def test_a_number_beyond_its_declared_type_is_a_bad_row(tmp_path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("a,b\n1e400,1\n-inf,2\n3,1e39\n4,inf\n")
    options = {"schema": {"columns": {"a": "float64", "b": "float32"}}, "on_bad_rows": "reject", "progress": False}
    assert table_of(convert(source, tmp_path / "o.arrow", **options)).to_pydict() == {
        "a": [-np.inf, 4.0], "b": [2.0, np.inf],
    }  # fmt: skip
    rejects = pq.read_table(tmp_path / "o.arrow.rejects.parquet").to_pylist()
    assert [(one["line"], one["column"], one["value"]) for one in rejects] == [(2, "a", "1e400"), (4, "b", "1e39")]


def test_a_bad_row_is_found_behind_a_lone_carriage_return(tmp_path) -> None:
    (tmp_path / "in.csv").write_bytes(b"a,b\n1,2\n3,4\r5,6\r\n7,8,9\n")
    made = convert(tmp_path / "in.csv", tmp_path / "o.arrow", on_bad_rows="reject", progress=False)
    assert table_of(made).to_pydict() == {"a": [1, 3, 5], "b": [2, 4, 6]}
    (reject,) = pq.read_table(tmp_path / "o.arrow.rejects.parquet").to_pylist()
    assert (reject["line"], reject["text"]) == (4, "7,8,9")


def test_schema_checks_make_bad_rows(tmp_path) -> None:
    data = pa.table(
        {"x": [1, None, 300], "c": ["a", "b", "z"], "v": pa.array([[0, 1], [2, 3], [4, 9]], pa.list_(pa.int32(), 2))}
    )
    columns = [
        {"name": "x", "type": "int16", "nullable": False, "unit": "m"},
        {"name": "c", "type": "category", "categories": ["a", "b"]},
        {"name": "v", "type": "float32[2]", "maximum": 8},
    ]
    made = convert(data, tmp_path / "o.arrow", schema={"columns": columns}, on_bad_rows="reject", progress=False)
    assert (made.n_rows, made.rejected_rows) == (1, 2)
    assert made.schema.column("x").unit == "m"
    assert table_of(made).to_pydict() == {"x": [1], "c": ["a"], "v": [[0.0, 1.0]]}


def test_columns_rename_path_and_partitions(tmp_path) -> None:
    for year in (2020, 2021):
        folder = tmp_path / "d" / f"year={year}" / "who=a%20b"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"x": [year], "y": ["q"], "z": [0]}), folder / "f.parquet")
    made = convert(
        tmp_path / "d",
        tmp_path / "o.arrow",
        columns=["y", "x", "year", "who"],
        rename={"x": "ex"},
        path_column="from",
        progress=False,
    )
    found = table_of(made).to_pydict()
    assert found["ex"] == found["year"] == [2020, 2021]
    assert found["who"] == ["a b"] * 2
    assert [Path(one).parent.parent.name for one in found["from"]] == ["year=2020", "year=2021"]
    assert made.schema.names == ("y", "ex", "year", "who", "from")
    with pytest.raises(ColumnNotFoundError, match=r"no column 'ywhy'.*Did you mean|no column 'ywhy'"):
        convert(tmp_path / "d", tmp_path / "p.arrow", columns=["ywhy"], progress=False)


@pytest.mark.usefixtures("small_units")
def test_a_folder_has_fragments_and_takes_more(tmp_path) -> None:
    for name, rows in (("a", range(500)), ("b", range(500, 700))):
        (tmp_path / f"{name}.csv").write_text("i,w\n" + "".join(f"{i},w{i % 7 if i < 500 else i % 9}\n" for i in rows))
    made = convert(tmp_path / "a.csv", tmp_path / "set", fragment_bytes=4096, progress=False)
    assert len(made.fragments) > 1
    assert made == Manifest.load(tmp_path / "set")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in made.paths()}
    more = convert(tmp_path / "b.csv", tmp_path / "set", append=True, progress=False)
    assert more == Manifest.load(tmp_path / "set")
    assert table_of(more)["i"].to_pylist() == list(range(700))
    assert table_of(more)["w"].to_pylist() == [f"w{i % 7 if i < 500 else i % 9}" for i in range(700)]
    assert all((path.stat().st_mtime_ns, path.read_bytes()) == was for path, was in before.items())
    assert len(more.sources) == 2
    (tmp_path / "c.csv").write_text("i,w\n1.5,x\n")
    with pytest.raises(BadRowError, match=r"c\.csv: line 2: column 'i'"):
        convert(tmp_path / "c.csv", tmp_path / "set", append=True, progress=False)


@pytest.mark.usefixtures("small_units")
def test_an_interrupted_run_goes_on_and_equals_an_uninterrupted_one(tmp_path, monkeypatch) -> None:
    source = tmp_path / "a.csv"
    source.write_text("i,x,w\n" + "".join(f"{i},{'' if i < 100 else i / 4},w{i // 30}\n" for i in range(600)))
    whole = convert(source, tmp_path / "whole.arrow", progress=False)
    real = stage.Stage.flush
    for stop in range(1, 12):
        calls = 0

        def flush(self, stop=stop) -> None:
            nonlocal calls
            calls += 1
            if calls > stop:
                raise KeyboardInterrupt
            real(self)

        monkeypatch.setattr(stage.Stage, "flush", flush)
        target = tmp_path / f"part{stop}.arrow"
        try:
            convert(source, target, progress=False)
        except KeyboardInterrupt:
            assert not target.exists()
        monkeypatch.setattr(stage.Stage, "flush", real)
        again = convert(source, target, progress=False) if not target.exists() else Manifest.load(target)
        assert table_of(again).equals(table_of(whole))
        assert not list(tmp_path.glob("*.partial"))


def test_a_changed_source_is_noticed(tmp_path, monkeypatch) -> None:
    source = tmp_path / "a.csv"
    source.write_text("i\n1\n2\n")
    with monkeypatch.context() as patch:
        patch.setattr(stage.Stage, "sync", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            convert(source, tmp_path / "o.arrow", progress=False)
    source.write_text("i\n1\n3\n")
    with pytest.raises(DatasetError, match=r"source may have changed.*resume=False"):
        convert(source, tmp_path / "o.arrow", progress=False)
    assert table_of(convert(source, tmp_path / "o.arrow", resume=False, progress=False))["i"].to_pylist() == [1, 3]


def test_one_writer_at_a_time_and_no_target_lost(tmp_path) -> None:
    from vaxseq.convert.journal import locked

    data = pa.table({"x": [1]})
    target = tmp_path / "o.arrow"
    with (
        locked(tmp_path / "o.arrow.partial", target),
        pytest.raises(DatasetError, match="another conversion is writing"),
    ):
        convert(data, target, progress=False)
    convert(data, target, progress=False)
    with pytest.raises(DatasetError, match="exists already.*overwrite=True"):
        convert(data, target, progress=False)
    assert convert(pa.table({"y": [1, 2]}), target, overwrite=True, progress=False).n_rows == 2
    folder = tmp_path / "set"
    convert(data, folder, progress=False)
    assert convert(pa.table({"y": [1, 2]}), folder, overwrite=True, progress=False).n_rows == 2
    assert Manifest.load(folder).schema.names == ("y",)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    import errno

    from vaxseq.convert import space
    from vaxseq.convert.writers.ipc import IpcFile

    source = tmp_path / "a.csv"
    source.write_text("i\n1\n")

    def full(self, batch) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(IpcFile, "append", full)
        with pytest.raises(DatasetError, match=r"disk is full.*run the same"):
            convert(source, tmp_path / "o.arrow", progress=False)
    assert not (tmp_path / "o.arrow").exists()
    assert convert(source, tmp_path / "o.arrow", progress=False).n_rows == 1
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))
    with pytest.raises(DatasetError, match="not enough room"):
        convert(source, tmp_path / "p.arrow", progress=False)


@pytest.mark.usefixtures("small_units")
def test_a_disk_that_fills_keeps_what_was_written_before(tmp_path, monkeypatch) -> None:
    import errno

    from vaxseq.convert.writers.ipc import IpcFile

    source = tmp_path / "a.csv"
    source.write_text("i\n" + "".join(f"{i}\n" for i in range(600)))
    whole = convert(source, tmp_path / "whole.arrow", progress=False)
    real = IpcFile.append

    def full(self, batch) -> None:
        if len(self.blocks) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(IpcFile, "append", full)
        with pytest.raises(DatasetError, match="disk is full"):
            convert(source, tmp_path / "o.arrow", progress=False)
    journal = (tmp_path / "o.arrow.partial" / "journal.jsonl").read_text()
    assert journal.count('"pieces"') == 3
    made = convert(source, tmp_path / "o.arrow", progress=False)
    assert (made.n_rows, made.ranges) == (600, whole.ranges)
    assert table_of(made).equals(table_of(whole))


def test_what_is_no_source_says_what_to_make_of_it(tmp_path):
    for given, remedy in (
        (5, "convert: got int, expected a dataset's path, a vaex, pandas"),
        (np.zeros((2, 2)), "convert: got an array without named columns, .* Name its columns"),
        (pd.Series([1]), r"convert: got Series, .*series\.to_frame"),
        (pa.array([1]), r"got Int64Array, .*pyarrow\.table\(\{'x': column\}\)"),
        ({"x": 1}, "column 'x': got int, expected an array or a list, a value for each row"),
        ({"train": vaex.from_arrays(x=np.arange(3))}, r"got a dict of frames.*\['train'\]"),
    ):
        with pytest.raises(OptionError, match=remedy):
            convert(given, tmp_path / "x.arrow", progress=False)
    assert not list(tmp_path.glob("x.arrow*"))


def test_mistakes_are_named(tmp_path) -> None:
    source = tmp_path / "flights.csv"
    source.write_text("a,b\n1,2\n")
    target = tmp_path / "o.arrow"
    with pytest.raises(SourceNotFoundError, match=r"flihgts\.csv: no such file.*'flights\.csv'"):
        convert(tmp_path / "flihgts.csv", target, progress=False)
    with pytest.raises(OptionError, match=r"unknown option 'delimeter'.*'delimiter'"):
        convert(source, target, delimeter=";", progress=False)
    with pytest.raises(OptionError, match="on_bad_rows; got 'skip'"):
        convert(source, target, on_bad_rows="skip", progress=False)
    with pytest.raises(SchemaError, match=r"column 'c' isn't in .*flights\.csv"):
        convert(source, target, schema={"columns": {"c": "int64"}}, progress=False)
    with pytest.raises(SourceError, match="unknown format"):
        convert(__file__, target, progress=False)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(SourceError, match="empty"):
        convert(tmp_path / "empty.csv", target, progress=False)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a\n" + b"1\n" * 10_000)[:-20])
    with pytest.raises(SourceError, match="damaged or cut off"):
        convert(tmp_path / "cut.csv.gz", target, progress=False)
    (tmp_path / "other.csv").write_text("c,d\n1,2\n")
    with pytest.raises(SchemaError, match=r"other\.csv: no column is in .*flights\.csv, too; got \['c', 'd'\]"):
        convert([source, tmp_path / "other.csv"], target, progress=False)
    assert not target.exists()


def test_pandas_batches_and_readers(tmp_path) -> None:
    frame = pd.DataFrame({"x": np.arange(5), "s": ["a", None, "b", "", "c"], "t": pd.date_range("2020", periods=5)})
    for number, data in enumerate(
        (
            frame,
            pa.Table.from_pandas(frame),
            pa.Table.from_pandas(frame).to_reader(),
            (frame[i : i + 2] for i in (0, 2, 4)),
        )
    ):
        made = convert(data, tmp_path / f"{number}.arrow", progress=False)
        assert table_of(made)["x"].to_pylist() == [0, 1, 2, 3, 4]
        assert table_of(made)["s"].to_pylist() == ["a", None, "b", "", "c"]


def test_the_schema_file(tmp_path) -> None:
    (tmp_path / "schema.yaml").write_text("columns:\n  a: text\n  b: {type: int16, unit: s}\n")
    (tmp_path / "in.csv").write_text("a,b\n007,5\n")
    made = convert(tmp_path / "in.csv", tmp_path / "o.arrow", schema=tmp_path / "schema.yaml", progress=False)
    assert table_of(made).to_pydict() == {"a": ["007"], "b": [5]}
    assert made.schema == Schema.load(tmp_path / "schema.yaml")

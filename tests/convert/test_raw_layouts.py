"""What stands around the rows: found, or said with the options that set it right."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.convert.raw_text import converted, settled, written
from vaxseq.convert import convert
from vaxseq.convert.inspection import inspect
from vaxseq.dataset.notice import merged_options
from vaxseq.errors import BadRowError, OptionError, SchemaError, SourceError

TOA5 = (
    '"TOA5","CR1000","x"\n"TIMESTAMP","RECORD","T","U"\n"TS","RN","DegC","%"\n"","","Avg","Smp"\n'
    '"2021-01-01 00:00:00",0,1.5,40\n"2021-01-01 00:10:00",1,"NAN",41\n"2021-01-01 00:20:00",2,1.7,41\n'
)
# content -> options that are offered, and the rows after them
OFFERED: list[tuple[str, dict[str, Any], dict[str, list[Any]]]] = [
    (",January,January,February\n[kWh],Sat,Sun,Sat\n00:00-00:15,15.0,14.5,14.25\n00:15-00:30,13.5,13.25,12.0\n",
     {"header_rows": 2},
     {"[kWh]": ["00:00-00:15", "00:15-00:30"], "January Sat": [15.0, 13.5], "January Sun": [14.5, 13.25],
      "February Sat": [14.25, 12.0]}),
    ("time,temp,rh\ns,degC,%\n0,20.5,41\n10,20.75,40\n", {"units_rows": 1},
     {"time": [0, 10], "temp": [20.5, 20.75], "rh": [41, 40]}),
    ('4711,"NORTH PIER",NO,59.9\ntime,level\n2021-01-01 00:00,1.25\n2021-01-01 00:10,1.5\n', {"skip_rows": 1},
     {"time": [dt.datetime(2021, 1, 1), dt.datetime(2021, 1, 1, 0, 10)], "level": [1.25, 1.5]}),
    ("4711,PIER,NO\nt,level,share\ns,m,%\n0,1.25,5\n10,1.5,6\n", {"skip_rows": 1, "units_rows": 1},
     {"t": [0, 10], "level": [1.25, 1.5], "share": [5, 6]}),
    ("Station: X\nLat: 5\n\na,b\n1,2\n3,4\n", {"skip_rows": 3}, {"a": [1, 3], "b": [2, 4]}),
    ("-1,0.25,0.5\n1,0.75,0.5\n1,-0.25,1.5\n", {"header": False},
     {"column_0": [-1, 1, 1], "column_1": [0.25, 0.75, -0.25], "column_2": [0.5, 0.5, 1.5]}),
    ("1,0.5,0.5\n2,0.75,0.5\n", {"header": False},
     {"column_0": [1, 2], "column_1": [0.5, 0.75], "column_2": [0.5, 0.5]}),
    (TOA5, {"skip_rows": 1, "units_rows": 2},
     {"TIMESTAMP": [dt.datetime(2021, 1, 1, 0, minute) for minute in (0, 10, 20)], "RECORD": [0, 1, 2],
      "U": [40, 41, 41]}),
    ("a,b,c\n1,2,3,\n4,5,6,\n", {"names": ["a", "b", "c", "rest"], "columns": ["a", "b", "c"]},
     {"a": [1, 4], "b": [2, 5], "c": [3, 6]}),
    ("a,b\nr1,1,2\nr2,3,4\n", {"names": ["row", "a", "b"]}, {"row": ["r1", "r2"], "a": [1, 3], "b": [2, 4]}),
    ("a,a\n1,2\n3,4\n", {"names": ["a", "a_2"]}, {"a": [1, 3], "a_2": [2, 4]}),
    ("  year  t   v\n1990  1  2.5\n 1991 10 -3\n1992   2 4 \n", {"delimiter": "whitespace"},
     {"year": [1990, 1991, 1992], "t": [1, 10, 2], "v": [2.5, -3.0, 4.0]}),
    ("t,v\n" + "".join(f"{i},{2 * i}\n" for i in range(30)) + "Total,870\n", {"skip_footer": 1},
     {"t": list(range(30)), "v": [2 * i for i in range(30)]}),
]  # fmt: skip


@pytest.mark.parametrize(("content", "options", "rows"), OFFERED)
def test_a_layout_is_said_with_the_options_that_set_it_right(
    tmp_path: Path, content: str, options: dict[str, Any], rows: dict[str, list[Any]]
) -> None:
    taken, table = settled(tmp_path, content)
    assert taken == options
    found = table.to_pydict()
    assert {name: found[name] for name in rows} == rows
    zipped = gzip.compress(content.encode())
    again = settled(tmp_path, zipped, "raw.csv.gz", **options)[1]
    assert str(again.to_pydict()) == str(table.to_pydict())  # nan is nan


AT_ONCE: list[tuple[str | bytes, dict[str, list[Any]]]] = [
    ("sep=;\r\na;b\r\n1;2\r\n3;4\r\n", {"a": [1, 3], "b": [2, 4]}),
    ("# a station\n# lat 5, lon 6\na,b\n1,2\n3,4\n", {"a": [1, 3], "b": [2, 4]}),
    ("a;b\n1,5;2,25\n2,5;3\n", {"a": [1.5, 2.5], "b": [2.25, 3.0]}),
    ("a|b\n1|x,y\n2|z\n", {"a": [1, 2], "b": ["x,y", "z"]}),
    ("a,°C\n1,2\n".encode("utf-16"), {"a": [1], "°C": [2]}),
    ("a,°C\n1,2\n".encode("utf-16-be"), {"a": [1], "°C": [2]}),
    ("a,°C\n1,2\n".encode("utf-8-sig"), {"a": [1], "°C": [2]}),
    ("a,°C,m³/h\n1,2,3\n".encode("cp1252"), {"a": [1], "°C": [2], "m³/h": [3]}),
    ("turbine,0.0,0.5,1.5\nA,1,2,3\nB,4,5,6\n",
     {"turbine": ["A", "B"], "0.0": [1, 4], "0.5": [2, 5], "1.5": [3, 6]}),
    ("station,2019,2020,2021\nA,1,2,3\nB,4,5,6\n",
     {"station": ["A", "B"], "2019": [1, 4], "2020": [2, 5], "2021": [3, 6]}),
]  # fmt: skip


@pytest.mark.parametrize(("content", "rows"), AT_ONCE)
def test_a_layout_that_is_certain_is_read_at_once(tmp_path: Path, content: str | bytes, rows: dict[str, Any]) -> None:
    made, table = converted(tmp_path, content)
    assert table.to_pydict() == rows
    assert not [one for one in made.notices if one.options]


def test_units_are_in_the_schema(tmp_path: Path) -> None:
    made, _ = converted(tmp_path, "time,temp,rh\ns,[degC],%\n0,20.5,41\n10,20.75,40\n", units_rows=1)
    assert [one.unit for one in made.schema.columns] == ["s", "degC", "%"]


def test_a_known_unit_in_a_name_s_brackets_is_in_the_schema_and_the_name_stays(tmp_path: Path) -> None:
    made, table = converted(tmp_path, "Temp (°C),P [kW],I [A],phase (A),rate (new),rh\n1,2,3,4,5,6\n")
    assert [one.unit for one in made.schema.columns] == ["°C", "kW", "A", None, None, None]
    assert table.column_names == ["Temp (°C)", "P [kW]", "I [A]", "phase (A)", "rate (new)", "rh"]


def test_an_encoding_that_may_be_several_is_asked_for(tmp_path: Path) -> None:
    content = "wąż,1\n".encode("cp1250") + b"x,2\n"
    with pytest.raises(SourceError, match=r"encoding can't be told.*cp1252 reads as .*encoding='cp1252'") as caught:
        converted(tmp_path, content)
    assert caught.value.options == {"encoding": "cp1252"}
    _, table = converted(tmp_path, content, encoding="cp1250", header=False)
    assert table["column_0"].to_pylist() == ["wąż", "x"]


def test_a_byte_that_comes_late_is_not_guessed_at(tmp_path: Path) -> None:
    rows = "".join(f"{i},abc\n" for i in range(200_000))
    content = "i,°C\n".encode("cp1252") + rows.encode() + "1,wąż\n".encode("cp1250")
    with pytest.raises(SourceError, match="encoding=") as caught:
        converted(tmp_path, content)
    assert caught.value.options == {"encoding": "cp1252"}


@pytest.mark.parametrize("name", ["raw.csv", "raw.csv.gz"])
def test_the_header_again_is_a_bad_row(tmp_path: Path, name: str) -> None:
    def packed(content: str) -> bytes:
        return gzip.compress(content.encode()) if name.endswith(".gz") else content.encode()

    content = packed("t,v\n1,2.5\n2,3.5\nt,v\n3,4.5\n")
    with pytest.raises(BadRowError, match="line 4: the header again") as caught:
        converted(tmp_path, content, name)
    made, table = converted(tmp_path, content, name, **caught.value.options)
    assert (made.rejected_rows, table.to_pydict()) == (1, {"t": [1, 2, 3], "v": [2.5, 3.5, 4.5]})
    made, table = converted(tmp_path, packed("a,b\nx,y\na,b\nz,w\n"), name, on_bad_rows="reject")
    assert (made.rejected_rows, table.to_pydict()) == (1, {"a": ["x", "z"], "b": ["y", "w"]})


@pytest.mark.parametrize(
    ("content", "line", "rows"),
    [
        ('id,note\n1,ok\n2,"5 inch pipe\n3,ok\n4,ok\n', 3, [1, 3, 4]),
        ('id,note\n1,ok\n2,"5 inch\n3,"fine"\n4,"a\nb"\n', 3, [1, 3, 4]),
        ('id,note\n1,"a\nb"\n2,"end', 4, [1]),
    ],
)
def test_a_quote_that_isn_t_closed_costs_the_line_that_opened_it(
    tmp_path: Path, content: str, line: int, rows: list[int]
) -> None:
    with pytest.raises(BadRowError, match=rf"line {line}: the quote that opens here isn't closed"):
        converted(tmp_path, content)
    made, table = converted(tmp_path, content, on_bad_rows="reject")
    assert (made.rejected_rows, table["id"].to_pylist()) == (1, rows)
    (reject,) = pq.read_table(tmp_path / "out.arrow.rejects.parquet").to_pylist()
    assert reject["line"] == line
    assert reject["text"] in content


def test_a_quote_that_is_open_for_too_long_is_found_at_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vaxseq.convert.readers import delimited

    monkeypatch.setattr(delimited, "_SMALLEST", 64)
    monkeypatch.setattr(delimited, "_LARGEST", 64)
    rows = [f"{i},ok\n" for i in range(139)]
    rows[40] = '40,"5 inch\n'
    content = "id,note\n" + "".join(rows)
    with pytest.raises(SourceError, match="line 42: the quote that opens here isn't closed") as caught:
        converted(tmp_path, content)
    _, table = converted(tmp_path, content, **caught.value.options)
    assert table["note"][40].as_py() == '"5 inch'


def test_quotes_that_are_in_order_stay_so(tmp_path: Path) -> None:
    content = 'i,s\n1,"a ""quoted"" word"\n2,"two\nlines, and ""more"""\n3,5" pipe\n4,""\n'
    made, table = converted(tmp_path, content)
    assert table["s"].to_pylist() == ['a "quoted" word', 'two\nlines, and "more"', '5" pipe', ""]
    assert not made.rejected_rows


def test_comments_among_the_rows(tmp_path: Path) -> None:
    content = '# head\nt,v\n1,2\n# sensor changed\n2,"a\n# text"\nx,3,4\n'
    with pytest.raises(BadRowError, match=r"line 7: got 3 fields, expected 2"):
        converted(tmp_path, content, comment="#")
    made, table = converted(tmp_path, content, comment="#", on_bad_rows="reject")
    assert table.to_pydict() == {"t": [1, 2], "v": ["2", "a\n# text"]}
    assert made.rejected_rows == 1


def test_names_take_the_header_s_place(tmp_path: Path) -> None:
    assert converted(tmp_path, "a,b\n1,2\n", names=["p", "q"])[1].to_pydict() == {"p": [1], "q": [2]}
    assert converted(tmp_path, "1,2\n", header=False, names=["p", "q"])[1].to_pydict() == {"p": [1], "q": [2]}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("skip_rows", -1),
        ("header_rows", 0),
        ("units_rows", True),
        ("skip_footer", "x"),
        ("comment", ""),
        ("names", "ab"),
    ],
)
def test_options_of_layouts_are_checked(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"option {option}; got"):
        converted(tmp_path, "a,b\n1,2\n", **{option: value})


def test_a_name_with_a_null_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="NUL character") as caught:
        converted(tmp_path, "a\0b,c\n1,2\n")
    assert converted(tmp_path, "a\0b,c\n1,2\n", **caught.value.options)[1].to_pydict() == {"ab": [1], "c": [2]}


def test_files_of_other_columns_are_one_table(tmp_path: Path) -> None:
    sources = [
        written(tmp_path, content, f"{number}.csv")
        for number, content in enumerate(("a,b\n1,x\n2,y\n", "b,c,a\nz,2.5,3\n", "a\n12\n"))
    ]
    made = convert(sources, tmp_path / "o.arrow", progress=False)
    import vaxseq as vs

    frame = vs.open(tmp_path / "o.arrow")
    found = {name: frame[name].tolist() for name in frame.get_column_names()}
    assert found == {"a": [1, 2, 3, 12], "b": ["x", "y", "z", None], "c": [None, None, 2.5, None]}
    assert [one.column for one in made.notices] == ["b", "c"]
    assert "2.csv" in made.notices[0].message
    schema = {"columns": {"b": {"type": "text", "nullable": False}}}
    made = convert(sources, tmp_path / "p.arrow", schema=schema, on_bad_rows="reject", progress=False)
    assert (made.n_rows, made.rejected_rows) == (3, 1)


def test_a_wide_table_turned_long(tmp_path: Path) -> None:
    content = "station,1/1/2021,1/31/2021\nA,1,2.5\nB,3,\n"
    melt = {"keep": ["station"], "names": "day", "values": "kwh"}
    made, table = converted(tmp_path, content, melt=melt)
    first, last = dt.date(2021, 1, 1), dt.date(2021, 1, 31)
    assert table.to_pydict() == {
        "station": ["A", "A", "B", "B"], "day": [first, last] * 2, "kwh": [1.0, 2.5, 3.0, None],
    }  # fmt: skip
    _, table = converted(tmp_path, "s,a,b\nA,1,2\nB,x,3\n", melt=["s"])
    assert table.to_pydict() == {"s": ["A", "A", "B", "B"], "name": ["a", "b"] * 2, "value": ["1", "2", "x", "3"]}
    schema = {"columns": {"value": "int64"}}
    made, table = converted(tmp_path, "s,a,b\nA,1,2\nB,x,3\n", melt=["s"], schema=schema, on_bad_rows="reject")
    assert (made.rejected_rows, table["value"].to_pylist()) == (1, [1, 2])
    with pytest.raises(OptionError, match=r"option melt; got \{'kep': \['s'\]\}"):
        converted(tmp_path, content, melt={"kep": ["s"]})


def test_date_and_time_of_two_columns(tmp_path: Path) -> None:
    content = "Date,Time,v\n12/1/2021,7:45 AM,1\n12/31/2021,5:05 PM,2\n,5:05 PM,3\n"
    made, table = converted(tmp_path, content, time_from=["Date", "Time"])
    assert made.schema.names == ("time", "v")
    assert table["time"].to_pylist() == [dt.datetime(2021, 12, 1, 7, 45), dt.datetime(2021, 12, 31, 17, 5), None]
    content = "d,t\n01/02/2021,07:00\n03/04/2021,x\n"
    options = {"time_from": {"when": ["d", "t"]}, "forms": {"when": "day_first"}, "on_bad_rows": "reject"}
    made, table = converted(tmp_path, content, **options)
    assert (made.rejected_rows, table["when"].to_pylist()) == (1, [dt.datetime(2021, 2, 1, 7)])
    with pytest.raises(OptionError, match=r"option time_from; got 'd'"):
        converted(tmp_path, content, time_from="d")


def test_an_error_says_its_line_once(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"raw\.csv: line 1 has 4 fields, the lines from 2 on have 2") as caught:
        converted(tmp_path, '4711,"NORTH PIER",NO,59.9\ntime,level\n2021-01-01 00:00,1.25\n2021-01-01 00:10,1.5\n')
    assert str(caught.value).count("line 1") == 1


def logger(name: str, rows: int = 40) -> bytes:
    cells = [f"{i % 28 + 1:02d}.01.2014 01:{i:02d};{'-9999' if i == 7 else f'1.{i:03d},5'}" for i in range(rows)]
    lines = [f"Station:;{name}", "Zeit;Leistung", ";kW", *cells, "Ende der Messung;"]
    return "\r\n".join(lines).encode("cp1252")


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_a_footer_of_every_source_is_told(tmp_path: Path, names: list[str]) -> None:
    sources = [tmp_path / f"{name}.csv" for name in names]
    for source in sources:
        source.write_bytes(logger(source.stem))
    options: dict[str, Any] = {"skip_rows": 1, "units_rows": 1}
    made = convert(sources, tmp_path / "o.arrow", progress=False, **options)
    offered = merged_options(made.notices)
    assert offered == {"skip_footer": 1, "null_values": {"Leistung": ["-9999"]}}
    made = convert(sources, tmp_path / "p.arrow", progress=False, **options, **offered)
    assert [(one.name, one.type) for one in made.schema.columns] == [("Zeit", "timestamp[s]"), ("Leistung", "float64")]
    assert (made.n_rows, merged_options(made.notices)) == (40 * len(names), {})
    if len(names) > 1:  # one without it keeps the line from being every source's
        sources[1].write_bytes(logger("b").rpartition(b"\r\n")[0])
        made = convert(sources, tmp_path / "q.arrow", progress=False, **options)
        assert "skip_footer" not in merged_options(made.notices)


def test_a_second_look_goes_on_from_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(logger("a"))
    options: dict[str, Any] = {"skip_rows": 1, "units_rows": 1}
    look = inspect(tmp_path / "a.csv", **options)
    assert look.options == {"skip_footer": 1, "null_values": {"Leistung": ["-9999"]}}
    look = inspect(tmp_path / "a.csv", **options, **look.options)
    assert look.options == {}
    assert [one["type"] for one in look["columns"]] == ["timestamp[s]", "float64"]
    assert look["columns"][1]["missing"] == 1 / 40


def test_remarks_below_two_header_lines_are_no_rows(tmp_path: Path) -> None:
    day = "20000101T000000,,,Nein\n"
    path = written(tmp_path, f",wind,wind,wind\nwhen,speed,count,on\n{day * 3}\nRemark: all of it\n(c) 2021\n")
    with pytest.raises(SchemaError, match=r"got \['wind'\] twice, and the line below.*Pass header_rows=2"):
        convert(path, tmp_path / "o.arrow", progress=False)

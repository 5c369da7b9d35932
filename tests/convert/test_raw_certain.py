"""Layouts that ten rows leave no doubt about are read at once, and said; fewer rows, or another reading, are asked."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from tests.convert.raw_text import converted, settled, written
from vaxseq.convert import convert
from vaxseq.convert.inspection import inspect
from vaxseq.errors import SchemaError, SourceError

DAYS = [dt.date(2021, 1, 1) + dt.timedelta(one) for one in range(12)]
ROWS = "".join(f"{day},{one}.5,{one * one}\n" for one, day in enumerate(DAYS))
VALUES = [[one + 0.5 for one in range(12)], [one * one for one in range(12)]]
BLANKS = "".join(f"{one:3d} {one}.25   {one * one}\n" for one in range(12))
# content -> how it is said to be read, names
CERTAIN = [
    ("Station: PIER, north\nSerial,4711\n\nday,level,count\n" + ROWS, "skip_rows=3", ["day", "level", "count"]),
    ("LOGGER,,\nSERIAL 4711,,\nday,level,count\n" + ROWS, "skip_rows=2", ["day", "level", "count"]),
    ("day,level,count\n-,m,%\n" + ROWS, "units_rows=1", ["day", "level", "count"]),
    ("day,level,count\n20d,14n,8s\n" + ROWS, "units_rows=1", ["day", "level", "count"]),
    ("day,level,count\nd,m,mm\n" + ROWS, "units_rows=1", ["day", "level", "count"]),
    ("day,level,count\n[d],[s],[s]\n" + ROWS, "units_rows=1", ["day", "level", "count"]),
    (",pier,pier\nday,level,count\n" + ROWS, "header_rows=2", ["day", "pier level", "pier count"]),
    ("day,level,count\n# a remark, by hand\n#\n" + ROWS, "2 to 3", ["day", "level", "count"]),
    ("# a title\n\n" + ROWS, "header=False", ["column_0", "column_1", "column_2"]),
    (ROWS, "header=False", ["column_0", "column_1", "column_2"]),
    ("PIER\nday;level;count\n" + ROWS, "names=", ["day", "level", "count"]),
    ("PIER\nthe day  level (m)  count\n" + ROWS, "names=", ["the day", "level (m)", "count"]),
    ("A,,,\nday,level,count\n" + ROWS.replace("\n", ",\n"), "names=", ["day", "level", "count", "column_3"]),
    ("day,level,count,\n" + ROWS, "names=", ["day", "level", "count"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said", "names"), CERTAIN)
def test_what_ten_rows_leave_no_doubt_about_is_read_and_said(
    tmp_path: Path, content: str, said: str, names: list[str]
) -> None:
    made, table = converted(tmp_path, content)
    assert table.column_names == names
    assert [table.column(place).to_pylist() for place in range(3)] == [DAYS, *VALUES]
    (notice,) = made.notices
    assert said in notice.message
    assert (notice.options, notice.lossless) == ({}, True)
    looked = inspect(written(tmp_path, content))
    assert [one["name"] for one in looked["columns"]] == names
    assert "--option" not in looked["command"]


@pytest.mark.parametrize("names", ["  a b  c\n", "# a, b, c\n", "# a b c\n"])
def test_blanks_part_every_line(tmp_path: Path, names: str) -> None:
    made, table = converted(tmp_path, names + BLANKS)
    assert table.to_pydict() == {
        "a": [*range(12)], "b": [one + 0.25 for one in range(12)], "c": [one * one for one in range(12)]
    }  # fmt: skip
    assert any("delimiter='whitespace'" in one.message for one in made.notices)


def test_each_file_of_a_folder_has_its_own_lines_above(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for lines in (0, 2, 5):
        (folder / f"{lines}.csv").write_text("Station: PIER\n" * lines + "day,level,count\n" + ROWS)
    made = convert(folder, tmp_path / "o.arrow", progress=False)
    assert (made.n_rows, made.schema.names) == (36, ("day", "level", "count"))
    assert [one.message.count("as with skip_rows") for one in made.notices] == [1, 1]


# content -> an option that is offered; nothing is taken by itself
ASKED = [
    ("Station: PIER\nSerial: 5\nday,level,count\n" + "".join(ROWS.splitlines(True)[:9]), "skip_rows"),
    ("day,level,count\n-,m,%\n" + "".join(ROWS.splitlines(True)[:9]), "units_rows"),
    ("day,level,count\nfine,rough,none\n" + ROWS, "units_rows"),  # no units
    ("day,level,count\nd,T,T\n" + ROWS, "units_rows"),  # letters, as traces of rain are written
    ("day,level,count\nA,C,A\n" + ROWS, "units_rows"),
    ("day,level,count\nin,in,in\n" + ROWS, "units_rows"),
    ("Run,of,Tuesday\nt,V,A\n" + ROWS, "units_rows"),  # the names, under a title
    ("day,level,count\n5s,10s,3s\n" + ROWS, "units_rows"),
    ("day,level,count\n5s,10d,3s\n" + ROWS, "units_rows"),
    ("9,5,7\n" + "".join(f"{one},{one % 5},{one % 3}\n" for one in range(12)), "header"),  # maybe names of channels
    ("1.5\n" + "".join(f"{one}.5\n" for one in range(12)), "header"),
    ("a b c d\n" + ROWS.replace(",", "\t") + "", "header"),  # names that can't be parted as the rows are
    ("a,b,c\n1,2,3\n4,5,6\n\nd,e,f\n" + "".join(f"{one},{one}.5,{one * 7}\n" for one in range(12)), "skip_rows"),
    ("".join(f"{one} 250 300\n" for one in range(1, 14)), "delimiter"),  # a number with blanks between thousands
]  # fmt: skip


@pytest.mark.parametrize(("content", "option"), ASKED)
def test_what_may_be_read_otherwise_is_asked(tmp_path: Path, content: str, option: str) -> None:
    offered, said = attempted(tmp_path, content)
    assert option in offered
    assert not any("read so" in one for one in said)


# content -> what the names are, when all is taken that is offered; nothing is taken by itself
NAMES_ABOVE = [
    ("PIER 5\nday,level,count\ns,V,A\n" + ROWS, ["day", "level", "count"]),
    ("PIER 5\nSerial,77\nday,level,count\ns,V,A\n" + ROWS, ["day", "level", "count"]),
    ("PIER 5\nplace,level,count\nhome,low,high\n" + ROWS, ["place", "level", "count"]),
    ("PIER 5\nplace,level,count\nhome,low,high\nwork,mid,up\n" + ROWS, ["place", "level", "count"]),
    ("PIER\nplace,level\nhome,low\n" + "".join(f"{one},{one}.5\n" for one in range(12)), ["place", "level"]),
]


@pytest.mark.parametrize(("content", "names"), NAMES_ABOVE)
def test_names_under_a_title_and_above_words_stay_the_names(tmp_path: Path, content: str, names: list[str]) -> None:
    offered, said = attempted(tmp_path, content)
    assert offered >= {"skip_rows", "units_rows"}
    assert not said
    _, table = settled(tmp_path, content)
    assert (table.column_names, table.num_rows) == (names, 12)


def test_names_and_units_under_a_title_are_read_at_once(tmp_path: Path) -> None:
    made, table = converted(tmp_path, "PIER 5\nSerial,4711\nday,level,count\n[d],[m],[%]\n" + ROWS)
    assert (table.column_names, table.num_rows) == (["day", "level", "count"], 12)
    assert "skip_rows=2, units_rows=1" in made.notices[0].message


def test_a_row_of_values_above_the_names_is_left_out_by_no_certainty(tmp_path: Path) -> None:
    offered, _ = attempted(tmp_path, "PIER\n5,2.5,1\nday,level,count\n" + ROWS)
    assert "skip_rows" in offered


def attempted(folder: Path, content: str) -> tuple[set[str], list[str]]:
    """The options that are offered, and what was noted."""
    try:
        made, _ = converted(folder, content)
    except SchemaError as error:
        return set(error.options), []
    return {key for one in made.notices for key in one.options}, [one.message for one in made.notices]


def test_an_axis_of_numbers_stays_the_header(tmp_path: Path) -> None:
    for axis in ("0.5,1.5,2.5", "2.5,1.5,0.5"):
        made, table = converted(tmp_path, axis + "\n" + "".join(f"{one},{one % 5},{one % 3}\n" for one in range(12)))
        assert (table.column_names, table.num_rows) == (axis.split(","), 12)
        assert not any("read so" in one.message for one in made.notices)


def test_two_tables_in_one_file_are_told_apart(tmp_path: Path) -> None:
    first = "place,owner,since,depth,\nPIER,city,2001-02-03,5,9\nQUAY,city,2001-02-03,6,8\n"
    second = "place,day,level,,,\n" + "".join(f"PIER,{day},{one}.5,,,,\n" for one, day in enumerate(DAYS))
    _, table = settled(tmp_path, "Title:,,,,,,\n" + first + "\n" + second)
    assert table.column_names[:3] == ["place", "day", "level"]
    assert (table["day"].to_pylist(), table["level"].to_pylist()) == (DAYS, VALUES[0])
    padded = "place,owner,since\nPIER,city,2001-02-03\n,,\nplace,level,\n" + "".join(
        f"PIER,{one},\n" for one in VALUES[0]
    )
    taken, table = settled(tmp_path, padded)
    assert taken["skip_rows"] == 3
    assert table["level"].to_pylist() == VALUES[0]


def test_three_lines_of_names_and_a_blank_one(tmp_path: Path) -> None:
    content = "net,1,1,2\nside,l,r,l\nkind,a,a,a\n,,,\n" + "".join(f"{one},{one}.5,2,3\n" for one in range(5))
    taken, table = settled(tmp_path, content)
    assert taken == {"header_rows": 4}
    assert table.column_names == ["net side kind", "1 l a", "1 r a", "2 l a"]
    assert table.num_rows == 5


def test_a_blank_line_under_units_is_no_row(tmp_path: Path) -> None:
    taken, table = settled(tmp_path, "t,power,energy\nof,active,reactive\n,,\n" + ROWS)
    assert (taken, table.num_rows) == ({"units_rows": 2}, 12)


def test_a_first_line_of_words_that_come_below_may_be_a_row(tmp_path: Path) -> None:
    made, _ = converted(tmp_path, "north,on,ok\nsouth,on,low\neast,off,ok\n")
    (notice,) = [one for one in made.notices if "header" in one.options]
    assert (notice.options, notice.lossless) == ({"header": False}, False)
    made, _ = converted(tmp_path, "place,state,note\nsouth,on,low\neast,off,ok\n")
    assert not [one for one in made.notices if "header" in one.options]


@pytest.mark.parametrize(("rows", "is_told"), [(["20210131", "20210228", "20210301"], True),
                                              (["20210131", "20210229", "20210301"], False),
                                              (["20210131", "20210131"], False),
                                              (["20210131", "", "23450101"], False)])  # fmt: skip
def test_whole_numbers_that_are_days_are_told(tmp_path: Path, rows: list[str], is_told: bool) -> None:
    content = "id,v\n" + "".join(f"{one},5\n" for one in rows)
    made, table = converted(tmp_path, content)
    assert str(table["id"].type) == "int64"
    told = [one for one in made.notices if one.column == "id"]
    assert bool(told) == is_told == bool(inspect(written(tmp_path, content)).notices)
    if is_told:
        assert told[0].options == {"forms": {"id": "compact"}}
        assert told[0].lines == ("line 2: '20210131'",)
        _, table = converted(tmp_path, content, **told[0].options)
        assert table["id"].to_pylist() == [dt.date(2021, 1, 31), dt.date(2021, 2, 28), dt.date(2021, 3, 1)]


def test_text_of_another_suffix_offers_the_format(tmp_path: Path) -> None:
    source = written(tmp_path, "t\tv\n1\t2\n", "run.mpt")
    with pytest.raises(SourceError, match="It is text: pass format='csv'") as told:
        convert(source, tmp_path / "o.arrow", progress=False)
    assert convert(source, tmp_path / "o.arrow", progress=False, **told.value.options).n_rows == 1
    with pytest.raises(SourceError, match=r"unknown format.*Pass format=\.") as told:
        convert(written(tmp_path, b"\0\1\2", "run.bin"), tmp_path / "p.arrow", progress=False)
    assert told.value.options == {}


def test_json_under_another_name_is_told(tmp_path: Path) -> None:
    source = written(tmp_path, '{"t": 1, "v": 2}\n{"t": 2, "v": 3}\n', "run.txt")
    with pytest.raises(SourceError, match="the text is JSON") as told:
        convert(source, tmp_path / "o.arrow", progress=False)
    options: dict[str, Any] = dict(told.value.options)
    assert convert(source, tmp_path / "o.arrow", progress=False, **options).n_rows == 2


def test_carriage_returns_alone_end_lines(tmp_path: Path) -> None:
    made, table = converted(tmp_path, ("PIER\nSerial,4711\nday,level,count\n" + ROWS).replace("\n", "\r"))
    assert (table.column_names, table.num_rows) == (["day", "level", "count"], 12)
    assert "skip_rows=2" in made.notices[0].message
    content = ("day,level,count\n" + ROWS.replace("11.5", "many")).replace("\n", "\r")
    made, table = converted(tmp_path, content, on_bad_rows="reject")
    assert table["level"].to_pylist()[-1] == "many"
    assert made.notices[0].lines == ("line 13: 'many'",)


def test_a_header_of_numbers_above_row_numbers_stays_one(tmp_path: Path) -> None:
    content = ",0.5,1.5,1.5\n" + "".join(f"{one},{one}.5,2.5,3.5\n" for one in range(12))
    made, table = converted(tmp_path, content)
    assert (table.column_names, table.num_rows) == (["column_0", "0.5", "1.5", "1.5_2"], 12)
    assert "got ['1.5'] twice; read so, as with names=" in made.notices[0].message
    taken, table = settled(tmp_path, "\n".join(content.splitlines()[:8]) + "\n")
    assert (taken, table.num_rows) == ({"names": ["column_0", "0.5", "1.5", "1.5_2"]}, 7)


def test_numbers_with_signs_and_leading_zeros_before_a_point(tmp_path: Path) -> None:
    content = 'id,lat\n"007","+00.000"\n"008","-07.125"\n"009",""\n'
    made, table = converted(tmp_path, content)
    assert table.to_pydict() == {"id": ["007", "008", "009"], "lat": [0.0, -7.125, None]}
    assert made.forms == {"lat": "decimal_point"}


def test_what_blanks_part_goes_on_with_the_options_of_its_errors(tmp_path: Path) -> None:
    rows = "".join(f"2021/01/{day:02d} 00:00 PIER PIER {day}.5 1 G{day}\n" for day in range(1, 15))
    taken, table = settled(tmp_path, rows)
    assert taken == {"delimiter": "whitespace", "header": False, "time_from": ["column_0", "column_1"]}
    assert (table.num_rows, table.num_columns) == (14, 6)


# content -> an option that is given, which is no other than the default
GIVEN = [
    ("400.5,500.5\n" + "".join(f"{one}.5,{one + 2}.25\n" for one in range(20)), {"header": True}, "400.5", 20),
    ("400.5,500.5\n" + "".join(f"{one}.5,{one + 2}.25\n" for one in range(20)), {"header_rows": 1}, "400.5", 20),
    ("day,level,count\n-,m,%\n" + ROWS, {"units_rows": 0}, "day", 13),
    ("day,level,count\n-,m,%\n" + ROWS, {"header": True}, "day", 13),
]  # fmt: skip


@pytest.mark.parametrize(("content", "given", "name", "rows"), GIVEN)
def test_an_option_that_is_given_wins(
    tmp_path: Path, content: str, given: dict[str, Any], name: str, rows: int
) -> None:
    made, table = converted(tmp_path, content, **given)
    assert (table.column_names[0], table.num_rows) == (name, rows)
    assert not any("read so" in one.message or given.keys() & one.options.keys() for one in made.notices)
    made, _ = converted(tmp_path, content)
    undone = ("units_rows=0" if "%" in content else "header=True") + " has it not so"
    assert undone in made.notices[0].message


def test_lines_to_skip_that_are_given_stay(tmp_path: Path) -> None:
    content = "PIER\nday,level,count\n" + ROWS
    for given in ({"skip_rows": 0}, {"header": True}):
        with pytest.raises(SchemaError, match="Pass skip_rows=1"):
            converted(tmp_path, content, **given)


@pytest.mark.parametrize("first", ["1.5,2.0,2.75,a", "NaN,1.5,2.25,a", "1.5,NA,2.25,a", ",1.5,2.25,a", "inf,1.5,2.25,a",
                                   "1,2,3,a"])  # fmt: skip
def test_a_first_line_of_values_gets_a_notice_at_least(tmp_path: Path, first: str) -> None:
    rows = "".join(f"{one % 3}.5,{one % 5}.25,{one % 7},{'ab'[one % 2]}\n" for one in range(20))
    for content in (f"{first}\n{rows}", first[:-2] + "\n" + rows.replace(",a\n", "\n").replace(",b\n", "\n")):
        offered, said = attempted(tmp_path, content)
        assert offered == {"header"} or any("header=False" in one for one in said)


@pytest.mark.parametrize(
    ("first", "row"), [("Bob,Zurich,42", "Ann{0},Bern{0},{0}"), ("true,1.5,yes", "false,{0}.5,no")]
)
def test_a_first_line_with_a_value_above_each_value_gets_a_notice(tmp_path: Path, first: str, row: str) -> None:
    made, _ = converted(tmp_path, first + "\n" + "".join(row.format(one) + "\n" for one in range(20)))
    (notice,) = [one for one in made.notices if "header" in one.options]
    assert (notice.options, notice.lossless) == ({"header": False}, False)


# words that may be a title's, above rows
SENTENCES = [
    "PIER Zurich North\n" + ROWS,
    "PIER of Zurich\n" + ROWS,
    "# made by me\n" + BLANKS,
]


@pytest.mark.parametrize("content", SENTENCES)
def test_words_of_a_title_are_names_by_no_certainty(tmp_path: Path, content: str) -> None:
    offered, said = attempted(tmp_path, content)
    assert offered >= {"header", "names"}
    assert not any("names=" in one for one in said)


def test_lines_that_begin_with_a_hash_and_may_be_rows_are_told(tmp_path: Path) -> None:
    for content in ("#ff0000,red\n#00ff00,green\n" + "".join(f"{one:06d},c{one}\n" for one in range(12)),
                    "#one,two\na,b\n" + "".join(f"{one},{one}.5\n" for one in range(12))):  # fmt: skip
        made, _ = converted(tmp_path, content)
        assert [one.lines for one in made.notices if "were left out" in one.message] == [("line 1",)]
        assert converted(tmp_path, content, header=False)[1].num_rows == content.count("\n")
    made, _ = converted(tmp_path, "# a title, by hand, of 2021\n# and more\nday,level\n1,2\n3,4\n")
    assert not made.notices
    made, _ = converted(tmp_path, "# made by me\n#1,2.5,3\n" + "".join(f"{one},{one}.5,1\n" for one in range(12)))
    assert any("header" in one.options for one in made.notices)


def test_a_file_whose_lines_all_begin_with_a_hash_is_not_empty(tmp_path: Path) -> None:
    content = "".join(f"#{one:06d},{one}\n" for one in range(12))
    with pytest.raises(SourceError, match="all lines begin with #.*Pass header=False") as told:
        converted(tmp_path, content)
    assert converted(tmp_path, content, **told.value.options)[1].num_rows == 12


def test_json_in_the_first_cell_is_no_file_of_json(tmp_path: Path) -> None:
    content = '{"k": 1}\t5\n' * 20
    _, table = converted(tmp_path, content, "raw.tsv", header=False, names=["payload", "n"])
    assert (table["n"].to_pylist(), table["payload"][0].as_py()) == ([5] * 20, '{"k": 1}')
    _, table = converted(tmp_path, '{"a":1},b\n' + "".join(f"{one},{one}.5\n" for one in range(12)))
    assert table.num_rows == 12
    for content in ('[{"a": 1},\n{"a": 2}]\n', '{\n"a": 1}\n', '[{"a": 1}]'):
        written(tmp_path, content)
        with pytest.raises(SourceError, match="the text is JSON"):
            convert(tmp_path / "raw.csv", tmp_path / "o.arrow", progress=False)


def test_a_remedy_that_would_lose_a_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"names=\['row', 'a', 'b'\]"):
        converted(tmp_path, "a,b\n" + "".join(f"x{one},y{one},z{one}\n" for one in range(20)))
    with pytest.raises(SchemaError, match="line 1 may be a row, and skip_rows would lose it") as told:
        converted(tmp_path, "5,2.5\n6,3.5\n" + ROWS)
    assert told.value.options == {}
    with pytest.raises(SchemaError) as told:
        converted(tmp_path, "a,b,c\n" + ROWS.replace("\n", ",,\n") + "1,2,3,X,Y\n")
    assert told.value.options == {"names": ["a", "b", "c", "column_3", "column_4"]}

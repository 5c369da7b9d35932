"""What a file's own lines leave no doubt about: names, fields parted by blanks, rows, dates, missing values."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import pytest

from tests.convert.raw_text import converted, settled, written
from vaxseq.convert import convert
from vaxseq.convert.inspection import inspect
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import SchemaError, SourceError

DAYS = [dt.date(2021, 1, 25) + dt.timedelta(one) for one in range(14)]
ROWS = "".join(f"{one},{one}.5,{one % 5}.25\n" for one in range(14))
BLANKS = "".join(f"{one:3d} {one}.25   {one * one}\n" for one in range(14))


def said(made: Manifest) -> str:
    return "\n".join(one.message for one in made.notices)


# content -> names, rows
AT_ONCE = [
    (",0.2,0.5\n" + ROWS, ["column_0", "0.2", "0.5"], 14),  # row numbers, as pandas writes them
    ("PIER\nSerial,4711\nday,21.7,22.5,23.3\n" + "".join(f"{d},{i},2.5,3\n" for i, d in enumerate(DAYS)),
     ["day", "21.7", "22.5", "23.3"], 14),  # words above days: an axis
    ("PIER\n\n 45.2\n n  level  count\n" + BLANKS, ["n", "level", "count"], 14),
    ("PIER\n45.2\nn level count\n" + "".join(f"{i} {i}.5\t{i}\n" for i in range(14)), ["n", "level", "count"], 14),
    ("n level count\n----- ----- -----\n" + BLANKS, ["n", "level", "count"], 14),
    ("n,level,count\n*****\n" + ROWS, ["n", "level", "count"], 14),
    ("".join(f"113225.{i:02d}  {i + 1000}\n" for i in range(14)), ["column_0", "column_1"], 14),
    ("PIER\n7,8,9,10\nn  level  count\n" + ROWS, ["n", "level", "count"], 14),  # values above the names
    ("PIER\n" + "one\n" * 20 + "n,level,count,\n" + ROWS, ["n", "level", "count"], 14),
    ("".join(f"PIER,{i % 3}.5,{i},{'AB'[i > 9]}\n" for i in range(14)), [f"column_{i}" for i in range(4)], 14),
    ("PIER 45.2 N m 7 9\n" + "".join(f"PIER {i % 3}.5 {i} 5 {'AB'[i > 9]}\n" for i in range(14)),
     [f"column_{i}" for i in range(5)], 14),
    ("a,b,a\n" + ROWS, ["a", "b", "a_2"], 14),
    ("n,flux,heat\n-,umol_m-2_s-1,degC\n" + ROWS, ["n", "flux", "heat"], 14),
]  # fmt: skip


@pytest.mark.parametrize(("content", "names", "rows"), AT_ONCE)
def test_what_leaves_no_doubt_is_read_at_once(tmp_path: Path, content: str, names: list[str], rows: int) -> None:
    made, table = converted(tmp_path, content)
    assert (table.column_names[: len(names)], table.num_rows) == (names, rows)
    assert not any(one.options for one in made.notices)
    values = table[names[1]].to_pylist()
    assert all(isinstance(one, int | float) for one in values)


# content -> what is asked
ASKED = [
    ("PIER\nn flag level count\n" + "".join(f"{i} A\t{i}.5\t{i}\n" for i in range(14)), "delimiter"),  # 1 A, maybe
    (",0.2,0.5\n" + ROWS.replace("13,", "17,"), "header"),  # no row numbers
    ("PIER\nday,21.7,23.3,22.5\n" + "".join(f"{d},{i},2.5,3\n" for i, d in enumerate(DAYS)), "skip_rows"),
    ("PIER\nred,21.7,22.5,23.3\n" + "".join(f"c{i},{i},2.5,3\n" for i in range(14)), "skip_rows"),  # a row, maybe
    ("".join(f"{i + 1} {i + 100}\n" for i in range(14)), "delimiter"),  # thousands, maybe
    ("".join(f"{d} 10:05\n" for d in DAYS), "header"),  # a day and its time
    ("".join(f"P{i},{i % 3}.5,{i}\n" for i in range(14)), "header"),  # other words below
    ("PIER\nn level of\n" + "".join(f"{i} {i}.5\tred\n" for i in range(14)), "skip_rows"),  # words, maybe of a title
]  # fmt: skip


@pytest.mark.parametrize(("content", "option"), ASKED)
def test_what_may_be_otherwise_is_asked(tmp_path: Path, content: str, option: str) -> None:
    try:
        made, _ = converted(tmp_path, content)
    except SchemaError as error:
        offered = set(error.options)
        told = str(error)
    else:
        offered = {key for one in made.notices for key in one.options}
        told = said(made)
    assert "read so" not in told
    assert option in offered


def test_a_start_time_and_a_rate_are_no_rows(tmp_path: Path) -> None:
    for columns in (1, 3):
        first = [",".join([one] * columns) for one in ("1560279825.000000", "32.000000")]
        rows = [",".join([f"{one % 7 - 3}"] * columns) for one in range(20)]
        with pytest.raises(SchemaError, match="unlike those below, as a start time and a rate") as told:
            converted(tmp_path, "\n".join([*first, *rows]) + "\n")
        assert (told.value.options, told.value.lossless) == ({"skip_rows": 2, "header": False}, False)
        taken, table = settled(tmp_path, "\n".join([*first, *rows]) + "\n")
        assert (taken["skip_rows"], table.num_rows) == (2, 20)
    content = "1.5,2.5\n" + "".join(f"{one},{one}\n" for one in range(20))  # a row like the others
    assert converted(tmp_path, content, header=False)[1].num_rows == 21


def test_a_line_that_goes_on_with_doubled_names_names_the_columns(tmp_path: Path) -> None:
    content = "6,,6,\nV,N,V,N\n" + "".join(f"{one},{one}.5,{one},2.5\n" for one in range(14))
    taken, table = settled(tmp_path, content)
    assert taken == {"skip_rows": 1, "names": ["V", "N", "V_2", "N_2"]}
    assert (table.num_rows, table["N"].to_pylist()[:2]) == (14, [0.5, 1.5])


@pytest.mark.parametrize("name", ["run.mpt", "run.log.gz", "run"])
def test_a_table_of_another_suffix_is_read_as_one(tmp_path: Path, name: str) -> None:
    content = ("# PIER\nn;level\n" + "".join(f"{one};{one}.5\n" for one in range(14))).encode()
    source = written(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name)
    made = convert(source, tmp_path / "o.arrow", progress=False)
    assert (made.n_rows, made.schema.names) == (14, ("n", "level"))
    assert "read so, as with format='csv'" in said(made)
    named = convert(source, tmp_path / "o.arrow", progress=False, overwrite=True, format="csv")
    assert (named.n_rows, named.notices) == (14, ())


def test_words_of_another_suffix_are_no_table(tmp_path: Path) -> None:
    lines = "import re, sys\n\n\ndef of(one, two):\n    return one, two\n" * 20
    with pytest.raises(SourceError, match="unknown format"):
        convert(written(tmp_path, lines, "run.py"), tmp_path / "o.arrow", progress=False)


@pytest.mark.parametrize("suffix", ["arrow", "hdf5"])
def test_days_in_numbers_that_are_named_so_are_days(tmp_path: Path, suffix: str) -> None:
    content = "STN,YYYYMMDD,v\n" + "".join(f"260,{day:%Y%m%d},{i}.5\n" for i, day in enumerate(DAYS))
    source = written(tmp_path, content.replace("20210126", ""))
    made = convert(source, tmp_path / f"o.{suffix}", progress=False)
    assert made.forms == {"YYYYMMDD": "compact"}
    assert {one.name: one.type for one in made.schema.columns}["YYYYMMDD"] in ("date", "timestamp[s]")
    assert "schema={'columns': {'YYYYMMDD': 'int64'}} has it not so" in said(made)
    looked = inspect(source)
    assert [one["type"] for one in looked["columns"]] == ["int64", "date", "float64"]
    _, table = converted(tmp_path, content, sort_by="YYYYMMDD")
    assert table["YYYYMMDD"].to_pylist() == DAYS
    assert "YYYYMMDD" not in made.ranges
    _, table = converted(tmp_path, content, schema={"columns": {"YYYYMMDD": "int64"}})
    assert table["YYYYMMDD"].to_pylist()[0] == 20210125
    made, table = converted(tmp_path, content, where="YYYYMMDD > 20210126")  # compared with numbers: they stay such
    assert (table.num_rows, made.notices[0].options) == (12, {"forms": {"YYYYMMDD": "compact"}})
    made, _ = converted(tmp_path, "".join(content.splitlines(keepends=True)[:8]))
    assert (made.forms, made.notices[0].options) == ({}, {"forms": {"YYYYMMDD": "compact"}})  # too few


def test_months_that_are_named_so_are_months(tmp_path: Path) -> None:
    rows = "".join(f"2021-{one:02d},{one}\n" for one in range(1, 13))
    made, table = converted(tmp_path, "Month,v\n" + rows)
    assert (table["Month"][3].as_py(), made.forms) == (dt.date(2021, 4, 1), {"Month": "months"})
    for few in ("Season,v\n" + rows, "Month,v\n" + rows[:30]):
        made, _ = converted(tmp_path, few)
        assert (made.forms, [one.lossless for one in made.notices]) == ({}, [False])


def test_dashes_among_many_numbers_are_missing(tmp_path: Path) -> None:
    content = "n,v\n" + "".join(f"{one},{'---' if one == 7 else one / 4}\n" for one in range(40))
    made, table = converted(tmp_path, content)
    assert (table["v"].null_count, table["v"].to_pylist()[8]) == (1, 2.0)
    assert [(one.message, one.lines) for one in made.notices] == [
        ("read as missing: '---' 1 times", ("line 9: '---'",))
    ]
    for mark in ("-", "?"):  # a nought or a doubt
        made, _ = converted(tmp_path, content.replace("---", mark))
        assert made.notices[0].options == {"null_values": {"v": [mark]}}


def test_dates_and_times_of_day_in_two_columns_are_offered_as_one(tmp_path: Path) -> None:
    content = "Date,Start,v\n" + "".join(f"{day:%m/%d/%y},{one}:05:00,{one}.5\n" for one, day in enumerate(DAYS))
    made, table = converted(tmp_path, content)
    (notice,) = made.notices
    assert (notice.column, notice.options, notice.lossless) == ("Start", {"time_from": ["Date", "Start"]}, True)
    assert table["Start"].to_pylist()[:2] == ["0:05:00", "1:05:00"]
    assert inspect(written(tmp_path, content)).options == {"time_from": ["Date", "Start"]}
    _, table = converted(tmp_path, content, **notice.options)
    assert table["time"].to_pylist()[1] == dt.datetime(2021, 1, 26, 1, 5)
    for other in (content.replace("1:05", "noon"), content.replace("Start,v", "v,w").replace(":05:00", "")):
        assert not any("time_from" in one.options for one in converted(tmp_path, other)[0].notices)


def test_marks_that_end_rows_part_no_fields(tmp_path: Path) -> None:
    content = "n,day,level\n" + "".join(f"{one},{day},{one}.5);\n" for one, day in enumerate(DAYS * 3))
    _, table = converted(tmp_path, content)
    assert (table.column_names, table["day"].to_pylist()) == (["n", "day", "level"], DAYS * 3)
    _, table = converted(tmp_path, "n;level\n" + "".join(f"{one};{one},5\n" for one in range(14)))
    assert table["level"].to_pylist()[1] == 1.5


def test_a_preamble_may_be_long(tmp_path: Path) -> None:
    content = "".join(f"Key {one}:,\n" if one % 9 else f"Key {one}\n" for one in range(200)) + "n,level,count,\n"
    made, table = converted(tmp_path, content + ROWS.replace("\n", ",\n"))
    assert (table.num_rows, table["level"].to_pylist()[1]) == (14, 1.5)
    assert [one.options for one in made.notices] == [{}]


def test_remarks_above_lines_that_blanks_part(tmp_path: Path) -> None:
    made, _ = converted(tmp_path, "# by me\n" * 30 + "".join(f"PIER {one}.5  {one} T 7\n" for one in range(5)))
    assert made.notices[0].options == {"delimiter": "whitespace"}


def test_a_year_beside_words_is_a_name(tmp_path: Path) -> None:
    made, table = converted(tmp_path, "region,unit,2015\n" + "".join(f"R{one},kt,{one}.5\n" for one in range(14)))
    assert (table.column_names, table.num_rows, made.notices) == (["region", "unit", "2015"], 14, ())
    made, _ = converted(tmp_path, "R0,kt,2015\n" + "".join(f"R{one},kt,{one + 2000}\n" for one in range(14)))
    assert made.notices[0].options == {"header": False}  # years below, too


def test_a_word_that_comes_again_is_no_footer(tmp_path: Path) -> None:
    rows = "".join(f"{'UN' if one in (20, 39) else one},{one}.5\n" for one in range(40))
    made, _ = converted(tmp_path, "id,v\n" + rows)
    assert made.notices[0].options == {"null_values": {"id": ["UN"]}}
    other = "".join(f"{'UN' if one > 30 else f'{one:03d}'},{'UN' if one == 38 else one}\n" for one in range(40))
    made, _ = converted(tmp_path, "id,v\n" + other)
    assert made.notices[-1].options == {"null_values": {"v": ["UN"]}}  # the last row's is another column's
    made, _ = converted(tmp_path, "id,v\n" + rows.replace("UN,20", "20,20"))
    assert made.notices[0].options == {"skip_footer": 1}
    rows = "".join(f"{one},{chr(98) if one == 20 else one}\n" for one in range(40))
    made, _ = converted(tmp_path, "id,v\n" + rows + "all,7\n")
    assert [one.options for one in made.notices] == [{"skip_footer": 1}, {"null_values": {"v": ["b"]}}]

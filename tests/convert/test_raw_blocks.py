"""Several tables in one file are told apart, and what may be named or left out otherwise is taken by nobody unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.convert.raw_text import converted, written
from vaxseq.convert.accepted_options import convert_accepting
from vaxseq.errors import BadRowError, SchemaError

FIRST = "".join(f"{one}.5,{one},{one * 2}\n" for one in range(12))
SECOND = "".join(f"{one}.25,{one}\n" for one in range(9))
SERIES = "//{0}\nUnits: FT3 per hour\n" + "".join(f"0{one}FEB2025; {one}.5\n" for one in range(1, 7)) + "END\n"
# content, where tables begin, the options of the largest, its names, its rows
SEVERAL = [
    ("a,b,c\n" + FIRST + "\nd,e,f\n" + FIRST, (1, 15), {"skip_footer": 13}, ["a", "b", "c"], 12),
    ("a,b,c\n" + FIRST + "d,e\n" + SECOND, (1, 14), {"skip_footer": 10}, ["a", "b", "c"], 12),
    ("d,e\n" + SECOND + "\n\na,b,c\nm,s,V\n" + FIRST, (1, 13), {"skip_rows": 12, "units_rows": 1}, ["a", "b", "c"], 12),
    ("PIER\na,b,c\n" + FIRST + "QUAY\na,b,c\n" + FIRST, (2, 16), {"skip_rows": 1, "skip_footer": 14},
     ["a", "b", "c"], 12),
    (SERIES.format("PIER") + SERIES.format("QUAY"), (3, 12), {"skip_rows": 2, "skip_footer": 10, "header": False},
     ["column_0", "column_1"], 6),
]  # fmt: skip


@pytest.mark.parametrize(("content", "lines", "options", "names", "rows"), SEVERAL)
def test_where_tables_begin_is_told_and_the_options_read_one(
    tmp_path: Path, content: str, lines: tuple[int, int], options: dict[str, Any], names: list[str], rows: int
) -> None:
    found = rf"several tables stand in the file, from line {lines[0]} \(.*\), line {lines[1]} \("
    with pytest.raises(SchemaError, match=found) as told:
        converted(tmp_path, content)
    assert told.value.options == {key: value for key, value in options.items() if key.startswith("skip")}
    _, table = converted(tmp_path, content, **options)
    assert (table.column_names, table.num_rows) == (names, rows)
    with pytest.raises(SchemaError, match="several tables"):
        convert_accepting(written(tmp_path, content), tmp_path / "o.arrow", taken=lambda _: None, progress=False)


@pytest.mark.parametrize("content", [
    "a,b,c\n" + FIRST.replace("5.5,5,10", "5.5,5").replace("8.5,8,16", "broken"),  # bad rows
    "a,b,c\n" + FIRST + "a,b,c\n" + FIRST,  # the header again
    "a,b,c\n" + FIRST.replace("5.5,5,10\n", "# off\n# on again\n"),
    "Serial,4711\nLat,45.1\nLon,7.2\n\na,b,c\n" + FIRST,  # about the file, of names and values
    "a,b,c\n" + FIRST + "sum,66,132\n\nmax,11,22\nmin,0,0\n",
])  # fmt: skip
def test_one_table_stays_one(tmp_path: Path, content: str) -> None:
    made, table = converted(tmp_path, content, on_bad_rows="reject", comment="#" if "#" in content else None)
    assert table.num_rows >= 10
    assert table.column_names == ["a", "b", "c"]
    assert not any("several tables" in one.message for one in made.notices)


def test_a_table_far_below_is_told_by_its_first_line(tmp_path: Path) -> None:
    content = "a,b,c\n" + FIRST * 30 + "\nQUAY\nd,e\n" + SECOND
    with pytest.raises(BadRowError, match="line 363: got 1 fields.*with skip_footer=11") as told:
        converted(tmp_path, content)
    assert converted(tmp_path, content, **told.value.options)[1].num_rows == 360


def test_a_header_that_is_given_is_of_one_table(tmp_path: Path) -> None:
    content = "a,b,c\n" + FIRST + "\nQUAY\nd,e,f\n" + FIRST
    made, table = converted(tmp_path, content, header=True, on_bad_rows="reject")
    assert (table.num_rows, made.rejected_rows) == (25, 1)


# content -> an option that is offered, for names or units that may be a row
DOUBTFUL = [
    ("rain,snow\nT,T\n" + SECOND, "units_rows"),
    ("PIER\nrain,snow\nT,T\n" + SECOND, "units_rows"),
    ("A,A,B\nlow,high,low\n" + "".join(f"w{one},x{one % 3},y\n" for one in range(12)), "header_rows"),
    ("A,A,B\nlow,high,low\n" + "".join(f"w{one},x{one % 3},{one}\n" for one in range(12)), "header_rows"),
]


@pytest.mark.parametrize(("content", "option"), DOUBTFUL)
def test_what_may_be_a_row_is_offered_and_never_accepted(tmp_path: Path, content: str, option: str) -> None:
    taken: list[Any] = []
    source, target = written(tmp_path, content), tmp_path / "o.arrow"
    if content.startswith("rain"):
        made = convert_accepting(source, target, taken=taken.append, progress=False)
        assert option in {key for one in made.notices for key in one.options}
    else:
        with pytest.raises(SchemaError, match=f"Pass.*{option}") as told:
            convert_accepting(source, target, taken=taken.append, progress=False)
        assert (option in told.value.options, told.value.lossless) == (True, False)
    assert not taken


def test_known_units_are_accepted(tmp_path: Path) -> None:
    taken: list[Any] = []
    content = "PIER\nt,level\ns,%\n" + "".join(SECOND.splitlines(keepends=True)[:4])
    made = convert_accepting(written(tmp_path, content), tmp_path / "o.arrow", taken=taken.append, progress=False)
    assert (taken, made.n_rows) == ([{"skip_rows": 1, "units_rows": 1}], 4)

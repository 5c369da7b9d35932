"""Columns as loggers, portals and people write them: what is certain is converted, what is likely is said."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.convert.raw_text import converted, settled, written
from vaxseq.convert import convert, stage
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import BadRowError, OptionError

AT_ONCE: list[tuple[list[str], str, list[Any]]] = [
    (["12/1/2021 7:45", "12/31/2021 17:05"], "timestamp[s]",
     [dt.datetime(2021, 12, 1, 7, 45), dt.datetime(2021, 12, 31, 17, 5)]),
    (["1/12/2021", "31/12/2021"], "date", [dt.date(2021, 12, 1), dt.date(2021, 12, 31)]),
    (["31-Dec-2021", "01-Jan-2022"], "date", [dt.date(2021, 12, 31), dt.date(2022, 1, 1)]),
    (["2021-12-31 23:00", "2021-12-31 24:00"], "timestamp[s]",
     [dt.datetime(2021, 12, 31, 23), dt.datetime(2022, 1, 1)]),
    (["2021-W52-5", "2022-W01-1"], "date", [dt.date(2021, 12, 31), dt.date(2022, 1, 3)]),
    (["12/31/2021 12:00 AM", "12/31/2021 1:30:15 PM"], "timestamp[s]",
     [dt.datetime(2021, 12, 31), dt.datetime(2021, 12, 31, 13, 30, 15)]),
    (["1,234,567.5", "5"], "float64", [1234567.5, 5.0]),
    (["yes", "No"], "bool", [True, False]),
    ([" NA ", "5"], "int64", [None, 5]),
    (["NAN", "5.5"], "float64", [float("nan"), 5.5]),
    (['""', "5"], "int64", [None, 5]),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "kind", "values"), AT_ONCE)
def test_what_is_certain_is_converted(tmp_path: Path, cells: list[str], kind: str, values: list[Any]) -> None:
    content = "i;x\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate(cells))
    made, table = converted(tmp_path, content)
    assert made.schema.column("x").type == kind
    assert not made.notices
    got = table["x"].to_pylist()
    assert [str(one) for one in got] == [str(one) for one in values]


LIKELY: list[tuple[list[str], dict[str, Any], str, list[Any], str | None]] = [
    (["1,234", "12,345"], {"forms": {"x": "decimal_point"}}, "int64", [1234, 12345], None),
    (["$5.00", "$1.50"], {"forms": {"x": "decimal_point"}}, "float64", [5.0, 1.5], "$"),
    (["12%", "3.5%"], {"forms": {"x": "decimal_point"}}, "float64", [12.0, 3.5], "%"),
    (["12.3 °C", "-4 °C"], {"forms": {"x": "decimal_point"}}, "float64", [12.3, -4.0], "°C"),
    (["(5.25)", "7.5"], {"forms": {"x": "decimal_point"}}, "float64", [-5.25, 7.5], None),
    (["Y", "N"], {"forms": {"x": "boolean_words"}}, "bool", [True, False], None),
    (["5", "-", "7"], {"null_values": {"x": ["-"]}}, "int64", [5, None, 7], None),
    (
        ["1/2/2021", "3/4/2021"],
        {"forms": {"x": "month_first"}},
        "date",
        [dt.date(2021, 1, 2), dt.date(2021, 3, 4)],
        None,
    ),
    (["1.2.2021", "3.4.2021"], {"forms": {"x": "day_first"}}, "date", [dt.date(2021, 2, 1), dt.date(2021, 4, 3)], None),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "options", "kind", "values", "unit"), LIKELY)
def test_what_is_likely_stays_as_written_and_is_said(
    tmp_path: Path, cells: list[str], options: dict[str, Any], kind: str, values: list[Any], unit: str | None
) -> None:
    content = "i;x\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate(cells))
    made, table = converted(tmp_path, content)
    assert table["x"].cast(pa.string()).to_pylist() == cells
    (notice,) = made.notices
    assert (notice.column, notice.options) == ("x", options)
    odd = next((cell for cell in cells if cell in options.get("null_values", {}).get("x", cells)), "")
    assert notice.lines == (f"line {cells.index(odd) + 2}: {odd!r}",)
    made, table = converted(tmp_path, content, **notice.options)
    assert (made.schema.column("x").type, made.schema.column("x").unit) == (kind, unit)
    assert table["x"].to_pylist() == values
    assert not made.notices
    assert Manifest.load(tmp_path / "out.arrow") == made


def test_both_readings_of_a_day_or_month_are_named_and_either_can_be_chosen(tmp_path: Path) -> None:
    content = "x\n01/02/2021\n03/04/2021\n"
    made, _ = converted(tmp_path, content)
    assert all(name in made.notices[0].message for name in ("month_first", "day_first"))
    assert not made.notices[0].lossless
    for form, month in (("month_first", 1), ("day_first", 2)):
        _, table = converted(tmp_path, content, forms={"x": form})
        assert table["x"][0].as_py().month == month


def test_one_word_among_numbers_is_found_where_it_stands(tmp_path: Path) -> None:
    cells = [str(20 + i % 7 / 4) for i in range(500)]
    cells[321] = "Tr"
    content = "id,rain\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    made, table = converted(tmp_path, content)
    assert table["rain"][321].as_py() == "Tr"
    (notice,) = made.notices
    assert "499 of 500 are numbers" in notice.message
    assert notice.lines == ("line 323: 'Tr'",)
    made, table = converted(tmp_path, content, **notice.options)
    assert made.schema.column("rain").type == "float64"
    assert table["rain"].null_count == 1


@pytest.mark.parametrize(("mark", "count"), [("-9999", 2), ("-999.9", 1), ("9999", 3), ("1e20", 1)])
def test_a_number_that_stands_for_nothing_is_said(tmp_path: Path, mark: str, count: int) -> None:
    cells = [str(5 + i % 9 / 2) for i in range(300)]
    for row in range(count):
        cells[7 + row * 100 % 300] = mark
    content = "x\n" + "\n".join(cells) + "\n"
    made, table = converted(tmp_path, content)
    assert table["x"].null_count == 0
    (notice,) = made.notices
    assert f"in {count} of 300 rows" in notice.message
    assert notice.lines == (f"line 9: {mark!r}",)
    assert not notice.lossless
    _, table = converted(tmp_path, content, **notice.options)
    assert table["x"].null_count == count


def test_numbers_that_only_look_like_such_marks_are_left_alone(tmp_path: Path) -> None:
    made, _ = converted(tmp_path, "x\n" + "\n".join(map(str, range(-9999, 10_000, 111))) + "\n9999\n")
    assert not made.notices
    made, _ = converted(tmp_path, "x\n-9999\n-9999\n")
    assert not made.notices


def test_text_stays_text_without_a_word(tmp_path: Path) -> None:
    content = "name,code,range,ip,version\nA1,007,1-2,10.0.0.1,1.2.3\nB2,012,3-4,10.0.0.2,1.2.4\nC,1x,5,x,2\n"
    made, table = converted(tmp_path, content)
    assert not made.notices
    assert table["code"].to_pylist() == ["007", "012", "1x"]


def test_a_form_that_was_named_makes_bad_rows_of_what_doesn_t_fit(tmp_path: Path) -> None:
    content = "i,x\n1,31/12/2021\n2,12/31/2021\n3,30/12/2021\n"
    with pytest.raises(BadRowError, match=r"line 3: column 'x': not a date; got '12/31/2021'") as caught:
        converted(tmp_path, content, forms={"x": "day_first"})
    assert caught.value.options == {"on_bad_rows": "reject"}
    made, table = converted(tmp_path, content, forms={"x": "day_first"}, on_bad_rows="reject")
    assert (made.rejected_rows, table["i"].to_pylist()) == (1, [1, 3])


def test_a_form_and_a_declared_type_go_together(tmp_path: Path) -> None:
    schema = {"columns": {"x": "timestamp[us]", "y": "float32"}}
    forms = {"x": "month_first", "y": "decimal_comma"}
    made, table = converted(tmp_path, "x;y\n12/31/2021;1,5\n1/1/2022 5:00;2\n", schema=schema, forms=forms)
    assert [one.type for one in made.schema.columns] == ["timestamp[us]", "float32"]
    assert table["x"][1].as_py() == dt.datetime(2022, 1, 1, 5)
    assert table["y"].to_pylist() == [1.5, 2.0]


def test_words_of_missing_values_are_missing_beside_a_named_form(tmp_path: Path) -> None:
    content = 'i,x,s\n1,"5,5",None\n2,None,a\n3,NAN,b\n4,"1,25",c\n'
    made, table = converted(tmp_path, content, forms={"x": "decimal_comma"}, null_values={"s": ["c"]})
    assert table["x"].to_pylist() == [5.5, None, None, 1.25]
    assert table["s"].to_pylist() == ["None", "a", "b", None]
    assert not made.rejected_rows


def test_where_selects_by_what_is_meant(tmp_path: Path) -> None:
    content = 't;x\n12/1/2021;"1.250,5"\n12/2/2021;5,5\n12/31/2021;7\n'
    made, table = converted(tmp_path, content, where="t.dt.day >= 2 and x < 100")
    assert (made.dropped_rows, table["x"].to_pylist()) == (1, [5.5, 7.0])
    made, table = converted(tmp_path, content, where="when.dt.day == 31", rename={"t": "when"})
    assert (made.dropped_rows, made.forms["when"]) == (2, "month_first")


def test_mistakes_in_forms_are_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"option forms; got \{'x': 'day_frist'\}.*Did you mean 'day_first'"):
        converted(tmp_path, "x\n1\n", forms={"x": "day_frist"})
    with pytest.raises(OptionError, match=r"option forms; got 'day_first', expected a mapping"):
        converted(tmp_path, "x\n1\n", forms="day_first")


def test_what_is_appended_is_read_in_the_same_form(tmp_path: Path) -> None:
    first = written(tmp_path, 't,x\n12/1/2021,"1,234,567"\n12/31/2021,5\n', "1.csv")
    more = written(tmp_path, 't,x\n1/2/2022,"2,345"\n', "2.csv")
    made = convert(first, tmp_path / "set", progress=False)
    assert made.forms == {"t": "month_first", "x": "decimal_point"}
    made = convert(more, tmp_path / "set", append=True, progress=False)
    assert made.n_rows == 3
    with pa.memory_map(str(made.paths()[-1])) as file:
        assert pa.ipc.open_file(file).read_all().to_pydict() == {"t": [dt.date(2022, 1, 2)], "x": [2345]}


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of a few hundred bytes, so that a small file has many."""
    from vaxseq.convert.readers import delimited

    monkeypatch.setattr(delimited, "_SMALLEST", 256)
    monkeypatch.setattr(delimited, "_ROWS", 1)
    monkeypatch.setattr(delimited, "_SAMPLE", 512)
    monkeypatch.setattr(stage, "MIN_BATCH_ROWS", 40)


LATE = [f"{day % 12 + 1}/{day % 12 + 1}/2021" for day in range(300)]


@pytest.mark.parametrize("target", ["out.arrow", "out.hdf5", "folder"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.usefixtures("small_units")
def test_a_value_anywhere_decides(tmp_path: Path, target: str, reverse: bool) -> None:
    cells = [*LATE, "1/31/2021"]
    numbers = [*map(str, range(300)), "1,234,567"]
    rows = [f"{number};{cell}\n" for number, cell in zip(numbers, cells, strict=True)]
    source = written(tmp_path, "x;t\n" + "".join(rows[::-1] if reverse else rows))
    made = convert(source, tmp_path / target, progress=False, fragment_bytes=2048)
    assert [one.type for one in made.schema.columns] == ["int64", "date" if made.format == "arrow" else "timestamp[s]"]
    import vaxseq as vs

    frame = vs.open(tmp_path / target)
    got = frame["x"].tolist()
    assert (got[::-1] if reverse else got) == [*range(300), 1_234_567]
    first = frame["t"].tolist()[-1 if reverse else 0]
    assert str(first)[:10] == "2021-01-01"


@pytest.mark.usefixtures("small_units")
def test_a_run_that_was_stopped_decides_as_one_that_wasn_t(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(tmp_path, "x;t\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate([*LATE, "12/31/2021"])))
    whole = convert(source, tmp_path / "whole.arrow", progress=False)
    real = stage.Stage.flush
    calls = 0

    def flush(self: stage.Stage) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise KeyboardInterrupt
        real(self)

    with monkeypatch.context() as patch:
        patch.setattr(stage.Stage, "flush", flush)
        with pytest.raises(KeyboardInterrupt):
            convert(source, tmp_path / "o.arrow", progress=False)
    made = convert(source, tmp_path / "o.arrow", progress=False)
    assert made.schema == whole.schema
    assert (tmp_path / "o.arrow").read_bytes()[-2000:-200] is not None
    assert made.forms == {"t": "month_first"}


@pytest.mark.usefixtures("small_units")
def test_workers_and_sorting_see_the_same_forms(tmp_path: Path) -> None:
    source = written(tmp_path, "x;t\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate([*LATE, "12/31/2021"])))
    made = convert(source, tmp_path / "s.arrow", progress=False, sort_by=["t", "x"])
    with pa.memory_map(str(tmp_path / "s.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert made.schema.column("t").type == "date"
    days = table["t"].to_pylist()
    assert days == sorted(days)
    assert sorted(table["x"].to_pylist()) == list(range(301))


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("mark", ["-9999", "9999"])
def test_a_mark_of_a_missing_value_far_down_is_told(tmp_path: Path, mark: str) -> None:
    near = ["999", *(str(i % 400) for i in range(500)), "998"]  # 999 is a mark elsewhere, and none among these
    source = written(tmp_path, "i;x\n" + "".join(f"{i};{x}\n" for i, x in enumerate([*near, mark, *near])))
    (notice,) = convert(source, tmp_path / "o.arrow", progress=False).notices
    assert f"{mark} in 1 of 1,005 rows; all others lie between 0 and 998" in notice.message
    assert notice.lines == (f"line 504: '{mark}'",)


def test_options_lead_to_the_end(tmp_path: Path) -> None:
    content = "t;price;on\n1/2/2021;$1,250.00;Y\n3/4/2021;$2.50;N\n5/6/2021;-;N\n"
    taken, table = settled(tmp_path, content)
    assert set(taken) == {"forms", "null_values"}
    assert table["price"].to_pylist() == [1250.0, 2.5, None]
    assert table["on"].to_pylist() == [True, False, False]


def test_times_in_json_lines_are_read_too_and_its_text_stays(tmp_path: Path) -> None:
    content = '{"t": "12/1/2021 7:45", "v": "1,234"}\n{"t": "12/31/2021 17:05", "v": "yes"}\n'
    made, table = converted(tmp_path, content, "raw.jsonl")
    assert made.forms == {"t": "month_first"}
    assert table["t"].to_pylist() == [dt.datetime(2021, 12, 1, 7, 45), dt.datetime(2021, 12, 31, 17, 5)]
    assert table["v"].to_pylist() == ["1,234", "yes"]
    content = '{"t": "1/2/2021"}\n{"t": "x"}\n'
    made, table = converted(tmp_path, content, "raw.jsonl", forms={"t": "day_first"}, on_bad_rows="reject")
    assert (made.rejected_rows, table["t"].to_pylist()) == (1, [dt.date(2021, 2, 1)])


def test_a_whole_number_beyond_a_float64_among_numbers_and_a_word_stays_as_it_was_written(tmp_path: Path) -> None:
    cells = ["1.5"] * 40 + ["x", "49054613825311656"]
    _, table = converted(tmp_path, "b,c\n" + "".join(f"{cell},1\n" for cell in cells))
    assert table["b"].to_pylist() == cells


@pytest.mark.parametrize("end", [");", ";"])
def test_the_end_of_a_statement_behind_each_number_is_said_and_taken_off(tmp_path: Path, end: str) -> None:
    taken, table = settled(tmp_path, "day,e\n" + "".join(f"{day},0.{day}{end}\n" for day in range(1, 10)))
    assert taken == {"forms": {"e": "decimal_point"}}
    assert table["e"].to_pylist() == [day / 10 for day in range(1, 10)]
    made, _ = converted(tmp_path, "day,e\n" + f"1,0.1{end}\n" * 9, **taken)
    assert [one.unit for one in made.schema.columns] == [None, None]
    _, table = converted(tmp_path, "day,e\n" + "".join(f"{day},0.{day}){end}\n" for day in range(1, 10)))
    assert table["e"].to_pylist() == [f"0.{day}){end}" for day in range(1, 10)]

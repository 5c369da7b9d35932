"""Raw text on the command line: looked at before, converted with what is offered."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path

import pytest

import vaxseq as vs
from vaxseq.cli import main

WRITTEN = 'rows,price\n"1,234",$5.00\n"12,345",$1.50\n'


def run(*arguments: object) -> int:
    """The exit code of one command."""
    try:
        main([str(one) for one in arguments])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as people write it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "raw.csv"
    path.write_text(WRITTEN)
    return path


def test_a_look_shows_what_convert_would_make(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw.write_text("logged,kw,site\n12/1/2021 7:45,1.5,A\n12/31/2021 17:05,,A\n")
    look = vs.inspect(raw)
    kinds = {one["name"]: (one["type"], one["form"]) for one in look["columns"]}
    assert kinds == {"logged": ("timestamp[s]", "month_first"), "kw": ("float64", None), "site": ("text", None)}
    assert (look["rows"], look["rows_exact"]) == (2, True)
    assert look["columns"][0]["written"] == ["12/1/2021 7:45", "12/31/2021 17:05"]
    assert look["columns"][0]["becomes"] == ["2021-12-01 07:45:00", "2021-12-31 17:05:00"]
    assert look["columns"][1]["missing"] == 0.5
    assert "<table" in look._repr_html_()
    assert run("inspect", raw) == 0
    assert "2021-12-01 07:45:00" in capsys.readouterr().out
    assert run("inspect", raw, "--json") == 0
    assert json.loads(capsys.readouterr().out)["columns"] == look["columns"]


def test_the_command_that_a_look_prints_does_it(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    look = vs.inspect(raw)
    assert [one.column for one in look.notices] == ["rows", "price"]
    assert look.options == {"forms": {"rows": "decimal_point", "price": "decimal_point"}}
    assert run(*shlex.split(look.command)[1:]) == 0
    frame = vs.open(raw.with_suffix(".arrow"))
    assert frame["rows"].tolist() == [1234, 12345]
    assert frame["price"].tolist() == [5.0, 1.5]
    assert "notice" not in capsys.readouterr().out


def test_a_look_goes_on_where_convert_would_stop(raw: Path) -> None:
    raw.write_text("4711,PIER,NO\ntime,level\n0,1.25\n10,1.5\n")
    look = vs.inspect(raw)
    assert look.options == {"skip_rows": 1}
    assert [one["name"] for one in look["columns"]] == ["time", "level"]
    assert "--option skip_rows=1" in look.command


def test_a_look_takes_options_itself(raw: Path) -> None:
    look = vs.inspect(raw, forms={"rows": "decimal_point"})
    assert look["columns"][0]["type"] == "int64"
    assert [one.column for one in look.notices] == ["price"]


def test_a_look_reads_a_part_of_a_large_file(raw: Path) -> None:
    line = "12/1/2021 7:45,1.5,A\n"
    raw.write_text("logged,kw,site\n" + line * 400_000 + "12/31/2021 7:45,2.5,A\nTotal,1,\n")
    before = time.process_time()
    look = vs.inspect(raw)
    assert time.process_time() - before < 5
    assert not look["rows_exact"]
    assert abs(look["rows"] - 400_002) < 4_000
    assert look["columns"][0]["type"] == "text"  # the end is looked at, too
    assert any("Total" in one.message for one in look.notices)


def test_convert_prints_notices_as_options(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", raw, "o.arrow") == 0
    shown = capsys.readouterr().out
    assert """--option 'forms={"rows": "decimal_point"}'""" in shown
    assert run("convert", raw, "o.arrow", "--overwrite", "--option", 'forms={"rows": "decimal_point"}') == 0
    assert vs.open("o.arrow")["rows"].tolist() == [1234, 12345]
    assert run("inspect", "o.arrow") == 0
    assert "price" in capsys.readouterr().out.split("notice:")[-1]


def test_accept_takes_what_loses_nothing(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw.write_text("4711,PIER,NO\nt,level,share\ns,m,%\n0,1.25,5%\n10,-9999,6%\n20,1.5,7%\n")
    assert run("convert", raw, "o.arrow", "--accept") == 0
    told = capsys.readouterr()
    assert "accepted:" in told.err
    frame = vs.open("o.arrow")
    assert frame["share"].tolist() == [5, 6, 7]
    assert frame["level"].tolist() == [1.25, -9999, 1.5]  # a value that would be lost is said, and stays
    assert "-9999" in told.out


def test_accept_stops_at_what_loses_rows(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw.write_text("t,v\n1,2\nt,v\n3,4\n")
    assert run("convert", raw, "o.arrow", "--accept") == 2
    assert "--on-bad-rows reject" in capsys.readouterr().err
    assert not Path("o.arrow").exists()

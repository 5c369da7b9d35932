"""Tables stay readable at any width: columns are spared, then rows become lines; nothing is cut off."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vaxseq.display.html import Head, Heading
from vaxseq.display.tables import Display

HEADINGS = (
    Heading("column"),
    Heading("type", "code", spare=True),
    Heading("missing", "number"),
    Heading("median", "number"),
    Heading("learned", "quiet"),
    Heading("commonest", "quiet", spare=True),
)
ROWS = (
    Head("input numeric", "float32 (rows, 43)"),
    ("sched_dep_time", "int64", "< 0.1 %", "1359", "mean 814.6, std 279.5", "600 (2.13 %), 1600 (1.64 %)"),
    ("time_hour", "datetime64[s]", "", "2013-01-16 17:00", "", "[red]none[/red]"),
)


def shown(width: int, headings=HEADINGS, rows=ROWS, notes=("1 to look at",)) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(Display("2 columns", headings, rows, notes))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def words(lines: list[str]) -> str:
    return "".join("".join(lines).split())


def test_a_wide_terminal_has_it_all_in_one_table():
    lines = shown(130)
    assert lines[0] == "2 columns"
    assert lines[1].split() == ["column", "type", "missing", "median", "learned", "commonest"]
    assert lines[3] == "input numeric  float32 (rows, 43)"  # across the columns, not squeezed into one
    assert len(lines) == 7
    place = lines[1].index("median") + len("median")
    assert lines[4][:place].endswith("1359")
    assert lines[5][:place].endswith("2013-01-16 17:00")


def test_a_narrower_one_spares_columns_and_says_so():
    lines = shown(70)
    assert lines[1].split() == ["column", "type", "missing", "median", "learned"]
    assert "left out, for want of width: commonest" in lines
    lines = shown(60)
    assert lines[1].split() == ["column", "missing", "median", "learned"]
    assert "left out, for want of width: type, commonest" in lines
    assert "sched_dep_time" in words(lines)
    assert "2013-01-16 17:00" not in "\n".join(lines)  # folded between day and hour
    assert "2013-01-16" in "\n".join(lines)


@pytest.mark.parametrize("width", [20, 40, 50])
def test_a_narrow_one_has_lines_of_text(width):
    lines = shown(width)
    assert max(map(len, lines)) <= width
    text = words(lines)
    for row in ROWS[1:]:
        for heading, cell in zip(HEADINGS[1:], row[1:], strict=True):
            assert not cell or words([f"{heading.title} {cell}"]) in text
    assert "left out" not in "\n".join(lines)


cells = st.text("ab %[]≈é漢 .1", max_size=30)


@given(st.lists(st.tuples(*[cells] * len(HEADINGS)), min_size=1, max_size=4), st.integers(16, 140))
def test_no_line_is_too_long_and_no_name_is_lost(rows, width):
    from rich.cells import cell_len

    lines = shown(width, rows=tuple(rows))
    assert max(map(cell_len, lines)) <= width
    if width >= 100:
        text = words(lines)
        assert all(words([row[0]]) in text for row in rows if " " not in row[0].strip())


def test_as_text_it_is_as_wide_as_the_terminal(monkeypatch):
    table = Display("2 columns", HEADINGS, ROWS)
    for columns in ("60", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        lines = repr(table).splitlines()
        assert max(map(len, lines)) <= int(columns)
        assert all(line == line.rstrip() for line in lines)
    assert "[red]none[/red]" in repr(table)  # a value is no markup

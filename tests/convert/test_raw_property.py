"""Any table, written in any supported layout and form, comes back equal or with options that make it so."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.convert.raw_text import converted, merged_options_of
from vaxseq.dataset.notice import merged_options
from vaxseq.errors import VaxseqError

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def in_twelve_hours(time: dt.datetime) -> str:
    """Month first, with AM and PM."""
    return f"{time:%m/%d/%Y} {(time.hour - 1) % 12 + 1}:{time:%M:%S} {'AP'[time.hour > 11]}M"


TIMES = {
    "iso": lambda t: t.strftime("%Y-%m-%d %H:%M:%S"),
    "month first": lambda t: f"{t.month}/{t.day}/{t.year} {t.hour}:{t.minute:02d}:{t.second:02d}",
    "day first": lambda t: t.strftime("%d.%m.%Y %H:%M:%S"),
    "month name": lambda t: f"{t.day:02d}-{MONTHS[t.month - 1]}-{t.year} {t:%H:%M:%S}",
    "twelve hours": in_twelve_hours,
    "compact": lambda t: t.strftime("%Y%m%dT%H%M%S"),
}


def grouped(value: float, mark: str, point: str) -> str:
    """A number with marks between its thousands."""
    return f"{value:,.2f}".translate(str.maketrans({",": mark, ".": point}))


NUMBERS = {
    "plain": lambda x: f"{x:.2f}",
    "thousands": lambda x: grouped(x, ",", "."),
    "comma": lambda x: grouped(x, "", ","),
    "points and comma": lambda x: grouped(x, ".", ","),
    "blanks": lambda x: grouped(x, " ", ","),
    "unit": lambda x: f"{x:.2f} km/h",
    "percent": lambda x: f"{x:.2f}%",
    "euro": lambda x: grouped(x, ".", ",") + " €",
    "accounting": lambda x: f"({-x:,.2f})" if x < 0 else f"{x:,.2f}",
}
MISSING = ["", "NA", " NA ", "-", "n/a", "NaN", "None"]
moments = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)).map(lambda t: t.replace(microsecond=0))
amounts = st.integers(-(10**9), 10**9).map(lambda cents: cents / 100)
rows = st.lists(
    st.tuples(moments, st.none() | amounts, st.none() | st.integers(-(2**53), 2**53)), min_size=3, max_size=12
)


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, list[tuple[Any, ...]], dict[str, Any], str]:
    """(the file, its rows, what must be passed in any case, how it was made)."""
    table = draw(rows)
    time, number = draw(st.sampled_from(sorted(TIMES))), draw(st.sampled_from(sorted(NUMBERS)))
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    missing = draw(st.sampled_from(MISSING))
    layout = draw(
        st.sampled_from(["plain", "units", "comment", "station", "sep", "two headers", "footer", "no header"])
    )
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    table = [(t, x, i) for t, x, i in table]

    def cell(text: str) -> str:
        return f'"{text}"' if delimiter in text or (text and draw(st.booleans())) else text

    body = [
        delimiter.join([cell(TIMES[time](t)), cell(missing if x is None else NUMBERS[number](x)),
                        missing if i is None else str(i)])
        for t, x, i in table
    ]  # fmt: skip
    head = [delimiter.join(["when", "how much °", "count"])]
    options: dict[str, Any] = {}
    if layout == "units":
        head.append(delimiter.join(["UTC", "m", "pieces"]))
    elif layout == "comment":
        head = ["# written by a logger", "# in Ålesund"[:4], *head]
    elif layout == "station":
        head = [delimiter.join(["4711", "PIER", "N", "59", "10"]), *head]
    elif layout == "sep":
        head = [f"sep={delimiter}", *head]
    elif layout == "two headers":
        head = [delimiter.join(["", "wind", "wind"]), *head]
    elif layout == "footer":
        body.append(delimiter.join(["Total", "", ""]))
        options["skip_footer"] = 1
    elif layout == "no header":
        head = []
        options["header"] = False
    content = (end.join([*head, *body]) + end).encode(encoding)
    return content, table, options, f"{time}, {number}, {missing!r}, {delimiter!r}, {layout}, {encoding}"


TWO_READINGS = ("month_first", "day_first", "year_first", "decimal_point", "decimal_comma")


def equal(table: pa.Table, rows: list[tuple[Any, ...]]) -> bool:
    """Whether these are the rows."""
    return (table.num_columns, table.num_rows) == (3, len(rows)) and all(
        equal_columns(table.column(number).to_pylist(), [row[number] for row in rows]) for number in range(3)
    )


def equal_columns(got: list[Any], wanted: list[Any]) -> bool:
    """Whether the values are the same; a day is its midnight, NaN is missing."""
    for one, want in zip(got, wanted, strict=True):
        if isinstance(one, dt.date) and not isinstance(one, dt.datetime):
            one = dt.datetime.combine(one, dt.time())
        if (None if one != one else one) != want:
            return False
    return True


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(made=written())
def test_a_table_comes_back_or_its_options_bring_it(tmp_path: Path, made: tuple[Any, ...]) -> None:
    content, table, options, how = made
    taken: dict[str, Any] = dict(options)
    for _ in range(8):
        manifest, found, offered = attempt(tmp_path, content, taken)
        if found is not None and equal(found, table):
            return
        fresh = {key: value for key, value in offered.items() if taken.get(key) != value}
        if not fresh:
            assert manifest is not None, f"{how}: stopped, and nothing was offered beyond {taken}"
            assert named_otherwise(manifest, found, table), f"{how}: {found.to_pydict()} with {taken}"
            return
        taken = merged_options_of(taken, offered)
    raise AssertionError(f"{how}: the options go on and on: {taken}")


def attempt(folder: Path, content: bytes, options: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """(manifest, rows, what is offered), or what the error offers."""
    try:
        manifest, found = converted(folder, content, **options)
    except VaxseqError as error:
        return None, None, error.options
    return manifest, found, merged_options(manifest.notices)


def named_otherwise(manifest: Any, found: pa.Table, rows: list[tuple[Any, ...]]) -> bool:
    """Whether each column that differs stayed text, or is in one of two readings that a notice named."""
    if found.num_columns != 3 or found.num_rows != len(rows):
        return False
    for number, name in enumerate(found.column_names):
        if not equal_columns(found.column(number).to_pylist(), [row[number] for row in rows]):
            text = pa.types.is_string(kind := found.schema.field(number).type) or pa.types.is_dictionary(kind)
            if not text and manifest.forms.get(name) not in TWO_READINGS:
                return False
    return True

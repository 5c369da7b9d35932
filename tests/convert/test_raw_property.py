"""Any table, written in any supported layout and form, comes back equal or with options that make it so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.convert.raw_text import converted, merged_options_of
from vaxseq.convert.forms.marks import SENTINELS
from vaxseq.dataset.notice import merged_options
from vaxseq.errors import VaxseqError

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def in_twelve_hours(time: dt.datetime) -> str:
    """Month first, with AM and PM."""
    return f"{time:%m/%d/%Y} {(time.hour - 1) % 12 + 1}:{time:%M:%S} {'AP'[time.hour > 11]}M"


def iso_week(time: dt.datetime) -> str:
    """The day in ISO 8601's weeks."""
    year, week, day = time.isocalendar()
    return f"{year}-W{week:02d}-{day}"


def as_written(time: dt.datetime) -> dt.datetime:
    return time


def day_of(time: dt.datetime) -> dt.datetime:
    return time.replace(hour=0, minute=0, second=0)


def hour_later(time: dt.datetime) -> dt.datetime:
    return time - dt.timedelta(hours=1)


# how a time is written, and what is left of it, in UTC where a zone is named
TIMES: dict[str, tuple[Callable[[dt.datetime], str], Callable[[dt.datetime], dt.datetime]]] = {
    "iso": (lambda t: t.strftime("%Y-%m-%d %H:%M:%S"), as_written),
    "iso with T and parts": (lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.000"), as_written),
    "offset": (lambda t: t.strftime("%Y-%m-%dT%H:%M:%S+01:00"), hour_later),
    "zone": (lambda t: t.strftime("%d.%m.%Y %H:%M:%S CET"), hour_later),
    "year first": (lambda t: t.strftime("%Y/%m/%d %H:%M:%S"), as_written),
    "month first": (lambda t: f"{t.month}/{t.day}/{t.year} {t.hour}:{t.minute:02d}:{t.second:02d}", as_written),
    "day first": (lambda t: t.strftime("%d.%m.%Y %H:%M:%S"), as_written),
    "two digits": (lambda t: t.strftime("%d/%m/%y %H:%M:%S"), as_written),
    "month name": (lambda t: f"{t.day:02d}-{MONTHS[t.month - 1]}-{t.year} {t:%H:%M:%S}", as_written),
    "month name first": (lambda t: f"{MONTHS[t.month - 1]} {t.day}, {t.year} {t:%H:%M:%S}", as_written),
    "twelve hours": (in_twelve_hours, as_written),
    "compact": (lambda t: t.strftime("%Y%m%dT%H%M%S"), as_written),
    "compact with a colon": (lambda t: t.strftime("%Y%m%d:%H%M"), lambda t: t.replace(second=0)),
    "day": (lambda t: t.strftime("%d.%m.%Y"), day_of),
    "week": (iso_week, day_of),
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
    "apostrophes": lambda x: grouped(x, "'", "."),
    "exponent": lambda x: f"{x:.12e}",
    "unit": lambda x: f"{x:.2f} km/h",
    "percent": lambda x: f"{x:.2f}%",
    "euro": lambda x: grouped(x, ".", ",") + " €",
    "accounting": lambda x: f"({-x:,.2f})" if x < 0 else f"{x:,.2f}",
}
SENTINEL = "-9999"
MISSING = ["", "NA", " NA ", "-", "n/a", "NaN", "None", SENTINEL, "?", "null"]
YES_NO = {"bool": ("true", "false"), "words": ("yes", "no"), "switch": ("On", "Off"), "Ja": ("Ja", "Nein")}
moments = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)).map(lambda t: t.replace(microsecond=0))
amounts = st.integers(-(10**9), 10**9).map(lambda cents: cents / 100).filter(lambda amount: amount not in SENTINELS)
rows = st.lists(
    st.tuples(moments, st.none() | amounts, st.none() | st.integers(-(2**53), 2**53), st.booleans()),
    min_size=3, max_size=24,
)  # fmt: skip


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, list[tuple[Any, ...]], dict[str, Any], str]:
    """(the file, its rows, what must be passed in any case, how it was made)."""
    time, number = draw(st.sampled_from(sorted(TIMES))), draw(st.sampled_from(sorted(NUMBERS)))
    write_time, left_of = TIMES[time]
    yes, no = YES_NO[draw(st.sampled_from(sorted(YES_NO)))]
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    missing = draw(st.sampled_from(MISSING))
    above = draw(st.sampled_from(["nothing", "nothing", "comment", "station", "title", "sep"]))
    header = draw(st.sampled_from(["names", "names", "names and units", "two lines", "two lines and units", "none"]))
    below = draw(st.sampled_from(["nothing", "nothing", "nothing", "totals", "remark"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    table = draw(rows)
    if missing == SENTINEL:  # of values on both sides of it nobody can tell
        table = [(t, x and round(abs(x) % 900, 2), i and abs(i) % 900, b) for t, x, i, b in table]

    def cell(text: str) -> str:
        return f'"{text}"' if delimiter in text or (text and draw(st.booleans())) else text

    body = [
        delimiter.join([cell(write_time(t)), cell(missing if x is None else NUMBERS[number](x)),
                        missing if i is None else str(i), yes if b else no])
        for t, x, i, b in table
    ]  # fmt: skip
    lines = [delimiter.join(["when", "how much °", "count", "on"])]
    options: dict[str, Any] = {}
    if header.startswith("two"):
        lines.insert(0, delimiter.join(["", "wind", "wind", "wind"]))
    if header.endswith("units"):
        lines.append(delimiter.join(["UTC", "m", "pieces", ""]))
    if header == "none":
        lines, options["header"] = [], False
    if header == "none" and above != "sep":
        above = "nothing"  # nothing tells where it ends
    lines = {
        "nothing": [], "comment": ["# written by a logger", "# in Ålesund"[:4]],
        "station": [delimiter.join(["4711", "PIER", "N", "59", "10"])], "title": ["Station: PIER", "Latitude: 59"],
        "sep": [f"sep={delimiter}"],
    }[above] + lines  # fmt: skip
    if below == "totals":
        body.append(delimiter.join(["Total", "", "", ""]))
        options["skip_footer"] = 1
    elif below == "remark":
        body += ["", "Remark: all of it", "(c) 2021"]
    content = (end.join([*lines, *body]) + end).encode(encoding)
    if missing == SENTINEL:  # where it stands alone, it is a number as any other
        alone = [all(row[place] is None for row in table) for place in (1, 2)]
        table = [(t, -9999.0 if alone[0] else x, -9999 if alone[1] else i, b) for t, x, i, b in table]
    expected = [(left_of(t), x, i, b) for t, x, i, b in table]
    how = f"{time}, {number}, {missing!r}, {delimiter!r}, {above}, {header}, {below}, {encoding}"
    return content, expected, options, how


EXAMPLES = 15 if settings.default.max_examples <= 100 else 400  # a profile looks further
TWO_READINGS = ("month_first", "day_first", "year_first", "decimal_point", "decimal_comma")


def equal(table: pa.Table, rows: list[tuple[Any, ...]]) -> bool:
    """Whether these are the rows."""
    return (table.num_columns, table.num_rows) == (len(rows[0]), len(rows)) and all(
        equal_columns(table.column(number).to_pylist(), [row[number] for row in rows]) for number in range(len(rows[0]))
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
    max_examples=EXAMPLES, deadline=None,
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
            assert named_otherwise(taken, found, table), f"{how}: {found.to_pydict()} with {taken}"
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


def named_otherwise(taken: dict[str, Any], found: pa.Table, rows: list[tuple[Any, ...]]) -> bool:
    """Whether each column that differs stayed text, or is in one of two readings that a notice named and we took."""
    if found.num_columns != len(rows[0]) or found.num_rows != len(rows):
        return False
    for number, name in enumerate(found.column_names):
        if not equal_columns(found.column(number).to_pylist(), [row[number] for row in rows]):
            text = pa.types.is_string(kind := found.schema.field(number).type) or pa.types.is_dictionary(kind)
            if not text and taken.get("forms", {}).get(name) not in TWO_READINGS:
                return False
    return True

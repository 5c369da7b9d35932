"""The .dt and .td accessors: parts of a time as int64, missing where NaT; UTC."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from vaxseq.errors import ExpressionError
from vaxseq.expressions import times
from vaxseq.expressions.broadcast import Array, whole
from vaxseq.expressions.table import DATETIME, NUMBER, TIMEDELTA, function, literal, takes
from vaxseq.expressions.times import NS, count_missing, counted, from_counts
from vaxseq.expressions.values import Value

_FLOORS = {"D": "D", "H": "h", "h": "h", "T": "m", "min": "m", "S": "s", "s": "s", "ms": "ms", "us": "us", "ns": "ns"}
_FREQUENCY = re.compile(r"(\d{0,6})(D|H|h|T|min|S|s|ms|us|ns)")
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH_NAMES = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def _days(value: Value) -> Array:
    counts, unit = counted(value)
    return counts if unit == "D" else np.floor_divide(counts, NS["D"] // NS[unit])


def _within(value: Value, unit: str, parts: int) -> Array:
    """How many whole ``unit`` since the last multiple of ``parts`` of them."""
    counts, stored = counted(value)
    if NS[stored] > NS[unit]:
        counts = counts * (NS[stored] // NS[unit])
    elif NS[stored] < NS[unit]:
        counts = np.floor_divide(counts, NS[unit] // NS[stored])
    return np.asarray(np.remainder(counts, parts))


def _dates(value: Value, unit: str) -> Array:
    """Counts of months or years since 1970."""
    return _days(value).view("M8[D]").astype(f"M8[{unit}]").view(np.int64)


def _weekday(value: Value) -> Array:
    return np.asarray(np.remainder(_days(value) + 3, 7))  # 1970-01-01 was a Thursday


def _month(value: Value) -> Array:
    return np.asarray(np.remainder(_dates(value, "M"), 12) + 1)


def _day(value: Value) -> Array:
    month_start = _dates(value, "M").view("M8[M]").astype("M8[D]").view(np.int64)
    return np.asarray(_days(value) - month_start + 1)


def _year_start(days: Array) -> Array:
    return days.view("M8[D]").astype("M8[Y]").astype("M8[D]").view(np.int64)


def _week(value: Value) -> Array:
    days = _days(value)
    thursday = days - np.remainder(days + 3, 7) + 3  # its year is the ISO week's year
    return np.asarray(np.floor_divide(thursday - _year_start(thursday), 7) + 1)


def _is_leap(value: Value) -> Array:
    year = _dates(value, "Y") + 1970
    leap: Array = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return leap


_PARTS: dict[str, tuple[Callable[[Value], Array], str]] = {
    "year": (lambda v: _dates(v, "Y") + 1970, "year"),
    "quarter": (lambda v: np.floor_divide(_month(v) - 1, 3) + 1, "quarter, 1 to 4"),
    "halfyear": (lambda v: np.floor_divide(_month(v) - 1, 6) + 1, "half of the year, 1 or 2"),
    "month": (_month, "month, 1 to 12"),
    "weekofyear": (_week, "ISO week, 1 to 53"),
    "dayofyear": (lambda v: _days(v) - _year_start(_days(v)) + 1, "day of the year, 1 to 366"),
    "day": (_day, "day of the month, 1 to 31"),
    "dayofweek": (_weekday, "day of the week, Monday is 0"),
    "weekday": (_weekday, "day of the week, Monday is 0"),
    "hour": (lambda v: _within(v, "h", 24), "hour, 0 to 23"),
    "minute": (lambda v: _within(v, "m", 60), "minute, 0 to 59"),
    "second": (lambda v: _within(v, "s", 60), "second, 0 to 59"),
    "microsecond": (lambda v: _within(v, "us", 1_000_000), "microsecond within the second"),
    "nanosecond": (lambda v: _within(v, "ns", 1_000), "nanosecond within the microsecond"),
    "is_leap_year": (_is_leap, "whether its year is a leap year"),
}


def _enter(name: str, part: Callable[[Value], Array], doc: str) -> None:
    @function(f"dt.{name}", takes("t", DATETIME), group="times", is_property=True, doc=doc)
    def kernel(value: Value) -> Value:
        missing = count_missing(counted(value)[0])
        data = part(value)
        return whole(data.copy() if missing is not None else data, missing)


for _name, (_part, _doc) in _PARTS.items():
    _enter(_name, _part, _doc)


@function("dt.day_name", takes("t", DATETIME), group="times", is_property=True, doc="English name of the weekday")
def day_name(value: Value) -> Value:
    return _named(value, _weekday(value), _DAY_NAMES)


@function("dt.month_name", takes("t", DATETIME), group="times", is_property=True, doc="English name of the month")
def month_name(value: Value) -> Value:
    return _named(value, _month(value) - 1, _MONTH_NAMES)


def _named(value: Value, codes: Array, names: tuple[str, ...]) -> Value:
    missing = count_missing(counted(value)[0])
    indices = pa.array(codes.astype(np.int8), mask=missing)
    return Value(pa.DictionaryArray.from_arrays(indices, pa.array(names)))


@function("dt.date", takes("t", DATETIME), group="times", is_property=True, doc="the day, as a time of unit D")
def date(value: Value) -> Value:
    missing = count_missing(counted(value)[0])
    return from_counts(np.array(_days(value)), missing, "M", "D")


def _check_frequency(text: str) -> str | None:
    found = _FREQUENCY.fullmatch(text)
    if found and int(found[1] or 1) > 0:
        return None
    return f"a length of time such as 'D', 'h', '15min', '10s'; got {text!r}"


@function(
    "dt.floor",
    takes("t", DATETIME),
    literal("freq", str, check=_check_frequency),
    group="times",
    doc="rounded down to a length of time: 'D', 'h', '15min', '10s', 'ms', ...",
)
def floor(value: Value, freq: str) -> Value:
    found = _FREQUENCY.fullmatch(freq)
    if found is None:
        raise ExpressionError(f"dt.floor takes {_check_frequency(freq)}.")
    length = int(found[1] or 1) * NS[_FLOORS[found[2]]]
    counts, unit = counted(value)
    missing = count_missing(counts)
    step, rest = divmod(length, NS[unit])
    if step and rest:
        raise ExpressionError(f"{freq!r} isn't a whole number of the column's unit {unit!r}.")
    floored = counts - np.remainder(counts, step) if step else counts.copy()
    return from_counts(floored, missing, "M", unit)


def _seconds(value: Value) -> Value:
    unit = counted(value)[1]
    count = times.seconds_exact(value).data
    return Value(count * 86400.0 if unit == "D" else count / float(NS["s"] // NS[unit]))


@function("dt.timestamp", takes("t", DATETIME), group="times", doc="seconds since 1970-01-01 UTC, float64")
def timestamp(value: Value) -> Value:
    return _seconds(value)


@function("td.total_seconds", takes("d", TIMEDELTA), group="times", doc="seconds, float64")
def td_total_seconds(value: Value) -> Value:
    return _seconds(value)


@function("dt.total_seconds", takes("d", TIMEDELTA), group="times", doc="the same as td.total_seconds (pandas' name)")
def dt_total_seconds(value: Value) -> Value:
    return _seconds(value)


@function("seconds", takes("d", TIMEDELTA), group="times", doc="the same as td.total_seconds")
def seconds(value: Value) -> Value:
    return _seconds(value)


@function("td.days", takes("d", TIMEDELTA), group="times", is_property=True, doc="whole days, rounded down")
def td_days(value: Value) -> Value:
    missing = count_missing(counted(value)[0])
    return whole(np.array(_days(value)), missing)


@function(
    "td.seconds",
    takes("d", TIMEDELTA),
    group="times",
    is_property=True,
    doc="seconds beyond the whole days, 0 to 86399",
)
def td_seconds(value: Value) -> Value:
    missing = count_missing(counted(value)[0])
    return whole(_within(value, "s", 86_400), missing)


def _check_unit(text: str) -> str | None:
    return None if text in NS else f"one of {', '.join(NS)}; got {text!r}"


@function(
    "timedelta",
    takes("n", NUMBER),
    literal("unit", str, default="s", check=_check_unit),
    group="times",
    doc="a length of time; of a float rounded to nanoseconds",
)
def timedelta(value: Value, unit: str) -> Value:
    return times.length(value, unit)


@function(
    "as_datetime",
    takes("x", ("int", "text", "datetime")),
    literal("unit", str, default="s", check=_check_unit),
    group="times",
    doc="a time written in place, or an integer count of ``unit`` since 1970-01-01 UTC",
)
def as_datetime(value: Value | str, unit: str) -> Value:
    return times.moment(value, unit)

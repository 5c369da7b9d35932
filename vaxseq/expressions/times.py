"""Times inside the program: literals, units that meet, differences. NaT is missing throughout."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from vaxseq.errors import ExpressionError
from vaxseq.expressions.broadcast import Array, either
from vaxseq.expressions.integers import LOW, checked
from vaxseq.expressions.table import Operand, mismatch
from vaxseq.expressions.values import Mask, Value

NS = {"D": 86_400 * 10**9, "h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_KEPT = ("D", "s", "ms", "us", "ns")
_LITERAL = re.compile(r"(?P<date>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d(?::\d\d(?:\.(?P<fraction>\d{1,9}))?)?)Z?)?")


def parse_time(text: str) -> Value:
    """A timestamp literal such as ``2014-01-31`` or ``2014-01-31 12:30:05.25`` as 0-d datetime64 data.

    Raises:
        ExpressionError: not of that form, or no such day.
    """
    found = _LITERAL.fullmatch(text.strip())
    data = None
    if found:
        digits = len(found["fraction"] or "")
        unit = "D" if not found["clock"] else ("s", "ms", "us", "ns")[(digits + 2) // 3]
        written = found["date"] + (f"T{found['clock']}" if found["clock"] else "")
        try:
            data = np.array(written, dtype=f"M8[{unit}]")
        except ValueError:  # such as the 31st of April
            data = None
    if data is None:
        form = "'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS[.fraction]' (UTC)"
        raise ExpressionError(f"a time is written {form}; got {text!r}.")
    return Value(data)


def parsed_pair(a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """The two, a text constant beside a datetime parsed as a time."""
    if isinstance(a, str) and not isinstance(b, str) and b.kind == "datetime":
        return parse_time(a), b
    if isinstance(b, str) and not isinstance(a, str) and a.kind == "datetime":
        return a, parse_time(b)
    return a, b


def counted(value: Value) -> tuple[Array, str]:
    """The int64 counts (NaT is -2**63) and their unit; odd units (hours, weeks, months) become days or seconds."""
    data = value.data
    unit, step = np.datetime_data(data.dtype)
    if unit in _KEPT and step == 1:
        return data.view(np.int64), unit
    if unit in ("Y", "M", "W") and data.dtype.kind == "M":
        return data.astype("M8[D]").view(np.int64), "D"
    if unit in NS or unit == "W":
        target = unit if unit in _KEPT else "s"
        return data.astype(f"{data.dtype.kind}8[{target}]").view(np.int64), target
    raise mismatch(f"a time of unit {unit!r} can't be read; expected nanoseconds or coarser", value)


def same_unit(a: Value, b: Value) -> tuple[Value, Value, str]:
    """Both in the finer of their units."""
    x, first = counted(a)
    y, second = counted(b)
    unit = min(first, second, key=NS.__getitem__)
    return (
        Value(_rescaled(x, first, unit).view(f"{a.data.dtype.kind}8[{unit}]")),
        Value(_rescaled(y, second, unit).view(f"{b.data.dtype.kind}8[{unit}]")),
        unit,
    )


def count_missing(counts: Array) -> Mask | None:
    """Which counts are NaT."""
    mask = counts == LOW
    return mask if mask.any() else None


def from_counts(counts: Array, missing: Mask | None, kind: str, unit: str) -> Value:
    """Counts as datetime64 ("M") or timedelta64 ("m"), NaT where missing."""
    if missing is not None:
        counts[missing] = LOW
    return Value(counts.view(f"{kind}8[{unit}]"))


def shift(sign: str, a: Value, b: Value) -> Value:
    """Time - time, time ± timedelta, timedelta ± timedelta."""
    forms = {
        ("datetime", "-", "datetime"): "m",
        ("datetime", "-", "timedelta"): "M",
        ("datetime", "+", "timedelta"): "M",
        ("timedelta", "+", "datetime"): "M",
        ("timedelta", "-", "timedelta"): "m",
        ("timedelta", "+", "timedelta"): "m",
    }
    kind = forms.get((a.kind, sign, b.kind))
    if kind is None:
        what = f"{sign!r} doesn't take these kinds together"
        raise mismatch(what, a, b, remedy="For a number write .td.total_seconds().")
    a, b, unit = same_unit(a, b)
    x, y = a.data.view(np.int64), b.data.view(np.int64)
    missing = either(_rows(x), _rows(y))
    ufunc = np.add if sign == "+" else np.subtract
    return from_counts(checked(sign, ufunc, Value(x, _rows(x)), Value(y, _rows(y))).data, missing, kind, unit)


def seconds_exact(value: Value) -> Value:
    """Counts of a timedelta as float64, NaN where NaT."""
    counts, _ = counted(value)
    result = counts.astype(np.float64)
    missing = count_missing(counts)
    if missing is not None and counts.ndim:
        result[missing] = np.nan
    return Value(result)


def outside(times: Array, dtype: np.dtype[Any]) -> Mask:
    """Which times another unit can't hold: NumPy wraps them without a word."""
    per_s = {"ms": 10**3, "us": 10**6, "ns": 10**9}.get(np.datetime_data(dtype)[0])
    if per_s is None or np.datetime_data(times.dtype) == np.datetime_data(dtype):
        return np.zeros(times.shape, dtype=bool)
    seconds = times.astype(f"{times.dtype.kind}8[s]").view(np.int64)
    limit = (2**63 - 1) // per_s
    return np.asarray(((seconds > limit - 1) | (seconds < -limit)) & ~np.isnat(times))


def _rows(counts: Array) -> Mask | None:
    return count_missing(counts) if counts.ndim else None


def _rescaled(counts: Array, old: str, new: str) -> Array:
    if old == new:
        return counts
    factor = Value(np.array(NS[old] // NS[new]))
    missing = _rows(counts)
    try:
        result: Any = checked("*", np.multiply, Value(counts, missing), factor).data
    except ExpressionError:
        raise ExpressionError(f"a time doesn't fit the unit {new!r} of the time it is combined with.") from None
    if missing is not None:
        result[missing] = LOW
    return np.asarray(result)


def length(value: Value, unit: str) -> Value:
    """A number of ``unit`` as a timedelta: integers exactly, floats rounded to nanoseconds."""
    if value.kind == "float":
        scaled = np.rint(value.data * float(NS[unit]))
        unfit = ~(np.abs(scaled) < 2.0**63)
        if (unfit & ~np.isnan(scaled)).any():
            raise ExpressionError("a length of time doesn't fit; got a number beyond ±292 years, expected fewer.")
        return from_counts(np.where(unfit, 0.0, scaled).astype(np.int64), _some(unfit), "m", "ns")
    return _counts_in(value, unit, "m")


def moment(value: Operand, unit: str) -> Value:
    """A text constant, or an integer number of ``unit`` since 1970, as a datetime."""
    if isinstance(value, str):
        return parse_time(value)
    if value.kind == "datetime":
        return value
    if value.kind == "text":
        remedy = "Convert the column when the dataset is made: schema={'column': 'timestamp'}."
        raise mismatch("as_datetime takes a text only where it is written in place", value, remedy=remedy)
    return _counts_in(value, unit, "M")


def _counts_in(value: Value, unit: str, kind: str) -> Value:
    data = value.data.astype(np.int64)
    stored = unit if unit in _KEPT else "s"
    if stored != unit:
        data = checked("*", np.multiply, Value(data, value.missing), Value(np.array(NS[unit] // NS[stored]))).data
    return from_counts(data, value.missing, kind, stored)


def _some(mask: Mask) -> Mask | None:
    return mask if mask.any() else None

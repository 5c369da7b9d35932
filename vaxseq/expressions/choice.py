"""Choosing and filling: ismissing, fillmissing, where, isin. A condition that is missing chooses nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.errors import ExpressionError, FeatureTypeError
from vaxseq.expressions import texts, times
from vaxseq.expressions.broadcast import Array, arrays, either, missing_rows, text_nulls, truth
from vaxseq.expressions.table import ANY, NUMBER, Operand, function, literal, mismatch, takes
from vaxseq.expressions.values import Mask, Value


@function("ismissing", takes("x", ANY), group="missing", method=True, doc="whether it is missing (null, NaN or NaT)")
def is_missing(value: Operand) -> Value:
    if isinstance(value, str):
        return Value(np.array([False]))
    if value.shape and value.kind == "float":
        return Value(np.isnan(value.data))
    if value.kind == "text":
        mask = text_nulls(value.data)
        return Value(np.zeros(len(value), dtype=bool) if mask is None else mask)
    return Value(np.array(value.is_missing()))


@function("notmissing", takes("x", ANY), group="missing", method=True, doc="whether it is not missing")
def not_missing(value: Operand) -> Value:
    return Value(np.logical_not(is_missing(value).data))


for _name, _kernel, _words in (
    ("isna", is_missing, "ismissing"),
    ("notna", not_missing, "notmissing"),
    ("isnan", is_missing, "ismissing"),
):
    function(
        _name,
        takes("x", NUMBER if _name == "isnan" else ANY),
        group="missing",
        method=True,
        doc=f"the same as {_words}: NaN is missing",
    )(_kernel)


def _fill(value: Operand, filler: Operand) -> Operand:
    """``value`` with ``filler`` where it is missing."""
    if isinstance(value, str) or _is_constant(value):
        raise mismatch("only a column has missing values to fill", value)
    if value.kind == "text":
        if isinstance(filler, str):
            return texts.filled(value, filler)
        if filler.kind != "text":
            raise mismatch("a filler is of its column's kind", value, filler)
        x, y = texts.rows(value, filler)
        return Value(pc.coalesce(x, y))
    _, parsed = times.parsed_pair(value, filler)
    if isinstance(parsed, str) or not _alike(value, parsed):
        raise mismatch("a filler is of its column's kind", value, parsed)
    return select(is_missing(value), parsed, value)


for _name in ("fillmissing", "fillna", "fillnan"):
    function(
        _name,
        takes("x", ANY),
        takes("value", ANY),
        group="missing",
        method=True,
        doc="x, with ``value`` where x is missing",
    )(_fill)


def _alike(a: Value, b: Value) -> bool:
    return a.kind == b.kind or (a.kind in NUMBER and b.kind in NUMBER)


@function(
    "where",
    takes("condition", ANY),
    takes("x", ANY),
    takes("y", ANY),
    group="choice",
    doc="x where the condition is True, y where False, missing where it is missing",
)
def where(condition: Operand, x: Operand, y: Operand) -> Value:
    if isinstance(condition, str) or condition.kind != "bool":
        raise mismatch("where takes a condition", condition, remedy="Write a comparison, such as x > 0.")
    x, y = times.parsed_pair(x, y)
    if condition.data.ndim == 0:
        rows = max(len(one) for one in (x, y) if isinstance(one, Value) and not _is_constant(one))
        condition = Value(np.full(rows, condition.data))
    if isinstance(x, str) or isinstance(y, str) or "text" in (x.kind, y.kind):
        return _where_text(condition, x, y)
    return select(condition, x, y)


def select(condition: Value, x: Value, y: Value) -> Value:
    """`where` of numbers, times and truth values."""
    x, y = _nan_as_nat(x, y), _nan_as_nat(y, x)
    if not _alike(x, y):
        raise mismatch("where's two results are of one kind", x, y)
    if x.kind in ("datetime", "timedelta"):
        x, y, _ = times.same_unit(x, y)
    missing = condition.missing
    if x.kind in NUMBER and "float" in (x.kind, y.kind):
        x, y = (Value(one.data if one.missing is None else _as_nan(one)) for one in (x, y))
    elif x.kind in NUMBER and x.kind != y.kind:
        x, y = (Value(one.data.astype(np.int64), one.missing) for one in (x, y))
    choice, first, second = arrays(condition, x, y)
    data = np.asarray(np.where(choice, first, second))
    if x.missing is not None or y.missing is not None:
        rows = condition.data if condition.data.ndim == 1 else None
        some, every = (rows, rows) if rows is not None else _any_and_all(condition.data)
        missing = either(
            missing,
            None if x.missing is None else x.missing & some,
            None if y.missing is None else y.missing & ~every,
        )
    return _blank(data, missing)


def _any_and_all(data: Array) -> tuple[Mask, Mask]:
    flat = data.reshape(len(data), -1)
    return np.asarray(flat.any(axis=1)), np.asarray(flat.all(axis=1))


def _as_nan(value: Value) -> Array:
    data: Array = value.data.astype(np.float64)
    data[value.missing] = np.nan
    return data


def _nan_as_nat(value: Value, other: Value) -> Value:
    """The constant nan beside times is NaT."""
    if other.kind in ("datetime", "timedelta") and _is_nan(value):
        return Value(np.array("NaT", dtype=other.data.dtype))
    return value


def _blank(data: Array, missing: Mask | None) -> Value:
    """The data with its missing rows in their kind's form."""
    if missing is None or not missing.any():
        return Value(data)
    if data.dtype.kind == "f":
        data[missing] = np.nan
    elif data.dtype.kind in "mM":
        data[missing] = np.array("NaT", dtype=data.dtype)
    else:
        data[missing] = 0
        return Value(data, missing)
    return Value(data)


def _where_text(condition: Value, x: Operand, y: Operand) -> Value:
    if condition.shape:
        raise mismatch("where chooses texts by one condition a row", condition)
    for one in (x, y):
        if isinstance(one, Value) and one.kind != "text" and not _is_nan(one):
            raise mismatch("where's two results are of one kind", x, y)
    mask = condition.missing
    if isinstance(x, str) and isinstance(y, str):
        codes = np.where(condition.data, 0, 0 if x == y else 1).astype(np.int8)
        names = [x] if x == y else [x, y]
        return Value(pa.DictionaryArray.from_arrays(pa.array(codes, mask=mask), pa.array(names, pa.string())))
    chosen = pa.array(condition.data, mask=mask)
    n = len(condition)
    columns = [
        pa.nulls(n, pa.large_string())
        if _is_nan(one)
        else texts.plain(one.data)
        if isinstance(one, Value)
        else pa.scalar(one, pa.large_string())
        for one in (x, y)
    ]
    columns = [one if one.type == pa.large_string() else one.cast(pa.large_string()) for one in columns]
    picked = pc.if_else(chosen, *columns)
    return Value(pa.nulls(n, pa.large_string()) if picked is None else picked)


def _is_constant(one: Value) -> bool:
    return one.kind != "text" and one.data.ndim == 0


def _is_nan(one: Operand) -> bool:
    return isinstance(one, Value) and one.kind == "float" and _is_constant(one) and bool(np.isnan(one.data))


@function(
    "isin",
    takes("x", ANY),
    literal("values", tuple),
    group="choice",
    method=True,
    doc="whether x is one of the constants of a list; missing where x is; also written ``x in [1, 2]``",
)
def isin(value: Operand, values: tuple[Any, ...]) -> Value:
    if isinstance(value, str):
        return Value(np.array([value in values]))
    wanted: tuple[type, ...] = (str,) if value.kind in ("text", "datetime") else (bool, int, float)
    if value.kind == "timedelta" or not all(isinstance(one, wanted) for one in values):
        kinds = " and ".join(sorted({type(one).__name__ for one in values}))
        raise FeatureTypeError(f"isin takes a list of its column's kind; got {value.kind} and a list of {kinds}.")
    if value.kind == "text":
        return texts.is_in(value, values)
    if any(isinstance(one, float) and one != one for one in values):
        raise ExpressionError("isin can't look for nan. Use ismissing(x).")
    result = np.zeros(value.data.shape, dtype=bool)
    for one in values:  # a written list is short, and each is an exact comparison
        constant = times.parse_time(one) if isinstance(one, str) else Value(np.array(one))
        if value.kind == "datetime":
            left, right, _ = times.same_unit(value, constant)
            result |= left.data == right.data
        else:
            result |= value.data == constant.data
    return truth(result, missing_rows(value))

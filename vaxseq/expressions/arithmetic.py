"""Arithmetic: int64 that raises rather than wraps, float64, times and their differences, text joined by +."""

from __future__ import annotations

import numpy as np

from vaxseq.expressions import times
from vaxseq.expressions.broadcast import arrays, either, floats, integer, whole
from vaxseq.expressions.integers import LOW, checked, overflow, raise_at
from vaxseq.expressions.table import ANY, NUMBER, Operand, function, mismatch, takes
from vaxseq.expressions.texts import join
from vaxseq.expressions.values import Value

_BOTH = (takes("x", ANY), takes("y", ANY))


@function(
    "+", *_BOTH, group="operators", operator=True, doc="sum; of two texts: joined; of a time and a timedelta: a time"
)
def add(a: Operand, b: Operand) -> Operand:
    if isinstance(a, str) or isinstance(b, str) or "text" in (a.kind, b.kind):
        return join(a, b)
    return _arithmetic("+", np.add, a, b)


@function("-", *_BOTH, group="operators", operator=True, doc="difference; of two times: a timedelta")
def subtract(a: Operand, b: Operand) -> Operand:
    a, b = times.parsed_pair(a, b)
    return _arithmetic("-", np.subtract, a, b)


@function("*", *_BOTH, group="operators", operator=True, doc="product")
def multiply(a: Operand, b: Operand) -> Operand:
    return _arithmetic("*", np.multiply, a, b)


@function("/", *_BOTH, group="operators", operator=True, doc="quotient, always float64; of two timedeltas: their ratio")
def divide(a: Operand, b: Operand) -> Operand:
    if not isinstance(a, str) and not isinstance(b, str) and a.kind == b.kind == "timedelta":
        x, y, _ = times.same_unit(a, b)
        return Value(np.true_divide(*arrays(times.seconds_exact(x), times.seconds_exact(y))))
    x, y = _numbers("/", a, b)
    return Value(np.true_divide(*arrays(_float_or_plain(x), _float_or_plain(y))))


@function(
    "//", *_BOTH, group="operators", operator=True, doc="quotient rounded down; of integers: missing where y is 0"
)
def floor_divide(a: Operand, b: Operand) -> Operand:
    return _whole_division("//", np.floor_divide, a, b)


@function(
    "%", *_BOTH, group="operators", operator=True, doc="remainder with the sign of y; of integers: missing where y is 0"
)
def remainder(a: Operand, b: Operand) -> Operand:
    return _whole_division("%", np.remainder, a, b)


@function(
    "**",
    takes("x"),
    takes("y"),
    group="operators",
    operator=True,
    doc="power; an integer to a constant power >= 0 stays an integer, all else is float64",
)
def power(a: Value, b: Value) -> Value:
    a, b = integer(a), integer(b)
    if a.kind == "int" and b.kind == "int" and b.data.ndim == 0 and b.data >= 0:
        return _integer_power(a, int(b.data))
    if b.data.ndim == 0:
        return Value(np.power(floats(a), floats(b)))
    # NumPy squares, roots and inverts where an exponent has stride 0, which it takes one row to have:
    # so that a row's bits don't depend on its block, exponents are laid out in full and never alone.
    x, y = (np.ascontiguousarray(one) for one in np.broadcast_arrays(*arrays(Value(floats(a)), Value(floats(b)))))
    if x.size == 1:
        return Value(np.power(np.repeat(x.ravel(), 2), np.repeat(y.ravel(), 2))[:1].reshape(x.shape))
    return Value(np.power(x.ravel(), y.ravel()).reshape(x.shape))


@function("neg", takes("x", (*NUMBER, "timedelta")), group="operators", operator=True, doc="minus x")
def negative(a: Value) -> Value:
    if a.kind == "timedelta":
        return Value(np.negative(a.data))
    a = integer(a)
    return Value(np.negative(a.data)) if a.kind == "float" else checked("-", np.subtract, Value(np.array(0)), a)


@function("pos", takes("x", NUMBER), group="operators", operator=True, doc="x as a number")
def positive(a: Value) -> Value:
    return integer(a)


@function("abs", takes("x", (*NUMBER, "timedelta")), group="rounding", method=True, doc="absolute value")
def absolute(a: Value) -> Value:
    if a.kind in ("float", "timedelta"):
        return Value(np.absolute(a.data))
    a = integer(a)
    smallest = int(a.data.min(initial=0))
    if smallest == LOW and (a.missing is None or bool((a.data[~a.missing] == LOW).any())):
        raise overflow("abs", LOW, None)
    return whole(np.absolute(a.data), a.missing)


def _arithmetic(sign: str, ufunc: np.ufunc, a: Operand, b: Operand) -> Value:
    if not isinstance(a, str) and not isinstance(b, str) and not {a.kind, b.kind}.isdisjoint(("datetime", "timedelta")):
        return times.shift(sign, a, b)
    x, y = _numbers(sign, a, b)
    if x.kind == y.kind == "int":
        return checked(sign, ufunc, x, y)
    return Value(ufunc(*arrays(_float_or_plain(x), _float_or_plain(y))))


def _numbers(sign: str, a: Operand, b: Operand) -> tuple[Value, Value]:
    if isinstance(a, str) or isinstance(b, str) or a.kind not in NUMBER or b.kind not in NUMBER:
        raise mismatch(f"{sign!r} doesn't take these kinds together", a, b)
    return integer(a), integer(b)


def _float_or_plain(value: Value) -> Value:
    """As float64 where it must be; a long int column without missing rows is left for NumPy to cast in cache."""
    return value if value.kind == "float" or (value.missing is None and value.data.ndim) else Value(floats(value))


def _whole_division(sign: str, ufunc: np.ufunc, a: Operand, b: Operand) -> Value:
    x, y = _numbers(sign, a, b)
    if x.kind != "int" or y.kind != "int":
        return Value(ufunc(*arrays(_float_or_plain(x), _float_or_plain(y))))
    top, below = arrays(x, y)
    missing = either(x.missing, y.missing)
    zero = below == 0
    if zero.any():
        below = np.where(zero, 1, below)
        result = np.asarray(ufunc(top, below))
        rows = np.asarray(np.broadcast_to(zero, result.shape))
        rows = rows if rows.ndim == 1 else np.asarray(rows.any(axis=tuple(range(1, rows.ndim))))
        missing = either(missing, rows)
    else:
        result = np.asarray(ufunc(top, below))
    if sign == "//" and result.size and top.min() == LOW and (below == -1).any():
        raise_at((top == LOW) & (below == -1), sign, top, below, missing)
    return whole(result, missing)


def _integer_power(a: Value, exponent: int) -> Value:
    result = whole(np.ones_like(a.data), a.missing)
    base = a
    while exponent:
        if exponent & 1:
            result = checked("*", np.multiply, result, base)
        exponent >>= 1
        if exponent:
            base = checked("*", np.multiply, base, base)
    return result

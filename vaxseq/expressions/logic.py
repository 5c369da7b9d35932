"""Comparisons and truth values by three-valued logic: what can't be known is missing, never False.

Source: S. C. Kleene, Introduction to Metamathematics (1952), §64, the strong tables.
"""

from __future__ import annotations

import numpy as np

from vaxseq.expressions import texts, times
from vaxseq.expressions.broadcast import Array, arrays, either, missing_rows, truth
from vaxseq.expressions.table import ANY, NUMBER, Operand, function, mismatch, takes
from vaxseq.expressions.values import Mask, Value

_UFUNCS = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_WORDS = {"<": "less", "<=": "less or equal", ">": "greater", ">=": "greater or equal", "==": "equal", "!=": "unequal"}


def _enter_comparison(sign: str) -> None:
    @function(
        sign,
        takes("x", ANY),
        takes("y", ANY),
        group="operators",
        operator=True,
        doc=f"whether {_WORDS[sign]}; missing where either is; a text constant beside a time is read as a time",
    )
    def kernel(a: Operand, b: Operand) -> Value:
        return compare(sign, a, b)


def compare(sign: str, a: Operand, b: Operand) -> Value:
    """Two operands compared, missing where either is."""
    a, b = times.parsed_pair(a, b)
    if isinstance(a, str) or isinstance(b, str) or a.kind == "text" or b.kind == "text":
        if any(isinstance(one, Value) and one.kind != "text" for one in (a, b)):
            raise mismatch(f"{sign!r} can't compare these kinds", a, b)
        return texts.compare(sign, a, b)
    if a.kind != b.kind and not (a.kind in NUMBER and b.kind in NUMBER):
        raise mismatch(f"{sign!r} can't compare these kinds", a, b)
    if a.kind in ("datetime", "timedelta"):
        a, b, _ = times.same_unit(a, b)
    missing = either(missing_rows(a), missing_rows(b))
    return truth(np.asarray(_UFUNCS[sign](*arrays(a, b))), missing)


for _sign in _UFUNCS:
    _enter_comparison(_sign)


def _both_truth(sign: str, a: Operand, b: Operand) -> tuple[Array, Array, Mask | None, Mask | None]:
    if isinstance(a, str) or isinstance(b, str) or a.kind != "bool" or b.kind != "bool":
        raise mismatch(
            f"{sign!r} takes two truth values",
            a,
            b,
            remedy=f"Put comparisons in parentheses, (x > 1) {sign} (y < 2); of a 0/1 column write x != 0.",
        )
    x, y = arrays(a, b)
    return x, y, _lined(a.missing, x), _lined(b.missing, y)


def _lined(missing: Mask | None, data: Array) -> Mask | None:
    return missing if missing is None or data.ndim <= 1 else missing.reshape(-1, *[1] * (data.ndim - 1))


@function(
    "&",
    takes("x", ANY),
    takes("y", ANY),
    group="operators",
    operator=True,
    doc="and: False where either is False, else missing where either is missing",
)
def logical_and(a: Operand, b: Operand) -> Value:
    x, y, no_x, no_y = _both_truth("&", a, b)
    if no_x is None and no_y is None:
        return Value(x & y)
    sure_false = (~x if no_x is None else ~(x | no_x)) | (~y if no_y is None else ~(y | no_y))
    return _known(x & y, either(no_x, no_y), sure_false)


@function(
    "|",
    takes("x", ANY),
    takes("y", ANY),
    group="operators",
    operator=True,
    doc="or: True where either is True, else missing where either is missing",
)
def logical_or(a: Operand, b: Operand) -> Value:
    x, y, no_x, no_y = _both_truth("|", a, b)
    if no_x is None and no_y is None:
        return Value(x | y)
    sure_true = (x if no_x is None else x & ~no_x) | (y if no_y is None else y & ~no_y)
    return _known(sure_true, either(no_x, no_y), sure_true)


@function(
    "^",
    takes("x", ANY),
    takes("y", ANY),
    group="operators",
    operator=True,
    doc="exclusive or: missing where either is missing",
)
def logical_xor(a: Operand, b: Operand) -> Value:
    x, y, no_x, no_y = _both_truth("^", a, b)
    return _known(x ^ y, either(no_x, no_y), None)


def _known(data: Array, missing: Mask | None, sure: Array | None) -> Value:
    """The result, missing where an operand is unless the other one alone decides it."""
    if missing is None:
        return Value(data)
    missing = np.asarray(np.broadcast_to(missing, data.shape) if sure is None else missing & ~sure)
    if missing.ndim > 1:
        missing = np.asarray(missing.any(axis=tuple(range(1, missing.ndim))))
    return truth(data, missing) if missing.any() else Value(data)


@function("~", takes("x", ANY), group="operators", operator=True, doc="not: missing where x is missing")
def logical_not(a: Operand) -> Value:
    if isinstance(a, str) or a.kind != "bool":
        raise mismatch("'~' takes a truth value", a, remedy="Of a 0/1 column write x == 0.")
    return truth(np.logical_not(a.data), a.missing)

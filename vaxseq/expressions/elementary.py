"""Element-wise mathematics: float64 inside, NaN where it has no value (log of a negative number) or x is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vaxseq.expressions.broadcast import arrays, either, floats, integer, whole
from vaxseq.expressions.table import function, literal, takes
from vaxseq.expressions.values import Value

_ONE: tuple[tuple[str, np.ufunc, str], ...] = (
    ("sqrt", np.sqrt, "square root"),
    ("exp", np.exp, "e to the x"),
    ("expm1", np.expm1, "exp(x) - 1, exact near 0"),
    ("log", np.log, "natural logarithm"),
    ("log1p", np.log1p, "log(1 + x), exact near 0"),
    ("log10", np.log10, "decimal logarithm"),
    ("log2", np.log2, "binary logarithm"),
    ("sin", np.sin, "sine of radians"),
    ("cos", np.cos, "cosine"),
    ("tan", np.tan, "tangent"),
    ("arcsin", np.arcsin, "arc sine"),
    ("arccos", np.arccos, "arc cosine"),
    ("arctan", np.arctan, "arc tangent"),
    ("sinh", np.sinh, "hyperbolic sine"),
    ("cosh", np.cosh, "hyperbolic cosine"),
    ("tanh", np.tanh, "hyperbolic tangent"),
    ("arcsinh", np.arcsinh, "inverse hyperbolic sine"),
    ("arccosh", np.arccosh, "inverse hyperbolic cosine"),
    ("arctanh", np.arctanh, "inverse hyperbolic tangent"),
    ("deg2rad", np.deg2rad, "degrees to radians"),
    ("rad2deg", np.rad2deg, "radians to degrees"),
)


def _enter_one(name: str, ufunc: np.ufunc, doc: str) -> None:
    @function(name, takes("x"), group="mathematics", method=True, doc=doc)
    def kernel(value: Value) -> Value:
        return Value(np.asarray(ufunc(floats(value))))


for _name, _ufunc, _doc in _ONE:
    _enter_one(_name, _ufunc, _doc)


def _enter_two(name: str, ufunc: np.ufunc, doc: str) -> None:
    @function(name, takes("x"), takes("y"), group="mathematics", doc=doc)
    def kernel(a: Value, b: Value) -> Value:
        pair = [np.ascontiguousarray(one) if one.ndim else one for one in arrays(Value(floats(a)), Value(floats(b)))]
        return Value(np.asarray(ufunc(*pair)))


_enter_two("arctan2", np.arctan2, "angle of the point (y, x), in radians: arctan2(y, x) with y first")
_enter_two("atan2", np.arctan2, "the same as arctan2")
_enter_two("hypot", np.hypot, "sqrt(x**2 + y**2)")


def _enter_rounding(name: str, ufunc: np.ufunc, doc: str) -> None:
    @function(name, takes("x"), group="rounding", method=True, doc=doc)
    def kernel(value: Value) -> Value:
        value = integer(value)
        return value if value.kind == "int" else Value(np.asarray(ufunc(value.data)))


_enter_rounding("floor", np.floor, "rounded down; integers stay integers")
_enter_rounding("ceil", np.ceil, "rounded up; integers stay integers")
_enter_rounding("trunc", np.trunc, "rounded towards 0; integers stay integers")


def _few_digits(decimals: int) -> str | None:
    return None if 0 <= decimals <= 15 else f"0 to 15 decimals; got {decimals}"


@function(
    "round",
    takes("x"),
    literal("decimals", int, default=0, check=_few_digits),
    group="rounding",
    method=True,
    doc="rounded to so many decimals, halves to even; integers stay integers",
)
def round_(value: Value, decimals: int) -> Value:
    value = integer(value)
    return value if value.kind == "int" else Value(np.asarray(np.round(value.data, decimals)))


@function("sign", takes("x"), group="rounding", method=True, doc="-1, 0 or 1")
def sign(value: Value) -> Value:
    value = integer(value)
    return Value(np.asarray(np.sign(value.data)), value.missing)


def _numbers_alike(*values: Value) -> list[Value]:
    """All int64, or all float64."""
    wide = [integer(value) for value in values]
    return wide if all(value.kind == "int" for value in wide) else [Value(floats(value)) for value in wide]


def _extreme(ufunc: Callable[..., Any]) -> Callable[[Value, Value], Value]:
    def kernel(a: Value, b: Value) -> Value:
        x, y = _numbers_alike(a, b)
        data = np.asarray(ufunc(*arrays(x, y)))
        if data.dtype.kind == "f":
            data += 0.0  # of -0.0 and 0.0 NumPy returns either, by the row's place in a block: always 0.0 here
            return Value(data)
        return whole(data, either(x.missing, y.missing))

    return kernel


minimum = function("minimum", takes("x"), takes("y"), group="choice", doc="the smaller; missing where either is")(
    _extreme(np.minimum)
)
maximum = function("maximum", takes("x"), takes("y"), group="choice", doc="the greater; missing where either is")(
    _extreme(np.maximum)
)


@function(
    "clip",
    takes("x"),
    takes("min"),
    takes("max"),
    group="choice",
    method=True,
    doc="x, but at least ``min`` and at most ``max``",
)
def clip(value: Value, low: Value, high: Value) -> Value:
    return minimum(maximum(value, low), high)


@function("isfinite", takes("x"), group="missing", method=True, doc="whether neither infinite nor missing")
def isfinite(value: Value) -> Value:
    return Value(np.asarray(np.isfinite(floats(value))))


@function("isinf", takes("x"), group="missing", method=True, doc="whether infinite (a missing x is not)")
def isinf(value: Value) -> Value:
    return Value(np.asarray(np.isinf(floats(value))))

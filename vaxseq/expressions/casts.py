"""Casts that a reader asks for by name: numbers as float64 or int64, never silently wrong."""

from __future__ import annotations

import numpy as np

from vaxseq.errors import ExpressionError
from vaxseq.expressions.broadcast import floats, integer, missing_rows, whole
from vaxseq.expressions.table import NUMBER, function, literal, takes
from vaxseq.expressions.values import Value

_NAMES = ("float", "float64", "int", "int64")


def _known(name: str) -> str | None:
    return None if name in _NAMES else f"one of {', '.join(map(repr, _NAMES))}; got {name!r}"


@function(
    "astype",
    takes("x", NUMBER),
    literal("type", str, check=_known),
    group="rounding",
    method=True,
    doc="as 'float' (float64) or 'int' (int64, rounded towards 0; raises where it doesn't fit)",
)
def astype(value: Value, type_name: str) -> Value:
    if type_name.startswith("float"):
        return Value(floats(value))
    value = integer(value)
    if value.kind == "int":
        return value
    missing = missing_rows(value)
    data = value.data
    unfit = ~(np.abs(data) < 2.0**63)
    if missing is not None:
        unfit[missing] = False
    if unfit.any():
        raise ExpressionError(f"astype('int'): a number doesn't fit int64; got {float(data[unfit][0])!r}.")
    if missing is not None:
        data = np.where(np.isnan(data), 0.0, data)
    return whole(data.astype(np.int64), missing)

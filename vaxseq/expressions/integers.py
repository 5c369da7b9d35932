"""int64 arithmetic that raises where a result doesn't fit, and never wraps."""

from __future__ import annotations

import numpy as np

from vaxseq.errors import ExpressionError
from vaxseq.expressions.broadcast import Array, arrays, either, whole
from vaxseq.expressions.values import Mask, Value

LOW, HIGH = -(2**63), 2**63 - 1


def checked(sign: str, ufunc: np.ufunc, a: Value, b: Value) -> Value:
    """Integers combined by + - or *, every row exact.

    Raises:
        ExpressionError: a row's result doesn't fit int64.
    """
    x, y = arrays(a, b)
    missing = either(a.missing, b.missing)
    result: Array = np.asarray(ufunc(x, y))
    if result.size and not _fits(sign, x, y):
        _check_rows(sign, x, y, result, missing)
    return whole(result, missing)


def _fits(sign: str, x: Array, y: Array) -> bool:
    """Whether the extremes alone show that no row overflows."""
    low, high, below, above = int(x.min()), int(x.max()), int(y.min()), int(y.max())
    if sign == "+":
        return low + below >= LOW and high + above <= HIGH
    if sign == "-":
        return low - above >= LOW and high - below <= HIGH
    corners = (low * below, low * above, high * below, high * above)
    return min(corners) >= LOW and max(corners) <= HIGH


def _check_rows(sign: str, x: Array, y: Array, result: Array, missing: Mask | None) -> None:
    if sign == "+":
        wrong = ((x ^ result) & (y ^ result)) < 0
    elif sign == "-":
        wrong = ((x ^ y) & (x ^ result)) < 0
    else:
        divisor = np.where((y == 0) | (y == -1), 1, y)
        wrong = (y != 0) & (y != -1) & (np.floor_divide(result, divisor) != x) | (y == -1) & (x == LOW)
        wrong |= (y != 0) & (y != -1) & (np.remainder(result, divisor) != 0)
    raise_at(wrong, sign, x, y, missing)


def raise_at(wrong: Array, sign: str, x: Array, y: Array, missing: Mask | None) -> None:
    """Raises for the first row that is wrong and not missing."""
    wrong = np.asarray(wrong)
    if missing is not None:
        wrong = wrong & ~missing.reshape(-1, *[1] * (wrong.ndim - 1))
    if wrong.any():
        place = tuple(int(index[0]) for index in np.nonzero(wrong))
        left, right = (np.broadcast_to(one, wrong.shape)[place] for one in (x, y))
        raise overflow(sign, int(left), int(right))


def overflow(sign: str, left: int, right: int | None) -> ExpressionError:
    """The error that names the numbers."""
    shown = f"{sign}({left})" if right is None else f"{left} {sign} {right}"
    return ExpressionError(
        f"integer overflow; got {shown}, expected a result that int64 holds. "
        "Turn one side to float64 first, such as x * 1.0."
    )

"""Reductions of each row of an array column, in one fixed order: halves are added until one column is left.

The order depends on the row's width alone, so a row's bits don't depend on its block (as `np.sum`'s might).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.broadcast import Array, floats
from vaxseq.expressions.table import function, takes
from vaxseq.expressions.values import Value


def _folded(rows: Array, combine: Callable[[Array, Array], Array]) -> Array:
    while rows.shape[1] > 1:
        half = rows.shape[1] // 2
        folded = combine(rows[:, :half], rows[:, half : 2 * half])
        if rows.shape[1] % 2:
            folded[:, 0] = combine(folded[:, 0], rows[:, -1])
        rows = folded
    return rows[:, 0].copy()


def _rows(name: str, value: Value) -> Array:
    if not value.shape:
        raise FeatureTypeError(
            f"{name} reduces each row of an array column; got one {value.kind} a row. For several columns write x + y."
        )
    if 0 in value.shape:
        raise FeatureTypeError(f"{name} has nothing to reduce; got rows of shape {value.shape}.")
    return floats(value).reshape(len(value), math.prod(value.shape))


@function("sum", takes("x"), group="array columns", method=True, doc="sum of each row's elements")
def row_sum(value: Value) -> Value:
    return Value(_folded(_rows("sum", value), np.add))


@function("mean", takes("x"), group="array columns", method=True, doc="mean of each row's elements")
def row_mean(value: Value) -> Value:
    rows = _rows("mean", value)
    return Value(_folded(rows, np.add) / float(rows.shape[1]))


@function("norm", takes("x"), group="array columns", doc="Euclidean length of each row")
def row_norm(value: Value) -> Value:
    return Value(np.sqrt(_folded(np.square(_rows("norm", value)), np.add)))


@function("min", takes("x"), group="array columns", method=True, doc="smallest of each row's elements")
def row_min(value: Value) -> Value:
    return Value(_folded(_rows("min", value), np.minimum) + 0.0)


@function("max", takes("x"), group="array columns", method=True, doc="greatest of each row's elements")
def row_max(value: Value) -> Value:
    return Value(_folded(_rows("max", value), np.maximum) + 0.0)

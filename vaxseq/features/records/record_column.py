"""Plain values into one column's type: what a served record needs before the program can run."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from vaxseq.errors import ExpressionError, FeatureTypeError
from vaxseq.expressions.times import outside, parse_time
from vaxseq.expressions.values import Value, from_raw
from vaxseq.features.program.compile import empty_value

_OFFSET = re.compile(r"[+-]\d\d:?\d\d$|Z$")
_TEXT = pa.large_string()
_NAMES = {"bool": "True or False", "int": "a whole number", "float": "a number", "text": "text", "datetime": "a time"}


class RecordColumn:
    """Turns values into Values of one column's stored type, so that records give the bits that the data gives."""

    def __init__(self, name: str, type_name: str) -> None:
        self.name, self.type_name = name, type_name
        empty = empty_value(type_name)
        self.kind, self.shape = empty.kind, empty.shape
        self.dtype: np.dtype[Any] = np.dtype(object) if self.kind == "text" else empty.data.dtype
        self._one = _SCALARS[self.kind] if not self.shape else None

    def one(self, raw: Any) -> Value:
        """One record's value (a number, a text, a time, None; an array for an array column)."""
        if self._one is None:
            return self.many([raw])
        value = self._one(raw, self.dtype)
        return value if value is not None else self.many([raw])

    def many(self, raw: Any) -> Value:
        """A column of values: a list, NumPy array, pandas Series, or Arrow array."""
        try:
            if self.shape and (rows := _rows_of_lists(raw)) is not None:
                return self._arrays(rows)
            value = from_raw(self._listed(raw) if isinstance(raw, (list, tuple)) else raw)
        except (pa.ArrowException, FeatureTypeError, ValueError, TypeError, OverflowError) as error:
            raise self._wrong(f"values of mixed or unreadable types ({error})") from error
        return self._fitted(value)

    def _listed(self, raw: Sequence[Any]) -> Any:
        """A list as NumPy or pyarrow can read it; pyarrow doesn't know datetime64 of hours or days."""
        scalar = {"datetime": np.datetime64, "timedelta": np.timedelta64}.get(self.kind)
        if scalar is not None and raw and all(one is None or type(one) is scalar for one in raw):
            return np.array([self.in_unit(np.array("NaT" if one is None else one, self.kind + "64")) for one in raw])
        if self.dtype == np.uint64 and not self.shape and all(one is None or type(one) is int for one in raw):
            return pa.array(raw, pa.uint64())  # pyarrow takes a list of integers for int64
        return list(raw)

    def in_unit(self, times: np.ndarray[Any, Any]) -> Any:
        """Times in the column's unit.

        Raises:
            FeatureTypeError: one is beyond what the unit holds.
        """
        if (beyond := outside(times, self.dtype)).any():
            raise self._wrong(f"{times[beyond].ravel()[0]}, which is beyond what {self.dtype} holds")
        return times.astype(self.dtype)

    def _fitted(self, value: Value) -> Value:
        """The Value in the column's own type."""
        if value.shape != self.shape:
            raise self._wrong(f"values of shape {value.shape}")
        if value.kind == "float" and self.kind != "float" and np.isnan(value.data).all():  # nothing but missing
            return self._all_missing(len(value))
        if self.kind == "text":
            if value.kind != "text":
                raise self._wrong(value.kind)
            return value
        if self.kind == "datetime" and value.kind == "text":
            value = _parsed_times(value, self)
        if self.kind == "float" and value.kind in ("int", "float"):
            if value.data.dtype == self.dtype and value.missing is None:
                return value
            data = value.data.astype(self.dtype)
            if value.missing is not None:
                data[value.missing] = np.nan
            return Value(data)
        if self.kind == "int" and value.kind in ("int", "float"):
            return self._whole(value)
        if value.kind != self.kind:
            raise self._wrong(value.kind)
        if value.data.dtype == self.dtype:
            return value
        times = self.kind in ("datetime", "timedelta")
        return Value(self.in_unit(value.data) if times else value.data.astype(self.dtype), value.missing)

    def _whole(self, value: Value) -> Value:
        data, missing = value.data, value.missing
        if data.dtype.kind == "f":
            lost = np.isnan(data)
            if self.shape:
                if lost.any():  # a missing row of an array column is NaN, so its integers are float64
                    return Value(data.astype(np.float64))
            elif lost.any():
                missing = lost
                data = np.where(lost, 0, data)
            if not (data == np.floor(data)).all():
                raise self._wrong(f"{data[data != np.floor(data)][0]!r:.40}")
        limits = np.iinfo(self.dtype)
        if data.size and (data.min() < limits.min or data.max() > limits.max):
            raise self._wrong(f"{data.min()} to {data.max()}")
        return Value(data.astype(self.dtype), missing)

    def _arrays(self, rows: Sequence[Any]) -> Value:
        """Rows of an array column; None is a missing row."""
        if not rows:
            return Value(np.zeros((0, *self.shape), self.dtype))
        lost = np.array([row is None for row in rows], dtype=bool)
        filler = np.full(self.shape, np.nan if lost.any() else 0)
        data = np.array([filler if row is None else row for row in rows])
        if data.dtype.kind not in "biuf":
            raise self._wrong("rows of other lengths, or of text")
        return self._fitted(Value(data.reshape((len(rows), *data.shape[1:]))))

    def _all_missing(self, rows: int) -> Value:
        if self.kind == "text":
            return Value(pa.nulls(rows, _TEXT))
        if self.dtype.kind in "mM":
            return Value(np.full(rows, np.array("NaT", self.dtype)))
        if self.shape:
            return Value(np.full((rows, *self.shape), np.nan))
        return Value(np.zeros(rows, self.dtype), np.ones(rows, dtype=bool))

    def _wrong(self, got: str) -> FeatureTypeError:
        return FeatureTypeError(
            f"column {self.name!r}: got {got}, expected {_NAMES.get(self.kind, self.kind)} ({self.type_name})"
        )


def _rows_of_lists(raw: Any) -> Sequence[Any] | None:
    """The rows when each is an object of its own; None for one block of numbers."""
    if isinstance(raw, (list, tuple)):
        return raw
    if isinstance(raw, pd.Series) and raw.dtype == object:
        return list(raw)
    if isinstance(raw, (pa.Array, pa.ChunkedArray)) and (
        pa.types.is_list(raw.type) or pa.types.is_large_list(raw.type)
    ):
        rows: list[Any] = raw.to_pylist()
        return rows
    return None


_Scalar = Callable[[Any, "np.dtype[Any]"], Value | None]


def _one_float(raw: Any, dtype: np.dtype[Any]) -> Value | None:
    kind = type(raw)
    if kind is float or kind is int:
        return Value(np.array([raw], dtype))
    return Value(np.array([np.nan], dtype)) if raw is None else None


def _one_int(raw: Any, dtype: np.dtype[Any]) -> Value | None:
    if type(raw) is int:
        try:
            return Value(np.array([raw], dtype))
        except OverflowError:
            return None
    return Value(np.zeros(1, dtype), np.ones(1, dtype=bool)) if raw is None else None


def _one_bool(raw: Any, dtype: np.dtype[Any]) -> Value | None:
    if type(raw) is bool:
        return Value(np.array([raw], dtype))
    return Value(np.zeros(1, dtype), np.ones(1, dtype=bool)) if raw is None else None


def _one_text(raw: Any, _: np.dtype[Any]) -> Value | None:
    return Value(pa.array([raw], _TEXT)) if raw is None or type(raw) is str else None


def _one_time(raw: Any, dtype: np.dtype[Any]) -> Value | None:
    if type(raw) is np.datetime64 and not outside(np.array([raw]), dtype).any():
        return Value(np.array([raw]).astype(dtype))
    return None


_SCALARS: dict[str, _Scalar] = {
    "float": _one_float,
    "int": _one_int,
    "bool": _one_bool,
    "text": _one_text,
    "datetime": _one_time,
    "timedelta": lambda _, __: None,
}


def _parsed_times(value: Value, column: RecordColumn) -> Value:
    """Text as times: ISO 8601; with an offset, the moment in UTC."""
    times: list[Any] = []
    for text in value.data.to_pylist():
        if text is None:
            times.append(np.datetime64("NaT"))
            continue
        try:
            if _OFFSET.search(text) and not text.endswith("Z"):
                moment = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
                times.append(np.datetime64(moment.replace(tzinfo=None)))
            else:
                times.append(parse_time(text).data[()])
        except (ValueError, ExpressionError) as error:
            raise FeatureTypeError(f"column {column.name!r}: got {text!r}, expected a time in ISO 8601 form") from error
    return Value(np.array([column.in_unit(np.array(time)) for time in times], column.dtype))

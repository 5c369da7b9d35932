"""Steps of plain numbers: cast, round, clip and the power family."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from vaxseq.expressions.values import Value, as_float
from vaxseq.features.learners.base import Learner
from vaxseq.features.learners.sample import Sample
from vaxseq.features.transforms.base import Apply, Learned, Missing, Step

Floats = npt.NDArray[np.float64]


class Cast(Step):
    """Another number type; toward zero from float to int, missing where the type can't hold the number."""

    name: ClassVar[str] = "cast"
    short: ClassVar[str | None] = "to"
    missing_rule: ClassVar[Missing] = "makes"
    docs: ClassVar[str] = "another number type: int64 (toward zero), float64, float32 (rounded to it), bool (not 0)"
    on_missing: ClassVar[str] = "stays missing; int64 of infinity or beyond 2^63 is missing"

    to: Literal["int64", "float64", "float32", "bool"]

    def compile(self, learned: Learned) -> Apply:
        return {"int64": _to_int, "float64": as_float, "float32": _to_float32, "bool": _to_bool}[self.to]

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        if self.to == "int64":  # ops.trunc exists in newer keras only
            whole = ops.sign(x) * ops.floor(ops.absolute(x))
            fits = ops.logical_and(ops.greater_equal(x, -(2.0**63)), ops.less(x, 2.0**63))
            return ops.where(fits, whole, ops.full_like(x, float("nan")))
        if self.to == "bool":
            return ops.where(ops.isnan(x), x, ops.cast(ops.not_equal(x, 0.0), x.dtype))
        return x


def _to_int(value: Value) -> Value:
    data = value.data
    if data.dtype.kind != "f" and data.dtype != np.uint64:
        return value if data.dtype == np.int64 else Value(data.astype(np.int64), value.missing)
    fits = (data >= -(2.0**63)) & (data < 2.0**63)
    if value.missing is not None:
        fits &= ~value.missing
    if fits.all():
        return Value(data.astype(np.int64))
    if data.ndim > 1:  # an array's missing elements can only be NaN
        return Value(np.where(fits, np.trunc(data), np.nan))
    return Value(np.where(fits, data, 0).astype(np.int64), ~fits)


def _to_float32(value: Value) -> Value:
    return Value(as_float(value).data.astype(np.float32).astype(np.float64))


def _to_bool(value: Value) -> Value:
    data = value.data
    if data.ndim > 1:
        floats = as_float(value).data
        return Value(np.where(np.isnan(floats), floats, floats != 0))
    missing = value.is_missing()
    return Value((data != 0) & ~missing, missing if missing.any() else None)


class Round(Step):
    """Rounded to a number of decimals, halves to even, as NumPy does."""

    name: ClassVar[str] = "round"
    short: ClassVar[str | None] = "decimals"
    docs: ClassVar[str] = "rounded to `decimals`, halves to even"

    decimals: int = 0

    def compile(self, learned: Learned) -> Apply:
        return lambda value: Value(np.round(as_float(value).data, self.decimals))

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        factor = float(10.0 ** abs(self.decimals))
        return ops.round(x * factor) / factor if self.decimals >= 0 else ops.round(x / factor) * factor


class Log1p(Step):
    """log(1 + x), exact near zero."""

    name: ClassVar[str] = "log1p"
    missing_rule: ClassVar[Missing] = "makes"
    invertible: ClassVar[bool] = True
    docs: ClassVar[str] = "log(1 + x)"
    on_missing: ClassVar[str] = "stays missing; below −1 becomes missing"

    def compile(self, learned: Learned) -> Apply:
        return lambda value: Value(np.log1p(as_float(value).data))

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return ops.log1p(x)

    def inverse(self, array: Floats, learned: Learned) -> Floats:
        return np.expm1(array)


class Sqrt(Step):
    """The square root."""

    name: ClassVar[str] = "sqrt"
    missing_rule: ClassVar[Missing] = "makes"
    invertible: ClassVar[bool] = True
    docs: ClassVar[str] = "square root"
    on_missing: ClassVar[str] = "stays missing; below 0 becomes missing"

    def compile(self, learned: Learned) -> Apply:
        return lambda value: Value(np.sqrt(as_float(value).data))

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return ops.sqrt(x)

    def float32_gain(self, learned: Learned) -> float:
        return np.inf  # at 0

    def inverse(self, array: Floats, learned: Learned) -> Floats:
        return np.square(array)


class Power(Step):
    """A power; ``signed`` keeps the sign of negative numbers: sign(x) * abs(x) ** exponent."""

    name: ClassVar[str] = "power"
    short: ClassVar[str | None] = "exponent"
    missing_rule: ClassVar[Missing] = "makes"
    docs: ClassVar[str] = "x ** exponent; with `signed`, sign(x)·|x| ** exponent"
    on_missing: ClassVar[str] = "stays missing; a broken power of a negative number becomes missing"

    exponent: float
    signed: bool = False

    def compile(self, learned: Learned) -> Apply:
        return self._run

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        missing = ops.isnan(x)  # nan ** 0 is 1
        raised = ops.sign(x) * ops.power(ops.absolute(x), self.exponent) if self.signed else ops.power(x, self.exponent)
        return ops.where(missing, x, raised)

    def float32_gain(self, learned: Learned) -> float:
        return self.exponent if self.exponent >= 1 else np.inf  # at 0

    def _run(self, value: Value) -> Value:
        data = as_float(value).data
        raised = np.sign(data) * np.abs(data) ** self.exponent if self.signed else data**self.exponent
        return Value(np.where(np.isnan(data), data, raised) if self.exponent == 0 else raised)


class Clip(Step):
    """Bounds, given or learned as quantiles."""

    name: ClassVar[str] = "clip"
    docs: ClassVar[str] = "bounded by `lower` and `upper`, or by learned `quantiles: [low, high]`"
    learns: ClassVar[str] = "lower, upper (with `quantiles`)"

    lower: float | None = None
    upper: float | None = None
    quantiles: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.quantiles is not None:
            if self.lower is not None or self.upper is not None:
                raise ValueError("give either quantiles or lower and upper")
            if not 0 <= self.quantiles[0] < self.quantiles[1] <= 1:
                raise ValueError("quantiles must be two rising shares between 0 and 1")
        elif self.lower is None and self.upper is None:
            raise ValueError("give lower, upper or quantiles")
        elif self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError("lower must not be above upper")
        return self

    def learner(self) -> Learner | None:
        return None if self.quantiles is None else _Bounds(self.quantiles)

    def placeholder(self, value: Value) -> dict[str, Any]:
        return {} if self.quantiles is None else {"lower": 0.0, "upper": 0.0}

    def compile(self, learned: Learned) -> Apply:
        lower, upper = self._bounds(learned)
        return lambda value: Value(np.clip(as_float(value).data, lower, upper))

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        lower, upper = self._bounds(learned)
        if lower is not None:  # ops.clip drops NaN on some backends
            x = ops.where(ops.less(x, lower), ops.full_like(x, lower), x)
        return x if upper is None else ops.where(ops.greater(x, upper), ops.full_like(x, upper), x)

    def _bounds(self, learned: Learned) -> tuple[float | None, float | None]:
        if self.quantiles is None:
            return self.lower, self.upper
        return learned["lower"], learned["upper"]


class _Bounds(Sample):
    def finish(self) -> dict[str, Any]:
        lower, upper = super().finish()["quantiles"]
        return {"lower": lower, "upper": upper}

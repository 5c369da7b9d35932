"""Missing values filled by a learned or given value, and told apart by an indicator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from vaxseq.errors import FeatureTypeError
from vaxseq.expressions.values import Kind, Value, as_float
from vaxseq.features.learners.base import Learner
from vaxseq.features.learners.counts import Counts
from vaxseq.features.learners.moments import Moments
from vaxseq.features.learners.sample import Sample
from vaxseq.features.transforms.base import NUMBERS, Apply, Learned, Missing, Step


class Impute(Step):
    """A value where there is none. ``indicator`` adds a side column: 1 where the value was missing, else 0.

    The side column goes past the later steps: ``[impute with indicator, standardize]`` is (value, indicator).
    """

    name: ClassVar[str] = "impute"
    short: ClassVar[str | None] = "strategy"
    accepts: ClassVar[frozenset[Kind]] = NUMBERS | {"text"}
    missing_rule: ClassVar[Missing] = "handles"
    docs: ClassVar[str] = (
        "mean, median, mode or a constant `value` where a value is missing; `indicator` adds a 0/1 column"
    )
    learns: ClassVar[str] = "fill"
    width: ClassVar[str] = "as given, +1 with `indicator`"
    on_missing: ClassVar[str] = "becomes the fill; indicator 1"

    strategy: Literal["mean", "median", "mode", "constant"]
    value: float | str | None = None
    indicator: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.strategy == "constant") != (self.value is not None):
            raise ValueError("value goes with strategy: constant, and is needed there")
        return self

    @property
    def fills(self) -> bool:
        return self.strategy != "constant"

    def learner(self) -> Learner | None:
        learners: dict[str, Callable[[], Learner]] = {"mean": _Mean, "median": _Median, "mode": _Mode}
        return learners[self.strategy]() if self.strategy in learners else None

    def check_kind(self, value: Value) -> None:
        super().check_kind(value)
        if value.kind == "text" and (self.strategy in ("mean", "median") or isinstance(self.value, float)):
            given = f"value {self.value}" if self.strategy == "constant" else f"the {self.strategy}"
            raise FeatureTypeError(
                f"step 'impute': text can't be filled with {given}. Use strategy: mode, or constant with a text"
            )
        if value.kind != "text" and isinstance(self.value, str):
            raise FeatureTypeError(
                f"step 'impute': a column of {value.kind} can't be filled with the text {self.value!r}"
            )
        if value.shape and self.strategy in ("median", "mode"):
            raise FeatureTypeError(
                f"step 'impute': {self.strategy} of an array column isn't learned; use mean or constant"
            )

    def placeholder(self, value: Value) -> dict[str, Any]:
        if self.strategy == "constant":
            return {}
        if self.strategy == "mode" and value.kind in ("int", "bool"):
            return {"fill": 0}
        return {"fill": "" if value.kind == "text" else 0.0}

    def compile(self, learned: Learned) -> Apply:
        fill = self.value if self.strategy == "constant" else learned["fill"]
        if isinstance(fill, str):
            return lambda value: Value(_fill_text(value.data, fill))
        number = np.asarray(fill, dtype=np.float64)
        whole = isinstance(fill, (bool, int)) and not isinstance(self.value, float)
        return lambda value: _fill_numbers(value, number, whole)

    def side(self, learned: Learned) -> Apply | None:
        return _indicator if self.indicator else None

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        fill = self.value if self.strategy == "constant" else learned["fill"]
        return ops.where(ops.isnan(x), ops.convert_to_tensor(np.asarray(fill, dtype=np.float32)), x)

    def keras_side(self, ops: Any, x: Any, learned: Learned) -> Any:
        missing = ops.cast(ops.isnan(x), "float32")
        return missing if len(x.shape) == 1 else ops.max(ops.reshape(missing, (ops.shape(x)[0], -1)), axis=1)


def _fill_text(array: pa.Array, fill: str) -> pa.Array:
    if array.null_count == 0 and not isinstance(array, pa.DictionaryArray):
        return array
    if isinstance(array, pa.DictionaryArray):
        if array.null_count == 0 and array.dictionary.null_count == 0:
            return array
        array = array.cast(array.type.value_type)
    return array.fill_null(fill)


def _fill_numbers(value: Value, fill: np.ndarray[Any, np.dtype[np.float64]], whole: bool) -> Value:
    data = value.data
    if data.dtype.kind != "f":
        if not whole:
            floats = as_float(value).data
            return Value(np.where(np.isnan(floats), fill, floats))
        if value.missing is None:
            return value
        filled = data.copy()
        filled[value.missing] = int(fill)
        return Value(filled)
    floats = as_float(value).data
    missing = np.isnan(floats)
    return Value(np.where(missing, fill, floats)) if missing.any() else Value(floats)


def _indicator(value: Value) -> Value:
    return Value(value.is_missing().astype(np.float64))


class _Mean(Moments):
    def finish(self) -> dict[str, Any]:
        return {"fill": super().finish()["mean"]}


class _Median(Sample):
    def __init__(self) -> None:
        super().__init__((0.5,))

    def finish(self) -> dict[str, Any]:
        return {"fill": super().finish()["quantiles"][0]}


class _Mode(Counts):
    def __init__(self) -> None:
        super().__init__("Its mode says little: use median, mean or a constant.")

    def finish(self) -> dict[str, Any]:
        return {"fill": self.ordered()[0][0]}

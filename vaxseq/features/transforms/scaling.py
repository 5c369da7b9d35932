"""Steps that shift and scale numbers by learned values; each can be undone."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from vaxseq.expressions.values import Value, as_float
from vaxseq.features.learners.base import Learner
from vaxseq.features.learners.moments import Extremes, Moments, Per, learned_shape
from vaxseq.features.learners.sample import Sample
from vaxseq.features.transforms.base import Apply, Learned, Step

Floats = npt.NDArray[np.float64]
_FLOAT32_RATIO = 1000.0  # beyond it, float32's spacing at the centre shows in the scaled value


class Scaling(Step):
    """(x - centre) / scale; what is learned says which. A scale of zero (a constant column) counts as one."""

    invertible: ClassVar[bool] = True
    on_missing: ClassVar[str] = "stays missing, and isn't learned from"

    def centre_and_scale(self, learned: Learned) -> tuple[Floats, Floats]:
        """The two numbers, or arrays that broadcast against a row."""
        raise NotImplementedError

    def compile(self, learned: Learned) -> Apply:
        centre, scale = self._ready(learned)

        def run(value: Value) -> Value:
            scaled = as_float(value).data - centre
            scaled /= scale
            return Value(scaled)

        return run

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        centre, scale = (ops.convert_to_tensor(one.astype(np.float32)) for one in self._ready(learned))
        return (x - centre) / scale

    def inverse(self, array: Floats, learned: Learned) -> Floats:
        centre, scale = self._ready(learned)
        return np.asarray(array, dtype=np.float64) * scale + centre

    def float32_loss(self, learned: Learned) -> float:
        centre, scale = self._ready(learned)
        return float((np.abs(centre) / scale).max())

    def float32_gain(self, learned: Learned) -> float:
        return float((1.0 / self._ready(learned)[1]).max())

    def float32_problem(self, learned: Learned) -> str | None:
        centre, scale = self._ready(learned)
        if Scaling.float32_loss(self, learned) > _FLOAT32_RATIO:
            return (
                f"step {self.name!r}: float32 can't hold values around {np.abs(centre).max():g} "
                f"to a spread of {scale.min():g}. "
                "Subtract a constant near the centre in the definition, with an expression before the steps"
            )
        return None

    def _ready(self, learned: Learned) -> tuple[Floats, Floats]:
        centre, scale = (np.asarray(one, dtype=np.float64) for one in self.centre_and_scale(learned))
        return centre, np.where(scale == 0, 1.0, scale)


class _PerPosition(Scaling):
    """A scaling that learns from arrays as well: each element, each channel (the last axis), or all as one."""

    width: ClassVar[str] = "as given"

    per: Per = "element"


class Standardize(_PerPosition):
    """(x - mean) / std, the std divided by the count."""

    name: ClassVar[str] = "standardize"
    docs: ClassVar[str] = "(x − mean) / std; of arrays `per: element` (default), `channel` (the last axis) or `all`"
    learns: ClassVar[str] = "mean, std"

    def learner(self) -> Learner | None:
        return Moments(self.per)

    def placeholder(self, value: Value) -> dict[str, Any]:
        shape = learned_shape(value.shape, self.per)
        return {"mean": np.zeros(shape).tolist(), "std": np.ones(shape).tolist()}

    def centre_and_scale(self, learned: Learned) -> tuple[Floats, Floats]:
        return learned["mean"], learned["std"]


class MinMax(_PerPosition):
    """The training range onto [lower, upper]; values outside it go beyond."""

    name: ClassVar[str] = "min_max"
    docs: ClassVar[str] = (
        "the training range onto [`lower`, `upper`] (0, 1); unseen values may go beyond; arrays as `standardize`"
    )
    learns: ClassVar[str] = "min, max"

    lower: float = 0.0
    upper: float = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.lower < self.upper:
            raise ValueError("lower must be below upper")
        return self

    def learner(self) -> Learner | None:
        return Extremes(self.per)

    def placeholder(self, value: Value) -> dict[str, Any]:
        shape = learned_shape(value.shape, self.per)
        return {"min": np.zeros(shape).tolist(), "max": np.ones(shape).tolist()}

    def centre_and_scale(self, learned: Learned) -> tuple[Floats, Floats]:
        low, high = np.asarray(learned["min"]), np.asarray(learned["max"])
        return low, high - low

    def compile(self, learned: Learned) -> Apply:
        unit = super().compile(learned)
        return lambda value: Value(unit(value).data * (self.upper - self.lower) + self.lower)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return super().keras(ops, x, learned) * (self.upper - self.lower) + self.lower

    def float32_loss(self, learned: Learned) -> float:
        return super().float32_loss(learned) * (self.upper - self.lower)

    def float32_gain(self, learned: Learned) -> float:
        return super().float32_gain(learned) * (self.upper - self.lower)

    def inverse(self, array: Floats, learned: Learned) -> Floats:
        return super().inverse((np.asarray(array, dtype=np.float64) - self.lower) / (self.upper - self.lower), learned)


class MaxAbs(_PerPosition):
    """x / the greatest absolute value: zero stays zero."""

    name: ClassVar[str] = "max_abs"
    docs: ClassVar[str] = "x / greatest |x|; zero stays zero; arrays as `standardize`"
    learns: ClassVar[str] = "max_abs"

    def learner(self) -> Learner | None:
        return _Greatest(self.per)

    def placeholder(self, value: Value) -> dict[str, Any]:
        return {"max_abs": np.ones(learned_shape(value.shape, self.per)).tolist()}

    def centre_and_scale(self, learned: Learned) -> tuple[Floats, Floats]:
        scale = np.asarray(learned["max_abs"], dtype=np.float64)
        return np.zeros_like(scale), scale


class _Greatest(Extremes):
    def finish(self) -> dict[str, Any]:
        learned = super().finish()
        return {"max_abs": np.maximum(np.abs(learned["min"]), np.abs(learned["max"])).tolist()}


class Robust(Scaling):
    """(x - median) / (the range between two quantiles): outliers don't move it."""

    name: ClassVar[str] = "robust"
    docs: ClassVar[str] = "(x − median) / (upper quantile − lower quantile), `quantiles: [0.25, 0.75]`"
    learns: ClassVar[str] = "median, lower, upper"

    quantiles: tuple[float, float] = (0.25, 0.75)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not 0 <= self.quantiles[0] < self.quantiles[1] <= 1:
            raise ValueError("quantiles must be two rising shares between 0 and 1")
        return self

    def learner(self) -> Learner | None:
        return _MedianAndRange(self.quantiles)

    def placeholder(self, value: Value) -> dict[str, Any]:
        return {"median": 0.0, "lower": 0.0, "upper": 1.0}

    def centre_and_scale(self, learned: Learned) -> tuple[Floats, Floats]:
        return learned["median"], np.asarray(learned["upper"] - learned["lower"])


class _MedianAndRange(Sample):
    def __init__(self, quantiles: tuple[float, float]) -> None:
        super().__init__((0.5, *quantiles))

    def finish(self) -> dict[str, Any]:
        median, lower, upper = super().finish()["quantiles"]
        return {"median": median, "lower": lower, "upper": upper}

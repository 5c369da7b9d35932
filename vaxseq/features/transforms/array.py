"""Steps of array columns: scale, reshape, flatten, pca."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from vaxseq.errors import FeatureTypeError, FitError
from vaxseq.expressions.values import Value, as_float
from vaxseq.features.learners.base import Learner
from vaxseq.features.learners.covariance import Covariance
from vaxseq.features.transforms.base import Apply, Learned, Step

Floats = npt.NDArray[np.float64]
_FLOAT32_RATIO = 1000.0


class Scale(Step):
    """x * factor + offset by given numbers: pixels 0..255 to 0..1 with factor 1/255."""

    name: ClassVar[str] = "scale"
    short: ClassVar[str | None] = "factor"
    docs: ClassVar[str] = "x · `factor` + `offset`, given numbers; arrays and single numbers"
    invertible: ClassVar[bool] = True

    factor: float
    offset: float = 0.0

    def compile(self, learned: Learned) -> Apply:
        return lambda value: Value(as_float(value).data * self.factor + self.offset)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return x * self.factor + self.offset

    def float32_loss(self, learned: Learned) -> float:
        return abs(self.offset)

    def float32_gain(self, learned: Learned) -> float:
        return abs(self.factor)

    def inverse(self, array: Floats, learned: Learned) -> Floats:
        if self.factor == 0:
            return super().inverse(array, learned)
        return (np.asarray(array, dtype=np.float64) - self.offset) / self.factor


class Reshape(Step):
    """Another shape of the same elements, in row-major order."""

    name: ClassVar[str] = "reshape"
    short: ClassVar[str | None] = "shape"
    docs: ClassVar[str] = "the same elements in another `shape`, row-major"
    width: ClassVar[str] = "shape"

    shape: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, max_length=6),
        BeforeValidator(lambda shape: [shape] if isinstance(shape, int) else shape),
    ]

    def check_kind(self, value: Value) -> None:
        super().check_kind(value)
        if math.prod(value.shape) != math.prod(self.shape):
            raise FeatureTypeError(
                f"step 'reshape': {math.prod(value.shape)} elements of shape {value.shape} don't fill {self.shape}"
            )

    def compile(self, learned: Learned) -> Apply:
        return lambda value: Value(_data(value).reshape(len(value), *self.shape))

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return ops.reshape(x, (-1, *self.shape))


class Flatten(Step):
    """All elements in one row."""

    name: ClassVar[str] = "flatten"
    docs: ClassVar[str] = "all elements side by side"
    width: ClassVar[str] = "elements"

    def compile(self, learned: Learned) -> Apply:
        return lambda value: Value(_data(value).reshape(len(value), math.prod(value.shape)))

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return ops.reshape(x, (-1, math.prod(x.shape[1:])))


def _data(value: Value) -> npt.NDArray[Any]:
    data: npt.NDArray[Any] = value.data if value.missing is None else as_float(value).data
    return data


class Pca(Step):
    """The first principal components of an array column's elements.

    Source: eigenvectors of the covariance (divided by count - 1); each one's greatest element by absolute
    value is positive, as in scikit-learn's PCA.
    """

    name: ClassVar[str] = "pca"
    short: ClassVar[str | None] = "components"
    docs: ClassVar[str] = "the first `components` principal components; `whiten` to unit variance"
    learns: ClassVar[str] = "mean, components, variance, share"
    width: ClassVar[str] = "components"
    on_missing: ClassVar[str] = "a row with a missing element is missing, and isn't learned from"

    components: Annotated[int, Field(ge=1)]
    whiten: bool = False

    def check_kind(self, value: Value) -> None:
        super().check_kind(value)
        if not value.shape or math.prod(value.shape) < self.components:
            raise FeatureTypeError(
                f"step 'pca': {self.components} components need an array of as many elements; "
                f"got shape {value.shape} per row"
            )

    def learner(self) -> Learner | None:
        return _Components(self.components)

    def placeholder(self, value: Value) -> dict[str, Any]:
        width = math.prod(value.shape)
        return {
            "mean": [0.0] * width,
            "components": np.eye(self.components, width).tolist(),
            "variance": [1.0] * self.components,
        }

    def labels(self, learned: Learned) -> tuple[str, ...] | None:
        return tuple(f"pc{number}" for number in range(1, self.components + 1))

    def compile(self, learned: Learned) -> Apply:
        mean, weights = self._ready(learned)

        def run(value: Value) -> Value:
            data = as_float(value).data.reshape(len(value), len(mean))
            out = np.zeros((len(data), weights.shape[1]))
            for place in range(len(mean)):  # in this order, whatever the block: BLAS would sum as its threads please
                out += (data[:, place] - mean[place])[:, None] * weights[place]
            return Value(out)

        return run

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        mean, weights = self._ready(learned)
        flat = ops.reshape(x, (-1, len(mean))) - ops.convert_to_tensor(mean.astype(np.float32))
        return ops.matmul(flat, ops.convert_to_tensor(weights.astype(np.float32)))

    def float32_loss(self, learned: Learned) -> float:
        mean, weights = self._ready(learned)
        return float((np.abs(mean) @ np.abs(weights)).max())

    def float32_gain(self, learned: Learned) -> float:
        return float(np.abs(self._ready(learned)[1]).sum(axis=0).max())

    def float32_problem(self, learned: Learned) -> str | None:
        if max(np.abs(learned["mean"])) > _FLOAT32_RATIO * math.sqrt(max(learned["variance"])):
            return (
                "step 'pca': its elements lie far from zero for their spread, so float32 can't hold them. "
                "Put standardize before it"
            )
        return None

    def _ready(self, learned: Learned) -> tuple[Floats, Floats]:
        """The mean (elements,) and the weights (elements, components)."""
        weights = np.array(learned["components"], dtype=np.float64).T
        if self.whiten:
            weights = weights / np.sqrt(learned["variance"])
        return np.asarray(learned["mean"], dtype=np.float64), np.ascontiguousarray(weights)


class _Components(Covariance):
    def __init__(self, components: int) -> None:
        super().__init__()
        self.components = components

    def finish(self) -> dict[str, Any]:
        learned = super().finish()
        variance, vectors = np.linalg.eigh(np.array(learned["covariance"]))
        kept = vectors[:, ::-1][:, : self.components].T
        signs = np.sign(np.take_along_axis(kept, np.abs(kept).argmax(axis=1)[:, None], axis=1))
        found = np.maximum(variance[::-1], 0.0)
        if found[self.components - 1] <= found[0] * 1e-14:
            rank = int((found > found[0] * 1e-14).sum())
            raise FitError(f"{self.components} components of data that varies in {rank} directions only. Take fewer")
        return {
            "mean": learned["mean"],
            "components": (kept * signs).tolist(),
            "variance": found[: self.components].tolist(),
            "share": (found[: self.components] / found.sum()).tolist(),
        }

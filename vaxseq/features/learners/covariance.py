"""The covariance of an array column's elements, merged in row order."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vaxseq.errors import FeatureTypeError, FitError
from vaxseq.expressions.values import Value, as_float
from vaxseq.features.learners.base import Learner, Rows
from vaxseq.features.learners.moments import check_finite

_SLICE_ROWS = 4096  # a slice of a few dozen elements stays in cache
WIDTH_LIMIT = 4096

Floats = npt.NDArray[np.float64]


class Covariance(Learner):
    """Count, means and co-moments of the complete rows; without BLAS, whose sums depend on its threads.

    Source: Chan, Golub, LeVeque 1983, doi:10.1080/00031305.1983.10483115, for vectors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.mean: Floats = np.zeros(0)
        self.comoment: Floats = np.zeros((0, 0))

    def check(self, value: Value) -> None:
        if not value.shape or math.prod(value.shape) > WIDTH_LIMIT:
            raise FeatureTypeError(
                f"a covariance needs an array column of 1 to {WIDTH_LIMIT} elements; got rows of shape {value.shape}"
            )

    def update(self, value: Value, rows: Rows) -> None:
        width = math.prod(value.shape)
        data = as_float(value).data.reshape(-1, width)
        self.rows += len(data)
        missing = np.isnan(data).any(axis=1)
        if missing.any():
            self.missing += int(np.count_nonzero(missing))
            data = data[~missing]
        for start in range(0, len(data), _SLICE_ROWS):
            columns = np.ascontiguousarray(data[start : start + _SLICE_ROWS].T)
            mean = np.add.reduce(columns - columns[:, :1], axis=1) / columns.shape[1] + columns[:, 0]
            columns -= mean[:, None]
            self._add(columns.shape[1], mean, np.einsum("in,jn->ij", columns, columns, optimize=False))

    def merge(self, other: Self) -> None:
        self._add_missing(other)
        if other.count:
            self._add(other.count, other.mean, other.comoment)

    def finish(self) -> dict[str, Any]:
        """``mean`` and ``covariance`` (divided by count - 1, as NumPy and scikit-learn's PCA do)."""
        if self.count < 2:
            raise FitError("nothing to learn from: fewer than 2 training rows are complete")
        check_finite(self.mean, self.comoment)
        return {"mean": self.mean.tolist(), "covariance": (self.comoment / (self.count - 1)).tolist()}

    def _add(self, count: int, mean: Floats, comoment: Floats) -> None:
        if self.count == 0:
            self.count, self.mean, self.comoment = count, mean, comoment
            return
        total = self.count + count
        delta = mean - self.mean
        self.comoment = self.comoment + comoment + np.multiply.outer(delta, delta) * (self.count * (count / total))
        self.mean = self.mean + delta * (count / total)
        self.count = total

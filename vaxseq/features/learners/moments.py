"""Mean and variance, and least and greatest: of a scalar column, or of each position of an array column."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from vaxseq.errors import FitError
from vaxseq.expressions.values import Value, as_float
from vaxseq.features.learners.base import Learner, Rows

Floats = npt.NDArray[np.float64]
Per = Literal["element", "channel", "all"]


def spread(value: Value, per: Per) -> Floats:
    """The block as (positions, samples): one position for a scalar, else one an element, a channel or one for all."""
    data = as_float(value).data
    if not value.shape or per == "all":
        return np.ascontiguousarray(data).reshape(1, -1)
    channels = math.prod(value.shape) if per == "element" else value.shape[-1]
    return np.ascontiguousarray(data.reshape(-1, channels).T)


def learned_shape(shape: tuple[int, ...], per: Per) -> tuple[int, ...]:
    """The shape of the learned values, which broadcasts against a row of ``shape``."""
    if not shape or per == "all":
        return ()
    return shape if per == "element" else shape[-1:]


class Moments(Learner):
    """Count, mean and sum of squared deviations, two passes a block, merged in row order.

    Source: Chan, Golub, LeVeque 1983, doi:10.1080/00031305.1983.10483115 (pairwise merge).
    """

    def __init__(self, per: Per = "element") -> None:
        super().__init__()
        self.per: Per = per
        self.shape: tuple[int, ...] | None = None
        self.count: Floats = np.zeros(0)
        self.mean: Floats = np.zeros(0)
        self.m2: Floats = np.zeros(0)

    def update(self, value: Value, rows: Rows) -> None:
        self.rows += len(value)
        self._shaped(learned_shape(value.shape, self.per))
        samples = spread(value, self.per)
        count, mean, m2 = _block(samples)
        if (count < samples.shape[1]).any():
            self.missing += int(np.count_nonzero(value.is_missing()))
        self._add(count, mean, m2)

    def merge(self, other: Self) -> None:
        self._add_missing(other)
        if other.shape is not None:
            self._shaped(other.shape)
            self._add(other.count, other.mean, other.m2)

    def expect_fold(self) -> bool:
        return self.per == "element"

    def fold(self, fill: Any) -> bool:
        if self.shape is None:
            return False
        missing = self.rows - self.count
        self._add(
            missing, np.broadcast_to(np.asarray(fill, dtype=np.float64).ravel(), missing.shape), np.zeros(missing.shape)
        )
        return True

    def finish(self) -> dict[str, Any]:
        """``mean`` and ``std`` (divided by the count, as NumPy and scikit-learn do), shaped as learned."""
        if self.shape is None or (self.count == 0).any():
            raise FitError("nothing to learn from: every training row is missing, or there is none")
        std = np.sqrt(self.m2 / self.count)
        check_finite(self.mean, std)
        return {"mean": self.mean.reshape(self.shape).tolist(), "std": std.reshape(self.shape).tolist()}

    def _shaped(self, shape: tuple[int, ...]) -> None:
        if self.shape is None:
            self.shape = shape
            self.count, self.mean, self.m2 = (np.zeros(math.prod(shape)) for _ in range(3))

    def _add(self, count: Floats, mean: Floats, m2: Floats) -> None:
        total = self.count + count
        with np.errstate(all="ignore"):  # infinities are reported by finish
            share = np.where(total > 0, count / total, 0.0)
            delta = np.where(count > 0, mean - self.mean, 0.0)
            self.m2 = self.m2 + m2 + delta * delta * self.count * share
            self.mean = self.mean + delta * share
        self.count = total


def _block(samples: Floats) -> tuple[Floats, Floats, Floats]:
    """Count, mean and squared deviations of each position, NaN left out; about its first value, in two passes."""
    positions, rows = samples.shape
    count = np.full(positions, float(rows))
    with np.errstate(all="ignore"):
        first = samples[:, :1]
        apart = samples - first
        total = np.add.reduce(apart, axis=1)
        missing = np.isnan(samples) if np.isnan(total).any() else None
        if missing is not None:
            count -= np.count_nonzero(missing, axis=1)
            first = np.take_along_axis(samples, missing.argmin(axis=1)[:, None], axis=1)
            first[count == 0] = 0.0
            apart = samples - first
            apart[missing] = 0.0
            total = np.add.reduce(apart, axis=1)
        some = np.maximum(count, 1.0)
        mean = total / some
        apart -= mean[:, None]
        if missing is not None:
            apart[missing] = 0.0
        rest = np.add.reduce(apart, axis=1)
        apart *= apart
        return count, first[:, 0] + mean, np.add.reduce(apart, axis=1) - rest * rest / some


class Extremes(Learner):
    """The least and the greatest value."""

    def __init__(self, per: Per = "element") -> None:
        super().__init__()
        self.per: Per = per
        self.shape: tuple[int, ...] | None = None
        self.least: Floats = np.zeros(0)
        self.greatest: Floats = np.zeros(0)

    def update(self, value: Value, rows: Rows) -> None:
        self.rows += len(value)
        samples = spread(value, self.per)
        least, greatest = samples.min(axis=1), samples.max(axis=1)
        if np.isnan(least).any():
            self.missing += int(np.count_nonzero(value.is_missing()))
            least, greatest = np.fmin.reduce(samples, axis=1), np.fmax.reduce(samples, axis=1)
        self._add(learned_shape(value.shape, self.per), least, greatest)

    def merge(self, other: Self) -> None:
        self._add_missing(other)
        if other.shape is not None:
            self._add(other.shape, other.least, other.greatest)

    def expect_fold(self) -> bool:
        return True

    def fold(self, fill: Any) -> bool:
        if self.missing and self.shape != ():
            return False  # which of an array's elements were missing isn't known
        if self.missing:
            self._add((), np.array([float(fill)]), np.array([float(fill)]))
        return True

    def finish(self) -> dict[str, Any]:
        """``min`` and ``max``, shaped as learned."""
        if self.shape is None or np.isnan(self.least).any():
            raise FitError("nothing to learn from: every training row is missing, or there is none")
        check_finite(self.least, self.greatest)
        return {"min": self.least.reshape(self.shape).tolist(), "max": self.greatest.reshape(self.shape).tolist()}

    def _add(self, shape: tuple[int, ...], least: Floats, greatest: Floats) -> None:
        if self.shape is None:
            self.shape, self.least, self.greatest = shape, least, greatest
        else:
            self.least, self.greatest = np.fmin(self.least, least), np.fmax(self.greatest, greatest)


def check_finite(*arrays: Floats) -> None:
    """Refuses statistics that infinite training values have spoilt."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise FitError(
            "the training rows hold infinite values, or values too great for float64. Clip them in an earlier step"
        )

"""Steps made of quantiles or edges: a column to a uniform one, and to buckets."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from vaxseq.expressions.values import Value, as_float
from vaxseq.features.learners.base import Learner
from vaxseq.features.learners.sample import Sample
from vaxseq.features.transforms.base import Apply, Learned, Missing, Step

Floats = npt.NDArray[np.float64]
_FLOAT32_RATIO = 1000.0  # of the greatest quantile to their range


class Quantile(Step):
    """The share of training values below: a uniform column in [0, 1].

    Between references it interpolates; a value that many rows share gets the middle of its shares, but the
    least and the greatest get 0 and 1.
    Source: scikit-learn's QuantileTransformer (the mean of the interpolation and its mirror image).
    """

    name: ClassVar[str] = "quantile"
    docs: ClassVar[str] = (
        "share of training values below, in [0, 1], interpolated between `references` (1000) quantiles"
    )
    learns: ClassVar[str] = "quantiles"
    invertible: ClassVar[bool] = True

    references: Annotated[int, Field(ge=2, le=100_000)] = 1000

    def learner(self) -> Learner | None:
        return _References(tuple(np.linspace(0.0, 1.0, self.references).tolist()))

    def placeholder(self, value: Value) -> dict[str, Any]:
        return {"quantiles": [0.0, 1.0]}

    def compile(self, learned: Learned) -> Apply:
        quantiles = np.asarray(learned["quantiles"], dtype=np.float64)
        shares = np.linspace(0.0, 1.0, len(quantiles))
        if (np.diff(quantiles) > 0).all():  # without ties the mirror image is the same function
            return lambda value: Value(np.interp(as_float(value).data, quantiles, shares))
        mirrored, mirrored_shares = -quantiles[::-1], -shares[::-1]

        def run(value: Value) -> Value:
            data = as_float(value).data
            forward, backward = np.interp(data, quantiles, shares), np.interp(-data, mirrored, mirrored_shares)
            found = 0.5 * (forward - backward)
            found[data >= quantiles[-1]] = 1.0
            found[data <= quantiles[0]] = 0.0
            return Value(found)

        return run

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        exact = np.asarray(learned["quantiles"], dtype=np.float64)
        last = len(exact) - 1
        gaps = np.diff(exact)
        slopes = np.divide(1.0 / last, gaps, out=np.zeros_like(gaps), where=gaps > 0).astype(np.float32)
        quantiles = ops.convert_to_tensor(exact.astype(np.float32))
        slopes = ops.convert_to_tensor(slopes)
        flat = ops.reshape(x, (-1,))
        known = ops.where(ops.isnan(flat), ops.zeros_like(flat), flat)
        after = ops.clip(ops.searchsorted(quantiles, known, side="right") - 1, 0, last - 1)
        before = ops.clip(ops.searchsorted(quantiles, known, side="left"), 1, last)
        share, rise = ops.cast(after, "float32") / last, ops.take(slopes, after)
        forward = share + (known - ops.take(quantiles, after)) * rise
        share, rise = ops.cast(before, "float32") / last, ops.take(slopes, before - 1)
        backward = share - (ops.take(quantiles, before) - known) * rise
        found = 0.5 * (forward + backward)
        found = ops.where(ops.greater_equal(known, quantiles[last]), ops.ones_like(found), found)
        found = ops.where(ops.less_equal(known, quantiles[0]), ops.zeros_like(found), found)
        return ops.reshape(ops.where(ops.isnan(flat), flat, found), ops.shape(x))

    def inverse(self, array: Floats, learned: Learned) -> Floats:
        quantiles = np.asarray(learned["quantiles"], dtype=np.float64)
        return np.interp(np.asarray(array, dtype=np.float64), np.linspace(0.0, 1.0, len(quantiles)), quantiles)

    def float32_loss(self, learned: Learned) -> float:
        quantiles = np.asarray(learned["quantiles"], dtype=np.float64)
        gaps = np.diff(quantiles)
        steepest = np.maximum(np.abs(quantiles[1:]), np.abs(quantiles[:-1]))[gaps > 0] / gaps[gaps > 0]
        return float(steepest.max(initial=0.0) / len(gaps))

    def float32_gain(self, learned: Learned) -> float:
        gaps = np.diff(learned["quantiles"])
        return float((1.0 / gaps[gaps > 0]).max(initial=0.0) / len(gaps))

    def float32_problem(self, learned: Learned) -> str | None:
        least, greatest = learned["quantiles"][0], learned["quantiles"][-1]
        if max(abs(least), abs(greatest)) > _FLOAT32_RATIO * (greatest - least) > 0:
            return (
                f"step 'quantile': float32 can't tell its quantiles apart, from {least:.12g} to {greatest:.12g}. "
                "Subtract a constant near the centre in the definition, with an expression before the steps"
            )
        return None


class _References(Sample):
    def finish(self) -> dict[str, Any]:
        # np.quantile may fall by an ulp between equal values
        return {"quantiles": np.maximum.accumulate(super().finish()["quantiles"]).tolist()}


class Bucketize(Step):
    """Codes of buckets: k where edges[k-1] <= x < edges[k]; edges given, or learned for equal shares of rows."""

    name: ClassVar[str] = "bucketize"
    short: ClassVar[str | None] = "edges"
    docs: ClassVar[str] = (
        "bucket codes 0.. by `edges`, or by learned quantiles into `buckets`; a value on an edge goes up"
    )
    learns: ClassVar[str] = "edges (with `buckets`)"
    on_missing: ClassVar[str] = "stays missing; with `missing: bucket`, a last bucket of its own"

    edges: tuple[float, ...] | None = None
    buckets: Annotated[int, Field(ge=2, le=100_000)] | None = None
    missing: Literal["keep", "bucket"] = "keep"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.edges is None) == (self.buckets is None):
            raise ValueError("give either edges or buckets")
        if self.edges is not None and (not self.edges or list(self.edges) != sorted(set(self.edges))):
            raise ValueError("edges must be rising numbers, at least one")
        return self

    @property
    def sees_missing(self) -> Missing:
        return "handles" if self.missing == "bucket" else "keeps"

    def learner(self) -> Learner | None:
        if self.buckets is None:
            return None
        return _Edges(tuple(np.linspace(0.0, 1.0, self.buckets + 1)[1:-1].tolist()))

    def placeholder(self, value: Value) -> dict[str, Any]:
        return {} if self.buckets is None else {"edges": [0.0]}

    def compile(self, learned: Learned) -> Apply:
        edges = self._edges(learned)

        def run(value: Value) -> Value:
            data = as_float(value).data
            codes = np.searchsorted(edges, data, side="right").astype(np.int64, copy=False)
            missing = np.isnan(data)
            if not missing.any():
                return Value(codes)
            if self.missing == "bucket":
                codes[missing] = len(edges) + 1
                return Value(codes)
            if data.ndim > 1:
                return Value(np.where(missing, np.nan, codes))
            codes[missing] = 0
            return Value(codes, missing)

        return run

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        edges = self._edges(learned)
        flat = ops.reshape(x, (-1,))
        known = ops.where(ops.isnan(flat), ops.zeros_like(flat), flat)
        codes = ops.cast(
            ops.searchsorted(ops.convert_to_tensor(edges.astype(np.float32)), known, side="right"), "float32"
        )
        gone = float(len(edges) + 1) if self.missing == "bucket" else float("nan")
        return ops.reshape(ops.where(ops.isnan(flat), ops.full_like(codes, gone), codes), ops.shape(x))

    def _edges(self, learned: Learned) -> Floats:
        return np.asarray(self.edges if self.edges is not None else learned["edges"], dtype=np.float64)


class _Edges(Sample):
    def finish(self) -> dict[str, Any]:
        return {"edges": np.unique(super().finish()["quantiles"]).tolist()}

"""A uniform sample of a column's values that depends on the row ids alone: quantiles of any number of rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vaxseq.errors import FeatureTypeError, FitError
from vaxseq.expressions.values import Value
from vaxseq.features.learners.base import Learner, Rows
from vaxseq.features.learners.moments import check_finite

KEPT_ROWS = 2_000_000
_SHRINK = 0.75
_FULL = 1 << 32


class Sample(Learner):
    """Keeps the rows whose hash lies under a threshold; all rows until there are more than ``kept_rows``.

    The threshold is the greatest power of 3/4 that keeps at most ``kept_rows`` values, so the sample is
    the same whatever the blocks, the units and their order; above that number it holds at least 3/4 of it
    (rank error under 0.2 % with probability 0.99999, by the Dvoretzky-Kiefer-Wolfowitz inequality).
    """

    def __init__(self, quantiles: tuple[float, ...], kept_rows: int = KEPT_ROWS) -> None:
        super().__init__()
        self.quantiles = quantiles
        self.kept_rows = kept_rows
        self.power = 0
        self.values: list[npt.NDArray[Any]] = []
        self.hashes: list[npt.NDArray[np.uint32]] = []
        self.kept = 0
        self.gone: list[npt.NDArray[np.uint32]] | None = None  # hashes of missing rows, when they will be folded in

    def expect_fold(self) -> bool:
        self.gone = []
        return True

    def fold(self, fill: Any) -> bool:
        if self.gone is None:
            return False
        for hashes in self.gone:
            self.values.append(np.full(len(hashes), float(fill)))
            self.hashes.append(hashes)
        self.gone = None
        return True

    def update(self, value: Value, rows: Rows) -> None:
        if value.shape:
            raise FeatureTypeError(f"quantiles of an array column aren't learned; got rows of shape {value.shape}. Flatten it, or select its parts")
        data, hashes = value.data, rows.hashes
        self.rows += len(data)
        missing = value.is_missing()
        lost = int(np.count_nonzero(missing))
        self.missing += lost
        keep = hashes < self._threshold() if self.power else None
        if lost and self.gone is not None:
            self.gone.append(hashes[missing] if keep is None else hashes[missing & keep])
            self.kept += len(self.gone[-1])
        if lost:
            keep = ~missing if keep is None else keep & ~missing
        if keep is not None:
            data, hashes = data[keep], hashes[keep]
        elif data.base is not None:
            data = data.copy()  # a view would hold the whole block's buffer, or the caller's file
        self.values.append(data)
        self.hashes.append(hashes)
        self.kept += len(data)
        self._shrink()

    def merge(self, other: Self) -> None:
        self._add_missing(other)
        self.start(other.power)
        for data, hashes in zip(other.values, other.hashes, strict=True):
            if self.power > other.power:
                keep = hashes < self._threshold()
                data, hashes = data[keep], hashes[keep]
            self.values.append(data)
            self.hashes.append(hashes)
            self.kept += len(data)
        if self.gone is not None and other.gone is not None:
            self.gone += other.gone if self.power <= other.power else [one[one < self._threshold()] for one in other.gone]
            self.kept = sum(len(one) for one in (*self.hashes, *self.gone))
        self._shrink()

    def hint(self) -> int:
        return self.power

    def start(self, hint: Any) -> None:
        if hint > self.power:
            self.power = hint
            self._filter()

    def sorted(self) -> npt.NDArray[np.float64]:
        """The kept values in order, as float64; the learner is spent."""
        if not sum(map(len, self.values)):
            raise FitError("nothing to learn from: every training row is missing, or there is none")
        ordered = np.concatenate(self.values).astype(np.float64, copy=False)
        self.values, self.hashes = [], []
        ordered.sort()
        check_finite(ordered[[0, -1]])
        return ordered

    def finish(self) -> dict[str, Any]:
        """``quantiles``: the values at the asked shares, interpolated as np.quantile does."""
        return {"quantiles": np.quantile(self.sorted(), self.quantiles).tolist()}

    def _threshold(self) -> int:
        return int(_FULL * _SHRINK**self.power)

    def _shrink(self) -> None:
        while self.kept > self.kept_rows:
            self.power += 1
            self._filter()

    def _filter(self) -> None:
        threshold = self._threshold()
        keeps = [hashes < threshold for hashes in self.hashes]
        self.values = [data[keep] for data, keep in zip(self.values, keeps, strict=True)]
        self.hashes = [hashes[keep] for hashes, keep in zip(self.hashes, keeps, strict=True)]
        if self.gone is not None:
            self.gone = [one[one < threshold] for one in self.gone]
        self.kept = sum(len(one) for one in (*self.hashes, *(self.gone or ())))

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
_FEW_SHARES = 8


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

    def check(self, value: Value) -> None:
        if value.shape:
            raise FeatureTypeError(
                f"quantiles of an array column aren't learned; got {value.shape} a row. Use an expression of its parts"
            )

    def update(self, value: Value, rows: Rows) -> None:
        data, hashes = value.data, rows.hashes
        self.rows += len(data)
        missing = value.is_missing()
        lost = int(np.count_nonzero(missing))
        self.missing += lost
        keep = hashes < self._threshold() if self.power else None
        if lost and self.gone is not None:
            self.gone.append(hashes[missing] if keep is None else hashes[missing & keep])
        if lost:
            keep = ~missing if keep is None else keep & ~missing
        if keep is not None:
            data, hashes = data[keep], hashes[keep]
        elif data.base is not None:
            data = data.copy()  # a view would hold the whole block's buffer, or the caller's file
        self.values.append(data)
        self.hashes.append(hashes)
        self._settle(self.power)

    def merge(self, other: Self) -> None:
        self._add_missing(other)
        other.start(self.power)
        self.values += other.values
        self.hashes += other.hashes
        if self.gone is not None:
            self.gone += other.gone or []
        other.values, other.hashes, other.gone = [], [], None
        self._settle(max(self.power, other.power))

    def hint(self) -> int:
        return self.power

    def start(self, hint: Any) -> None:
        if hint > self.power:
            self._settle(hint)

    def finish(self) -> dict[str, Any]:
        """``quantiles``: the values at the asked shares, interpolated as np.quantile does. The learner is spent."""
        if not sum(map(len, self.values)):
            raise FitError("nothing to learn from: every training row is missing, or there is none")
        kept = np.concatenate(self.values).astype(np.float64, copy=False)
        self.values, self.hashes = [], []
        return {"quantiles": _quantiles(kept, self.quantiles).tolist()}

    def _threshold(self) -> int:
        return int(_FULL * _SHRINK**self.power)

    def _settle(self, power: int) -> None:
        """Raises the power to ``power``, and on until what is kept fits; counts first and filters once."""
        pieces = [*self.hashes, *(self.gone or ())]
        kept, old = sum(map(len, pieces)), self.power
        self.power = power
        if power > old:
            kept = self._count(pieces)
        while kept > self.kept_rows:
            self.power += 1
            kept = self._count(pieces)
        if self.power > old:
            self._filter()
        self.kept = kept

    def _count(self, pieces: list[npt.NDArray[np.uint32]]) -> int:
        threshold = self._threshold()
        return sum(int(np.count_nonzero(piece < threshold)) for piece in pieces)

    def _filter(self) -> None:
        """Drops what lies over the threshold; one array for all pieces, filled piece by piece to spare memory."""
        if self.hashes:
            size, place = self._count(self.hashes), 0
            values = np.empty(size, np.result_type(*self.values))
            hashes = np.empty(size, np.uint32)
            for data, piece in zip(self.values, self.hashes, strict=True):
                keep = piece < self._threshold()
                stop = place + int(np.count_nonzero(keep))
                values[place:stop], hashes[place:stop] = data[keep], piece[keep]
                place = stop
            self.values, self.hashes = [values], [hashes]
        if self.gone is not None:
            self.gone = [piece[piece < self._threshold()] for piece in self.gone]


def _quantiles(kept: npt.NDArray[np.float64], shares: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """np.quantile without its copies; sorts ``kept`` in place, in part when few shares are asked.

    Source: Hyndman and Fan 1996, doi:10.1080/00031305.1996.10473566, definition 7; NumPy's own rounding.
    """
    place = np.asarray(shares) * (len(kept) - 1)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, len(kept) - 1)
    if len(shares) <= _FEW_SHARES:
        kept.partition(np.unique([0, len(kept) - 1, *below, *above]))
    else:
        kept.sort()
    check_finite(kept[[0, -1]])
    apart, part = kept[above] - kept[below], place - below
    return np.asarray(np.where(part < 0.5, kept[below] + apart * part, kept[above] - apart * (1 - part)))

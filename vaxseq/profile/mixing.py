"""How well batches are mixed: their targets' means, beside what a uniform shuffle gives."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

_LEAST_BATCHES = 32  # of fewer, the spread is a guess


class TargetSpread:
    """The spread of batches' mean target over that of uniform batches: 1 is uniform, more is worse.

    >>> spread = TargetSpread()
    >>> for start in range(0, 4000, 100):
    ...     spread.add((np.zeros(100), np.arange(start, start + 100)))
    >>> round(spread.value)
    10
    """

    def __init__(self) -> None:
        self._means: list[float] = []
        self._squares = 0.0
        self._rows = 0

    def add(self, batch: Any) -> None:
        """One batch; only one target of one number a row counts."""
        if not isinstance(batch, tuple) or len(batch) < 2 or not hasattr(batch[1], "shape"):
            return
        target = np.asarray(batch[1])
        if target.ndim > 2 or (target.ndim == 2 and target.shape[1] != 1) or target.dtype.kind not in "fiub":
            return
        if self._rows and len(target) != self._rows:
            return
        values = target.reshape(-1).astype(np.float64)
        self._rows = len(values)
        self._means.append(float(values.mean()))
        self._squares += float((values * values).mean())

    @property
    def value(self) -> float | None:
        """The ratio; None for too few batches, or a target that is the same in all rows."""
        count = len(self._means)
        if count < _LEAST_BATCHES:
            return None
        variance = self._squares / count - float(np.mean(self._means)) ** 2
        if not variance > 0:
            return None
        return float(np.std(self._means, ddof=1)) / sqrt(variance / self._rows)

"""Looking back block by block: a stage keeps what later rows of the series need of earlier blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vaxseq.features.transforms.running_sums import Floats, Ids

Times = npt.NDArray[Any]
Compute = Callable[[Floats, Ids], Floats]


class Stage(Protocol):
    """One step of looking back, on all rows in order."""

    def run(self, values: Floats, position: Ids, times: Times | None) -> Floats:
        """The next rows' results.

        Args:
            values: shape (rows,), NaN where missing.
            position: each row's number in its series, from 0.
            times: what orders the series, or None.
        """
        ...


class Reaching:
    """A stage that looks back at most ``reach`` rows: it keeps so many and computes them again."""

    def __init__(self, reach: int, compute: Compute) -> None:
        self._reach, self._compute = reach, compute
        self._values: Floats = np.empty(0)
        self._position: Ids = np.empty(0, np.int64)

    def run(self, values: Floats, position: Ids, times: Times | None) -> Floats:
        """The next rows' results."""
        kept = len(self._values)
        joined, places = np.concatenate([self._values, values]), np.concatenate([self._position, position])
        found = self._compute(joined, places)[kept:]
        first = max(0, len(joined) - self._reach)
        self._values, self._position = joined[first:].copy(), places[first:].copy()
        return found


class SinceEvent:
    """The time since a row whose value is neither 0 nor missing, the row itself included.

    ``unit`` is what a time difference is divided by; None keeps numbers as they are.
    """

    def __init__(self, *, rows: bool, unit: np.timedelta64 | None) -> None:
        self._rows, self._unit = rows, unit
        self._event: Any = None  # the time of the last event in the series that goes on

    def run(self, values: Floats, position: Ids, times: Times | None) -> Floats:
        """The next rows' results."""
        found = np.full(len(values), np.nan)
        if not len(values):
            return found
        clock = position if self._rows or times is None else times
        rows = np.arange(len(values))
        starts = rows - position  # of the row's series; negative if it began in an earlier block
        latest = np.maximum.accumulate(np.where((values != 0) & ~np.isnan(values), rows, -1))
        here = (latest >= 0) & (latest >= starts)
        found[here] = self._elapsed(clock[here], clock[latest[here]])
        carried = ~here & (starts < 0)
        if self._event is not None and carried.any():
            found[carried] = self._elapsed(clock[carried], self._event)
        if here[-1]:
            self._event = clock[latest[-1]]
        elif starts[-1] >= 0:
            self._event = None
        return found

    def _elapsed(self, later: Times, earlier: Any) -> Floats:
        difference = later - earlier
        if difference.dtype.kind == "m":
            difference = difference / (self._unit if self._unit is not None else np.timedelta64(1, "s"))
        return np.asarray(difference, np.float64)

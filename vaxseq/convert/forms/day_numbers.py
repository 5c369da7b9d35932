"""Whole numbers that are days, as 20211231."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vaxseq.convert.forms.calendar import days_of

FIRST, LAST = 18_000_101, 22_001_231  # what a logger's dates lie between
ENOUGH = 10  # days that differ


class DayNumbers:
    """Whether all of a column's whole numbers are days, told bit by bit."""

    def __init__(self) -> None:
        self.alive = True
        self.first: int | None = None
        self.some: set[int] = set()  # the first ones that differ, a few

    def take(self, values: npt.NDArray[np.int64]) -> None:
        """More of the column, missing values left out.

        >>> days, ids = DayNumbers(), DayNumbers()
        >>> days.take(np.array([20240228, 20240229])), ids.take(np.array([20240228, 20240230]))
        (None, None)
        >>> days.whole, ids.whole
        (True, False)
        """
        if not values.size:
            return
        self.first = int(values[0]) if self.first is None else self.first
        if len(self.some) < ENOUGH:
            self.some |= set(np.unique(values)[:ENOUGH].tolist())
        fits = (values >= FIRST) & (values <= LAST)
        self.alive &= bool(days_of(values // 10_000, values // 100 % 100, values % 100, fits)[1].all())

    @property
    def whole(self) -> bool:
        """Whether every number was a day, and there was more than one."""
        return self.alive and len(self.some) > 1

    @property
    def enough(self) -> bool:
        """Whether there were so many of them that a name which says so leaves no doubt."""
        return self.whole and len(self.some) >= ENOUGH

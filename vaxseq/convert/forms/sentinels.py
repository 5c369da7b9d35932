"""Numbers that loggers write where there is no value: told by standing far from all others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vaxseq.convert.forms.marks import SENTINELS

_MARKS = np.array(SENTINELS)


@dataclass(slots=True)
class Spread:
    """Where a column's numbers lie, and how often each mark of a missing value comes beside them."""

    low: float = float("inf")
    high: float = float("-inf")
    counts: dict[float, int] = field(default_factory=dict)

    def take(self, values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> list[int]:
        """More numbers, and how often each comes; the places of those that are marks."""
        marks = np.isin(values, _MARKS)
        places = np.flatnonzero(marks).tolist()
        for place in places:
            self.mark(float(values[place]), int(counts[place]))
        if (rest := values[~marks & np.isfinite(values)]).size:
            self.widen(float(rest.min()), float(rest.max()))
        return places

    def mark(self, one: float, count: int) -> None:
        """A mark that comes ``count`` times more."""
        self.counts[one] = self.counts.get(one, 0) + count

    def widen(self, low: float, high: float) -> None:
        """Numbers from ``low`` to ``high`` that are no marks."""
        self.low, self.high = min(self.low, low), max(self.high, high)

    def far(self) -> list[float]:
        """The marks that lie far from all other values.

        >>> spread = Spread()
        >>> spread.take(np.array([5.0, -9999.0, 7.5]), np.array([3, 2, 1]))
        [1]
        >>> spread.far()
        [-9999.0]
        """
        return [one for one in self.counts if self.is_far(one)]

    def is_far(self, one: float) -> bool:
        """Whether a mark lies far from all other values; once it doesn't, no further value makes it so."""
        spread = self.high - self.low
        if spread < 0:
            return False
        if one < 0:
            return self.low >= 0 or self.low - one > spread
        return one - self.high > max(spread, 1)

    def is_open(self, low: float, high: float) -> bool:
        """Whether some mark from ``low`` to ``high`` may still turn out to be far."""
        return self.low > self.high or any(low <= one <= high and self.is_far(one) for one in SENTINELS)

    def told(self, marks: list[float], words: list[str], rows: int) -> str:
        """What a notice says of them."""
        found = ", ".join(f"{word} in {self.counts[one]:,}" for one, word in zip(marks, words, strict=True))
        return f"{found} of {rows:,} rows; all others lie between {self.low:g} and {self.high:g}"


def has_mark(*numbers: float) -> bool:
    """Whether one of the numbers is a mark.

    >>> has_mark(-9999, 3)
    True
    """
    return any(one in _SET for one in numbers)


_SET = frozenset(SENTINELS)

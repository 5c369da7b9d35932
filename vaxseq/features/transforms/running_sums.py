"""Sums over the last rows of a series, made of sums over 1, 2, 4, 8, ... rows.

The sum of a row's window is added up in a tree whose shape depends on the window's length alone, so a row's result
depends on the bits of its window's rows and on nothing else: not on where a block begins, nor on what went before.
Nothing is ever subtracted again, so a large value leaves no trace once it is out of the window.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Parts = tuple[Floats, ...]
Combine = Callable[[Parts, Parts, int], Parts]

_SPLIT = 134_217_729.0  # 2**27 + 1 cuts a float64 into halves of 26 bits


def before(values: Floats, rows: int, position: Ids, fill: float) -> Floats:
    """The value ``rows`` rows earlier in the same series, ``fill`` where the series is younger than that.

    ``position`` is each row's number in its series, from 0.
    """
    earlier = np.full_like(values, fill)
    if rows < len(values):
        np.copyto(earlier[rows:], values[: len(values) - rows], where=position[rows:] >= rows)
    return earlier


def over_windows(leaf: Parts, position: Ids, rows: int, combine: Combine, *, fill: float = 0.0) -> Parts:
    """What ``combine`` makes of each row's window: itself and the ``rows - 1`` rows before it in its series.

    Args:
        leaf: what a window of one row is.
        position: each row's number in its series, from 0.
        rows: length of the window.
        combine: makes one of a window and of the one right before it; also gets the later window's rows.
        fill: what a window of no rows is.
    """
    found: Parts | None = None
    covered, level, size = 0, leaf, 1
    while True:
        if rows & size:
            if found is None:
                found = level
            else:
                found = combine(found, tuple(before(one, covered, position, fill) for one in level), covered)
            covered += size
        if 2 * size > rows:
            assert found is not None
            return found
        level = combine(level, tuple(before(one, size, position, fill) for one in level), size)
        size *= 2


def add(one: Parts, other: Parts, _: int) -> Parts:
    """The sum of two numbers, each of a high and a low part, as such a number.

    Source: Dekker, A floating-point technique for extending the available precision (1971).
    """
    high = one[0] + other[0]
    rest = high - one[0]
    low = (one[0] - (high - rest)) + (other[0] - rest) + (one[1] + other[1])
    total = high + low
    return total, low - (total - high)


def add_spread(one: Parts, other: Parts, _: int) -> Parts:
    """Merges (count, high and low part of the sum, sum of squared deviations from the mean).

    The difference of the means is taken between sums of twice a float's precision, so it doesn't drown in a large
    common offset.

    Source: Chan, Golub, LeVeque, Algorithms for computing the sample variance (1983).
    """
    count, sums, squares = one[0], one[1:3], one[3]
    other_count, other_sums, other_squares = other[0], other[1:3], other[3]
    mine, theirs = _times(sums, other_count), _times(other_sums, count)
    difference = add(mine, (-theirs[0], -theirs[1]), 0)[0]
    both = count + other_count
    between = difference * (difference / np.maximum(count * other_count * both, 1.0))
    return (both, *add(sums, other_sums, 0), squares + other_squares + between)


def _times(number: Parts, count: Floats) -> Parts:
    """A number of two parts times a whole number below 2**26, exactly but for the low part's own rounding."""
    cut = _SPLIT * number[0]
    upper = cut - (cut - number[0])
    first, second = upper * count, (number[0] - upper) * count
    high = first + second
    return high, second - (high - first) + number[1] * count


def counts(present: npt.NDArray[np.bool_], position: Ids, rows: int) -> Ids:
    """How many rows of each row's window are present."""
    total = np.concatenate([[0], np.cumsum(present, dtype=np.int64)])
    ends = np.arange(1, len(present) + 1)
    reach = np.minimum(np.minimum(position + 1, rows), ends)
    found: Ids = total[ends] - total[ends - reach]
    return found

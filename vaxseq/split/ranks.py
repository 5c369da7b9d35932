"""The k-th smallest of numbers that are too many to hold: passes that each settle some more bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

_COUNTERS = 1 << 22


def smallest(
    ranks: Sequence[int], each: Callable[[Callable[[Words], Counts]], Iterable[Counts]], top: int
) -> list[int]:
    """The values that stand at ``ranks`` (0 is the smallest) when all are sorted.

    Args:
        ranks: which, each less than the number of values.
        each: gives a function's results over pieces of all the values (unsigned 64-bit), in any order; called for each
            pass, with a function that can be pickled.
        top: no value is larger.

    >>> pieces = [np.array([5, 9], np.uint64), np.array([7], np.uint64)]
    >>> smallest([0, 2], lambda count: map(count, pieces), top=9)
    [5, 9]
    """
    settled = np.zeros(len(ranks), np.uint64)  # the upper bits found so far
    left = np.asarray(ranks, np.int64)  # the rank among the values that share them
    bits = max(1, int(top).bit_length())
    while bits and len(ranks):
        prefixes, own = np.unique(settled, return_inverse=True)
        width = min(bits, 16, max(1, (_COUNTERS // len(prefixes)).bit_length() - 1))
        counts = np.zeros((len(prefixes), 1 << width), np.int64)
        for one in each(partial(_digits, prefixes, bits, width)):
            counts += one
        before = np.cumsum(counts, axis=1)
        for number in range(len(ranks)):
            row = before[own[number]]
            digit = int(np.searchsorted(row, left[number], side="right"))
            left[number] -= row[digit - 1] if digit else 0
            settled[number] = (int(settled[number]) << width) | digit
        bits -= width
    return [int(one) for one in settled]


def _digits(prefixes: Words, bits: int, width: int, words: Words) -> Counts:
    """How many words begin with each prefix and go on with each digit of ``width`` bits."""
    upper = _shift(words, bits)
    at = np.minimum(np.searchsorted(prefixes, upper), len(prefixes) - 1)
    same = prefixes[at] == upper
    digits = (words[same] >> np.uint64(bits - width)) & np.uint64((1 << width) - 1)
    cells = (at[same] << width) + digits.astype(np.int64)
    return np.bincount(cells, minlength=len(prefixes) << width).reshape(len(prefixes), 1 << width)


def _shift(values: Words, bits: int) -> Words:
    """NumPy leaves a shift by all 64 bits undefined."""
    return values >> np.uint64(bits) if bits < 64 else np.zeros_like(values)


def sortable(numbers: npt.NDArray[Any]) -> Words:
    """Integers, floats or dates as unsigned words in the same order."""
    sign = np.uint64(1 << 63)
    if numbers.dtype.kind == "f":
        wide = (numbers.astype(np.float64) + 0.0).view(np.uint64)  # adding 0.0 makes one zero of two
        return np.where(wide >> np.uint64(63) == 1, ~wide, wide | sign)
    if numbers.dtype.kind == "u":
        return numbers.astype(np.uint64)
    return numbers.astype(np.int64).view(np.uint64) ^ sign


def unsorted(word: int, dtype: np.dtype[Any]) -> Any:
    """The number that ``sortable`` made this word of, as an array of shape (1,)."""
    words = np.array([word], np.uint64)
    sign = np.uint64(1 << 63)
    if dtype.kind == "f":
        wide = np.where(words >> np.uint64(63) == 1, words ^ sign, ~words)
        return wide.view(np.float64).astype(dtype)
    if dtype.kind == "u":
        return words.astype(dtype)
    return (words ^ sign).view(np.int64).astype(dtype)

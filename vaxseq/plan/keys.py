"""Keys for every random choice of a plan, from (seed, epoch, purpose): the same on every machine, for ever."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


def mix(word: int) -> int:
    """SplitMix64's finaliser, a bijection on 64-bit words.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)


def derive(*words: int) -> int:
    """One 64-bit key from any number of integers; their order and number matter."""
    key = mix(len(words))
    for word in words:
        key = mix(((key + _GAMMA) & _MASK) ^ mix(word & _MASK))
        if word >> 64:  # larger seeds fold their upper words in
            key = derive(key, word >> 64)
    return key


def stream(key: int, count: int) -> list[int]:
    """``count`` successive outputs of SplitMix64 started at ``key``."""
    return [mix((key + (i + 1) * _GAMMA) & _MASK) for i in range(count)]


def hash_ids(ids: npt.NDArray[Any], key: int) -> npt.NDArray[np.uint64]:
    """SplitMix64 of each id under ``key``, shape (n,): distinct ids never collide."""
    word = ids.astype(np.uint64)
    word *= np.uint64(_GAMMA)
    word += np.uint64(key & _MASK)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word ^= word >> np.uint64(shift)
        word *= np.uint64(factor)
    word ^= word >> np.uint64(31)
    return word

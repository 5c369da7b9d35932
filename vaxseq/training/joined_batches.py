"""Neighbouring batches concatenated for TensorFlow, where each entry costs a millisecond."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

_TOGETHER, _TOGETHER_BYTES = 64, 8 << 20  # batches that enter at once


def joined(batches: Iterator[list[Any]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The arrays of several batches, and how many rows each of these has; the last one may have fewer.

    They are few at first, so that the first one comes soon.
    """
    held: list[list[Any]] = []
    size = 2
    try:
        for leaves in batches:
            if held and not _alike(held[0], leaves):
                yield _together(held)
                held = []
            held.append(leaves)
            if len(held) >= min(size, _room(leaves)):
                yield _together(held)
                held, size = [], 2 * size
    except Exception:
        if held:  # an error comes in its turn
            yield _together(held)
        raise
    if held:
        yield _together(held)


def _room(leaves: list[Any]) -> int:
    size: int = sum(leaf.nbytes for leaf in leaves)
    return max(1, min(_TOGETHER, _TOGETHER_BYTES // max(1, size)))


def _together(held: list[list[Any]]) -> tuple[int, tuple[Any, ...]]:
    arrays = held[0] if len(held) == 1 else [np.concatenate(one) for one in zip(*held, strict=True)]
    return len(held[0][0]), tuple(arrays)


def _alike(one: list[Any], other: list[Any]) -> bool:
    return all(a.shape == b.shape for a, b in zip(one, other, strict=True))

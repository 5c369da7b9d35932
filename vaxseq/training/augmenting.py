"""One batch augmented, and what comes back checked: in a thread and in a process alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Batch = tuple[Any, ...]
Augment = Callable[[Batch, np.random.Generator], Batch]
Key = tuple[int, ...]


def augmented(function: Augment, batch: Batch, key: Key) -> Batch:
    """The function's result on a batch, as contiguous arrays of the batch's own dtypes.

    Raises:
        TypeError, ValueError: it is something else than a batch of these rows.
    """
    expected = _shapes(batch)
    result: Any = function(batch, np.random.default_rng(key))
    if not isinstance(result, tuple) or len(result) != len(expected):
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"it returned {got}, expected the batch, a tuple of {len(expected)}")
    return tuple(_part(part, one) for part, one in zip(result, expected, strict=True))


def _shapes(batch: Batch) -> list[Any]:
    """For each part of a batch what it has to be like: None, or (rows, dtype), or a dict of these."""
    return [
        None
        if part is None
        else {name: (len(one), one.dtype) for name, one in part.items()}
        if isinstance(part, dict)
        else (len(part), part.dtype)
        for part in batch
    ]


def _part(part: Any, expected: Any) -> Any:
    if expected is None:
        return None
    if isinstance(expected, dict):
        if not isinstance(part, dict) or set(part) != set(expected):
            raise TypeError(f"it returned {type(part).__name__} for the inputs {sorted(expected)}, expected a dict")
        return {name: _part(part[name], one) for name, one in expected.items()}
    rows, dtype = expected
    array = np.ascontiguousarray(part, dtype=dtype)
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(f"it returned an array of shape {array.shape}, expected {rows} rows")
    # to NumPy one row turned round is contiguous, to torch its stride is negative
    return array.copy() if min(array.strides) < 0 else array

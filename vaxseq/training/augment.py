"""Augmentation: a user's function on each batch, with a random generator that depends on the batch alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import AugmentError
from vaxseq.plan.plan import BatchPlan
from vaxseq.training.augment_pool import AugmentPool

Batch = tuple[Any, ...]
Augment = Callable[[Batch, np.random.Generator], Batch]


class Augmenter:
    """Runs ``function(batch, rng)`` in the calling thread, or in a pool of processes.

    The generator is that of (seed, epoch, first item of the batch in the epoch's order), so a batch is augmented
    alike whoever asks for it, and in a run that was resumed in mid-epoch too.
    """

    def __init__(
        self,
        function: Augment,
        plan: BatchPlan,
        rows_of: Callable[[int, int], npt.NDArray[np.int64]],
        pool: AugmentPool | None,
    ) -> None:
        self._function, self._plan, self._rows_of, self._pool = function, plan, rows_of, pool

    def __call__(self, batch: Batch, epoch: int, number: int) -> Batch:
        """The augmented batch.

        Raises:
            AugmentError: the function failed, or returned something else than a batch of these rows.
        """
        plan = self._plan
        first = plan.start_item + number * plan.step_items + plan.shard_index * plan.batch_size
        key = (plan.seed, epoch, first)
        try:
            if self._pool is not None:
                return self._pool.run(batch, key)
            return checked(self._function(batch, np.random.default_rng(key)), shapes_of(batch))
        except Exception as error:
            rows = self._rows_of(epoch, number)
            shown = ", ".join(map(str, rows[:8].tolist())) + (", ..." if len(rows) > 8 else "")
            raise AugmentError(
                f"augment: batch {number} of epoch {epoch} failed: {type(error).__name__}: {error}; "
                f"its {len(rows):,} row ids: {shown}"
            ) from error


def shapes_of(batch: Batch) -> list[Any]:
    """For each part of a batch what it has to be like: None, or (rows, dtype), or a dict of these."""
    return [
        None
        if part is None
        else {name: (len(one), one.dtype) for name, one in part.items()}
        if isinstance(part, dict)
        else (len(part), part.dtype)
        for part in batch
    ]


def checked(result: Any, expected: list[Any]) -> Batch:
    """What an augmentation returned, as contiguous arrays of the batch's own dtypes."""
    if not isinstance(result, tuple) or len(result) != len(expected):
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"it returned {got}, expected the batch, a tuple of {len(expected)}")
    return tuple(_part(part, one) for part, one in zip(result, expected, strict=True))


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
    return array

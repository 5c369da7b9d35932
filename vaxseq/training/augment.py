"""Augmentation: a user's function on each batch, with a random generator that depends on the batch alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vaxseq.errors import AugmentError
from vaxseq.plan.plan import BatchPlan
from vaxseq.training.augment_pool import AugmentPool, ProcessDiedError
from vaxseq.training.augmenting import Augment, Batch, Key, augmented


class Augmenter:
    """Runs ``function(batch, rng)`` on batches of an epoch, in the calling thread or in a process of a pool.

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

    def __call__(self, batches: Sequence[Batch], epoch: int, numbers: Sequence[int]) -> list[Batch]:
        """The batches of these numbers, augmented; with a pool all of them by one process.

        Raises:
            AugmentError: the function failed, or returned something else than a batch of these rows.
        """
        keys = [self._key(epoch, number) for number in numbers]
        if self._pool is None:
            return [self._one(*one, epoch) for one in zip(batches, keys, numbers, strict=True)]
        try:
            made = self._pool.run(batches, keys)
        except ProcessDiedError as error:
            raise self._error(epoch, numbers[0], error) from error
        for result, number in zip(made, numbers, strict=True):
            if isinstance(result, Exception):
                raise self._error(epoch, number, result) from result
        return made  # type: ignore[return-value]  # without the errors

    def _one(self, batch: Batch, key: Key, number: int, epoch: int) -> Batch:
        try:
            return augmented(self._function, batch, key)
        except Exception as error:
            raise self._error(epoch, number, error) from error

    def _key(self, epoch: int, number: int) -> Key:
        plan = self._plan
        return plan.seed, epoch, plan.start_item + number * plan.step_items + plan.shard_index * plan.batch_size

    def _error(self, epoch: int, number: int, error: Exception) -> AugmentError:
        rows = self._rows_of(epoch, number)
        shown = ", ".join(map(str, rows[:8].tolist())) + (", ..." if len(rows) > 8 else "")
        return AugmentError(
            f"augment: batch {number} of epoch {epoch} failed: {type(error).__name__}: {error}; "
            f"its {len(rows):,} row ids: {shown}"
        )

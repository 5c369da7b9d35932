"""Batches that are nothing but a copy of neighbouring rows of a packed store."""

from __future__ import annotations

from collections.abc import Callable

from vaxseq.loading.loader import Loaded, within
from vaxseq.plan.plan import BatchPlan
from vaxseq.store import StoreReader
from vaxseq.training.batches import Batch


class SliceLoader:
    """Loads batch (epoch, index) of a plan in order, as ``Loader`` does, but when asked and in the caller's thread.

    A copy takes less time than handing it to another thread and back, and any order of asking is as quick; what isn't
    in memory, the kernel reads ahead. ``finish`` is left out if ``plain``: a batch is then the tuple of its arrays.
    """

    chunk_batches = 1
    gains_in_turn = False

    def __init__(self, reader: StoreReader, plan: BatchPlan, finish: Callable[[Loaded], Batch], *, plain: bool) -> None:
        self.finish, self._plain = finish, plain
        self.row_bytes = reader.row_bytes()
        self._plan, self._arrays, self._check = plan, reader.arrays, reader.check
        self._num_batches, self._size = plan.num_batches, plan.batch_size
        self._first, self._step = plan.start_item + plan.shard_index * plan.batch_size, plan.step_items

    def expect(self, epoch: int, index: int) -> None:
        """Any order of asking is as quick."""

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch ``index`` of an epoch, counted from its end if negative."""
        if not 0 <= index < self._num_batches:
            index = within(index, self._plan)
        start = self._first + index * self._step
        stop = start + self._size
        self._check()
        if self._plain:  # a tenth of a copy's time goes into each call that is spared here
            x, y = self._arrays
            return x[start:stop].copy(), y[start:stop].copy()
        arrays = [array[start:stop].copy() for array in self._arrays]
        return self.finish(Loaded(arrays, len(arrays[0]), epoch, index))

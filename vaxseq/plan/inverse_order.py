"""Where an item is served: the order of an epoch backwards, as one rank sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vaxseq.plan.bijection import Positions
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.shuffle import order_of


@dataclass(frozen=True, slots=True)
class InverseOrder:
    """The rows that a rank serves in an epoch, one after the other: place 0, 1, ... without the padding.

    >>> places = InverseOrder(BatchPlan(10, 2, shuffle="global", shard_index=1, shard_count=2))
    >>> places.count, places.items(0, 0, 4).tolist() == places.plan.positions(0, 0, 2).positions.tolist()
    (4, True)
    """

    plan: BatchPlan

    @property
    def count(self) -> int:
        """Rows that this rank serves in an epoch."""
        plan = self.plan
        steps, over = divmod(plan.n_items - plan.start_item, plan.step_items)
        last = 0 if plan.drop_remainder else min(max(0, over - plan.shard_index * plan.batch_size), plan.batch_size)
        return steps * plan.batch_size + last

    @property
    def whole(self) -> bool:
        """Whether every item is served once, so that an epoch's rows are the next epoch's as well."""
        return self.plan.resampling is None and self.count == self.plan.n_items

    def first(self, batch: int) -> int:
        """The place of a batch's first row."""
        return min(batch * self.plan.batch_size, self.count)

    def items(self, epoch: int, start: int, stop: int) -> Positions:
        """Item positions at places [start, stop), int64."""
        plan = self.plan
        if plan.shard_count == 1:
            return plan.ordered(epoch, plan.start_item + start, plan.start_item + stop)
        step, within = np.divmod(np.arange(start, stop), plan.batch_size)
        return plan.ordered_at(epoch, plan.start_item + step * plan.step_items + self._offset + within)

    def of(self, epoch: int, items: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64] | None, Positions]:
        """Which of these items are served (None: all), and the places of those; without resampling.

        Returns:
            (kept, places): indexes into ``items``, and a place for each, int64.
        """
        plan = self.plan
        if plan.shuffle == "global":
            places = order_of(plan.n_items, plan.seed, epoch, items)
        else:
            places = np.asarray(items, np.int64)
        if plan.shard_count == 1 and plan.start_item == 0 and self.count == plan.n_items:
            return None, places
        places = places - plan.start_item
        if plan.shard_count == 1:
            kept = np.flatnonzero((places >= 0) & (places < self.count))
            return kept, places[kept]
        step, within = np.divmod(places, plan.step_items)
        within -= self._offset
        kept = np.flatnonzero((places >= 0) & (within >= 0) & (within < plan.batch_size))
        places = step[kept] * plan.batch_size + within[kept]
        served = places < self.count
        return kept[served], places[served]

    @property
    def _offset(self) -> int:
        return self.plan.shard_index * self.plan.batch_size

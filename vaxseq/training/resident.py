"""``store="device"``: a selection's finished rows on the device, where batches are gathered in an epoch's order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError
from vaxseq.plan.plan import BatchPlan
from vaxseq.training.augment_worker import Form, flatten
from vaxseq.training.batches import Batch
from vaxseq.training.devices import Leaves, Placement
from vaxseq.training.pipeline import Pipeline

_SHARE = 0.5  # of the memory that is free: the model and its steps need the rest
_UNTOLD_BYTES = 4 << 30  # of a device that doesn't tell how much it has
_MOST_ROWS = np.iinfo(np.int32).max
_PART_BYTES = 32 << 20
_ORDER_ROWS = 65_536  # whose places are worked out at once


class Resident:
    """Rows of all items, by position, put on a device when the first batch is asked for."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.rows = pipeline.items.index.n
        self.nbytes = self.rows * (pipeline.items.reader.row_bytes() + np.dtype(np.float32).itemsize)
        self._lock = threading.Lock()
        self._held: tuple[Placement, Leaves, Form] | None = None

    def batches(self, plan: BatchPlan, epoch: int, placement: Placement) -> Iterator[Any]:
        """The plan's batches of an epoch, on their way as ``placement`` gathers them; ``form`` puts them together."""
        held = self._on(placement)
        weighted = self._weighted(plan)
        together = max(1, _ORDER_ROWS // plan.batch_size)
        for first in range(0, plan.num_batches, together):
            found = plan.positions(epoch, first, min(together, plan.num_batches - first))
            places = found.positions.astype(np.int32)
            start = 0
            for size, real in zip(found.sizes.tolist(), found.counts.tolist(), strict=True):
                one = places[start : start + size].copy()
                start += size
                yield placement.take(*self._asked(held, one, real, weighted))

    def form(self, plan: BatchPlan, placement: Placement) -> Form:
        """How a batch of the plan is put together of its arrays."""
        self._on(placement)
        assert self._held is not None
        form = self._held[2]
        return [*form, *([None] if len(form) == 1 else []), True] if self._weighted(plan) else form

    def fits(self, placement: Placement) -> bool:
        """Whether the device has room for the rows."""
        return self.rows <= _MOST_ROWS and self.nbytes <= _most(placement.room())

    def check(self, placement: Placement) -> None:
        """Refuses what the device has no room for.

        Raises:
            OptionError: naming the bytes, and what else to do.
        """
        if self.rows > _MOST_ROWS:
            raise OptionError(f"store='device': got {self.rows:,} rows, expected {_MOST_ROWS:,} at most")
        room = placement.room()
        if self.nbytes > _most(room):
            why = "which is what is taken where a device doesn't tell" if room is None else "half of what is free"
            raise OptionError(
                f"store='device': the rows served take {_gigabytes(self.nbytes)}, and {placement.name} has room for "
                f"{_gigabytes(_most(room))}, {why}. Leave store= out: device= puts batches there ahead."
            )

    def _asked(self, held: Leaves, places: npt.NDArray[Any], real: int, weighted: bool) -> tuple[Leaves, list[Any]]:
        if not weighted:
            return held[:-1], [places] * (len(held) - 1)
        weights = places
        if real < len(places):
            weights = places.copy()
            weights[real:] = self.rows  # behind the last row stands a weight of 0
        return held, [*([places] * (len(held) - 1)), weights]

    def _on(self, placement: Placement) -> Leaves:
        with self._lock:
            if self._held is None or self._held[0].key != placement.key:
                self._held = None  # first, so that two devices of one memory don't hold it both
                self.check(placement)
                self._held = self._put(placement)
            return self._held[1]

    def _put(self, placement: Placement) -> tuple[Placement, Leaves, Form]:
        weights: list[npt.NDArray[Any]] = []
        form: Form = []

        def parts() -> Iterator[Leaves]:
            for batch in self._in_order():
                leaves, form[:] = flatten(batch[:2] if len(batch) < 3 or batch[1] is not None else batch[:1])
                if len(batch) == 3:
                    weights.append(np.asarray(batch[2]))
                yield leaves

        held = placement.hold(parts(), self.rows)
        known = np.concatenate(weights) if weights else np.ones(self.rows, np.float32)
        kept = np.append(known, np.float32(0))
        return placement, [*held, *placement.hold(iter([[kept]]), len(kept))], form

    def _in_order(self) -> Iterator[Batch]:
        size = max(1, min(_ORDER_ROWS, _PART_BYTES // max(1, self._pipeline.items.reader.row_bytes())))
        plan = BatchPlan(self.rows, size)
        loader = self._pipeline.loader(plan, sequential=True)
        return (loader.batch(0, index) for index in range(plan.num_batches))

    def _weighted(self, plan: BatchPlan) -> bool:
        return self._pipeline.maker_for(plan).weighted


def _most(room: int | None) -> float:
    return _UNTOLD_BYTES if room is None else room * _SHARE


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.3g} GB"

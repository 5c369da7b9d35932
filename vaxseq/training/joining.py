"""Predictions joined back to their rows: by the pass that they were made in, and by no guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError
from vaxseq.plan.plan import BatchPlan
from vaxseq.training.epochs import Epochs, Pass

Ids = npt.NDArray[np.int64]
_REMEMBERED = 4  # passes: two of other orders are ambiguous already


class Joining:
    """Remembers which passes can have made predictions: the last ``predict``, and whole passes of own loops since."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs
        self._predicted = False
        self._own: list[Pass] = []

    def predicts(self) -> None:
        """``predict`` begins: what it returns is in epoch 0's order."""
        self._predicted, self._own = True, []

    def reads(self, one: Pass) -> None:
        """A loop of somebody's own reads a pass."""
        if not self._own or self._own[-1] is not one:
            self._own = [*(kept for kept in self._own if kept.complete), one][-_REMEMBERED:]

    def places(self, rows: int, epoch: int | None) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """For so many predictions the item positions of the real ones, and which are real: the rest is padding.

        Raises:
            OptionError: they can be of several orders or of none, or their number isn't that of the rows served.
        """
        epoch, plans = (epoch, self._plans(epoch)) if epoch is not None else self._last()
        for plan in plans:
            batches = plan.positions(epoch, 0, plan.num_batches)
            if len(batches.positions) == rows:
                real = np.ones(rows, dtype=bool)
                for end, size, count in zip(np.cumsum(batches.sizes), batches.sizes, batches.counts, strict=True):
                    real[end - size + count : end] = False
                return batches.positions[real], real
        expected = " or ".join(f"{plan.rows(0, plan.num_batches):,}" for plan in dict.fromkeys(plans))
        raise OptionError(f"attach: got {rows:,} predictions, expected {expected}, one for each row served")

    def _last(self) -> tuple[int, list[BatchPlan]]:
        own = [one for one in self._own if one.complete]
        epochs = {one.epoch for one in own} | ({0} if self._predicted else set())
        if self._epochs.whole.plan.in_order:
            epochs = {0}
        if len(epochs) != 1:
            known = "none was read to its end" if not epochs else f"it can be any of {sorted(epochs)}"
            raise OptionError(
                f"attach: the predictions' epoch isn't clear: {known}. Pass epoch=: 0 for what model.predict returned, "
                "or the epoch that your loop read."
            )
        [epoch] = epochs
        rests = [one.part.plan for one in own if one.epoch == epoch]
        return epoch, [*self._plans(epoch), *rests]

    def _plans(self, epoch: int) -> list[BatchPlan]:
        whole = [self._epochs.evaluation_plan, self._epochs.whole.plan]
        return [*whole, *(one.part.plan for one in self._own if one.epoch == epoch and one.complete)]


def vector(predictions: Any) -> npt.NDArray[Any]:
    """Predictions as an array; a column of one number a row as a vector."""
    values = np.asarray(predictions)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values

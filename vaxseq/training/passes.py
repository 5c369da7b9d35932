"""Passes over the data, as Keras makes them: which epoch it is, what is left of it, and where training is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from vaxseq.errors import PositionError
from vaxseq.loading.loader import Batches
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.position import Position
from vaxseq.training.batches import Batch
from vaxseq.training.latch import EpochLatch, looks, reader

_log = logging.getLogger("vaxseq")
_DEPTH = 3  # calls from Keras's generator of a pass to `reader`: by way of the Sequence and its passes
_SURE = 8  # reads after which a permuted order isn't a coincidence


class Stretch(NamedTuple):
    """A plan of (the rest of) an epoch, and what loads its batches."""

    plan: BatchPlan
    loader: Batches[Batch]


class Passes:
    """Serves pass after pass: each is an epoch, the first after ``seek`` may be the rest of one."""

    def __init__(self, make: Callable[[BatchPlan], Batches[Batch]], plan: BatchPlan) -> None:
        self._make = make
        self.whole = Stretch(plan, make(plan))
        self.latch = EpochLatch()
        self.serve_in_turn = False  # batches come in the plan's order, whichever are asked for
        self._rest: tuple[int, Stretch] | None = None
        self._trained: int | None = None
        self._hinted = False

    def of(self, epoch: int) -> Stretch:
        """What the pass of an epoch consists of."""
        rest = self._rest
        return rest[1] if rest is not None and rest[0] == epoch else self.whole

    @property
    def current(self) -> Stretch:
        """What the pass under way consists of, or the last one."""
        return self.of(self.latch.epoch)

    def announced(self) -> int:
        """Batches of the pass that the next read may start."""
        epoch = self.latch.arm(self.current.plan.num_batches, reader(_DEPTH), looks=looks())
        return self.of(epoch).plan.num_batches

    def read(self, index: int) -> Batch:
        """Batch ``index`` of the pass under way."""
        rest = self._rest
        plan, loader = self.whole
        length = plan.num_batches if rest is None else self.current.plan.num_batches
        epoch, number = self.latch.read(length, index, reader(_DEPTH))
        if rest is not None:
            if epoch > rest[0]:
                self._rest = None
            plan, loader = self.of(epoch)
        if self.serve_in_turn:
            index = number % plan.num_batches
        elif number == _SURE and not self._hinted and not self.latch.in_turn:
            self._hint(loader, plan)
        return loader.batch(epoch, index)

    def _hint(self, loader: Batches[Batch], plan: BatchPlan) -> None:
        self._hinted = True
        if loader.gains_in_turn and plan.num_batches > 2 * loader.chunk_batches:
            _log.warning(
                "fit permutes the batches, so each is read by itself, which is slower. Pass shuffle=False to fit: "
                "the Sequence shuffles (shuffle='global' or 'block')."
            )

    def position(self) -> Position:
        """Where training is: after the batches that were trained on, or else read, in the pass under way."""
        plan = self.current.plan
        if self._trained is not None:
            return Position.after(plan, self.latch.epoch, self._trained)
        if not self.latch.in_turn:
            raise PositionError(
                "position: batches were read out of order, so no position tells which are left. Pass shuffle=False to "
                "fit, or use ResumeTraining."
            )
        return Position.after(plan, self.latch.epoch, min(self.latch.reads, plan.num_batches))

    def trained(self, batches: int | None) -> None:
        """How many batches of the pass under way were trained on; None to count reads again."""
        self._trained = batches

    def seek(self, position: Position) -> None:
        """The next pass is what the position leaves of its epoch."""
        epoch, plan = position.resume(self.whole.plan)
        self._rest = (epoch, Stretch(plan, self._make(plan))) if plan.start_item else None
        self._trained = None
        self.latch.begin(epoch)

"""Which epoch a pass over the data is: passes are objects, each with its epoch, its plan and its place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from vaxseq.errors import OptionError, PositionError
from vaxseq.loading.loader import Batches, within
from vaxseq.plan.plan import BatchPlan
from vaxseq.plan.position import Position
from vaxseq.training.batches import Batch


class EpochPart(NamedTuple):
    """A plan of (the rest of) an epoch, and what loads its batches."""

    plan: BatchPlan
    loader: Batches[Batch]


class Pass:
    """A reading of an epoch or its rest, in order or by index. ``taken`` tells how many batches were used, if known."""

    __slots__ = ("_seen", "by_index", "epoch", "part", "reads", "taken")

    def __init__(self, epoch: int, part: EpochPart, *, by_index: bool = False) -> None:
        self.epoch, self.part, self.by_index = epoch, part, by_index
        self.reads = 0
        self.taken: Callable[[], int] | None = None
        self._seen: set[int] | None = None  # once batches were read out of order

    def batches(self) -> Iterator[Batch]:
        """The batches in order; each counts as read when it is asked for."""
        loader, epoch = self.part.loader, self.epoch
        load = loader.batch
        for index in range(self.part.plan.num_batches):
            self.reads = index + 1
            yield load(epoch, index)
            if index == 0:  # who only looks at the first one doesn't have an epoch scattered
                loader.expect(epoch, 1)

    def counted(self, batches: Iterator[Batch]) -> Generator[Batch, None, None]:
        """The pass's batches as they come from elsewhere, maybe ahead; each counts as read when it is asked for."""
        for index in range(self.part.plan.num_batches):
            self.reads = index + 1
            yield next(batches)

    def has(self, index: int) -> bool:
        """Whether a batch was read."""
        return index < self.reads if self._seen is None else index in self._seen

    def note(self, index: int) -> None:
        """A batch is read, in whatever order."""
        if self.has(index):
            return
        if self._seen is None and index != self.reads:
            self._seen = set(range(self.reads))
        if self._seen is not None:
            self._seen.add(index)
        self.reads += 1

    @property
    def complete(self) -> bool:
        """Whether all batches were read."""
        return self.reads >= self.part.plan.num_batches

    @property
    def position(self) -> Position:
        """Behind the batches of the order, from its beginning on, that are used.

        Raises:
            PositionError: batches were read out of order.
        """
        if self._seen is not None and not self.complete:
            raise PositionError(
                "position: batches were read out of order, so no position tells which are left. Read them in order, "
                "or to the end."
            )
        batches = self.part.plan.num_batches
        used = self.reads
        if self.taken is not None:
            taken = self.taken()
            used = taken if taken or not self.complete else batches
        return Position.after(self.part.plan, self.epoch, min(used, batches))


class Epochs:
    """Hands out passes: each training pass is the next epoch, the first one after ``seek`` the rest of one.

    A pass by index is open until its last batch is read, batch 0 is read again, or ``end``: then the next read begins
    the next epoch. An iterator that begins while one is open takes its epoch over: who has only looked at some
    batches before ``fit`` trains that epoch whole. Evaluation stands apart: always epoch 0, and it moves nothing.
    """

    def __init__(self, make: Callable[[BatchPlan, bool], Batches[Batch]], plan: BatchPlan) -> None:
        self._make = make
        self.whole = EpochPart(plan, make(plan, False))
        self._evaluation: EpochPart | None = None
        self._lock = threading.RLock()
        self._due: int | None = 0  # the epoch that the next pass takes; None: the one after the last pass's
        self._set = False  # whether a user said which epoch is due
        self._rest: EpochPart | None = None  # what is left of the epoch that is due
        self._last = Pass(0, self.whole)
        self.hinted = False

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, of the last one, or the one that was set."""
        return self._last.epoch if self._due is None else self._due

    def set(self, epoch: int) -> None:
        """The next pass is this epoch, whole.

        Raises:
            OptionError: not a whole number of at least 0.
        """
        if isinstance(epoch, bool) or not hasattr(epoch, "__index__") or epoch.__index__() < 0:
            raise OptionError(f"epoch: got {epoch!r}, expected a whole number of at least 0")
        with self._lock:
            self._due, self._set, self._rest = epoch.__index__(), True, None

    @property
    def current(self) -> EpochPart:
        """What ``epoch`` consists of."""
        return self._last.part if self._due is None else self._rest or self.whole

    @property
    def num_batches(self) -> int:
        """Batches of the pass under way, or of the next one."""
        over = self._due is None and self._last.complete
        return (self.whole if over else self.current).plan.num_batches

    @property
    def rest_is_due(self) -> bool:
        """Whether the next pass is only what is left of an epoch."""
        return self._rest is not None

    def begin(self, epoch: int | None = None, *, after: int | None = None, by_index: bool = False) -> Pass:
        """A training pass: of this epoch; or the one that was set; or the one after ``after``; or the next."""
        with self._lock:
            if epoch is None:
                epoch = after + 1 if after is not None and not self._set else self._next(by_index=by_index)
            part = self.whole
            if self._due == epoch and self._rest is not None:
                part = self._rest
            elif self._due is None and self._open and self._last.epoch == epoch and not by_index:
                part = self._last.part
            self._last = Pass(epoch, part, by_index=by_index)
            self._due, self._set, self._rest = None, False, None
            return self._last

    def evaluation(self) -> Pass:
        """A pass for evaluation: epoch 0, whole and without padding, whatever training does."""
        with self._lock:
            if self._evaluation is None:
                plan = self.evaluation_plan
                self._evaluation = EpochPart(plan, self._make(plan, True))
            return Pass(0, self._evaluation)

    @property
    def evaluation_plan(self) -> BatchPlan:
        """The plan of evaluation: no padding, which would count in metrics."""
        return replace(self.whole.plan, pad=False, start_item=0)

    def read(self, index: int, nested: Callable[[], bool]) -> tuple[Pass, int]:
        """The pass that a read by index belongs to, and the batch's number in it.

        Args:
            index: of the batch, from the end if negative.
            nested: whether the reader stands inside a fit on the same data, which it must not move on.
        """
        with self._lock:
            last = self._last
            if self._due is None and last.by_index and not last.complete:
                index = within(index, last.part.plan)
                if index or not last.reads or not last.has(0):
                    last.note(index)
                    return last, index
            if nested():
                return Pass(self.epoch, self.current), within(index, self.current.plan)
            index = within(index, (self.whole if self._due is None else self.current).plan)
            begun = self.begin(by_index=True)
            begun.note(index)
            return begun, index

    def end(self) -> None:
        """The next read by index begins the next epoch, if this one was read at all."""
        with self._lock:
            if self._due is None and self._last.by_index:
                self._due = self._last.epoch + 1

    def position(self) -> Position:
        """Where training is: behind the batches that were trained on or else read, in the pass under way."""
        with self._lock:
            if self._due is not None:
                return Position.after(self.current.plan, self._due, 0)
            return self._last.position

    def seek(self, position: Position) -> None:
        """The next pass is what the position leaves of its epoch."""
        epoch, plan = position.resume(self.whole.plan)
        with self._lock:
            self._due, self._set = epoch, True
            self._rest = EpochPart(plan, self._make(plan, False)) if plan.start_item else None

    def state(self) -> dict[str, Any]:
        """The place, as plain values."""
        with self._lock:
            last, rest = self._last, self._rest
            seen = None if last._seen is None else sorted(last._seen)
            return {
                "due": self._due, "set": self._set, "rest": None if rest is None else rest.plan.start_item,
                "epoch": last.epoch, "start": last.part.plan.start_item, "reads": last.reads, "seen": seen,
                "by_index": last.by_index,
            }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """The place that ``state`` told."""
        with self._lock:
            self._due, self._set = state["due"], state["set"]
            self._rest = None if state["rest"] is None else self._from(state["rest"])
            self._last = Pass(state["epoch"], self._from(state["start"]), by_index=state["by_index"])
            self._last.reads = state["reads"]
            self._last._seen = None if state["seen"] is None else set(state["seen"])

    @property
    def _open(self) -> bool:
        return self._last.by_index and not self._last.complete

    def _next(self, *, by_index: bool) -> int:
        if self._due is not None:
            return self._due
        return self._last.epoch if self._open and not by_index else self._last.epoch + 1

    def _from(self, start_item: int) -> EpochPart:
        if start_item == self.whole.plan.start_item:
            return self.whole
        plan = replace(self.whole.plan, start_item=start_item)
        return EpochPart(plan, self._make(plan, False))

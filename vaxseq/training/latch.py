"""Which epoch Keras is in, told from what it reads: its own hooks fire early, extra, or not at all."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from types import FrameType

_PEEKED = 2  # Keras looks at up to two batches to learn shapes before it starts a pass
_KEPT = 4  # passes remembered: the last one, and those that tf.data may still be reading for nobody
_GENERATORS = ("_finite_generator", "__iter__")  # Keras's own, one for each pass over a PyDataset
_FILE = "py_dataset_adapter.py"  # where they are
_CALLS = 8  # at most, between such a generator and us
_LOOKS = ("_maybe_symbolic_build", "_symbolic_build", "get_tf_dataset")  # read first batches to learn shapes


@dataclass(slots=True)
class _Pass:
    epoch: int
    reads: int = 0
    in_turn: bool = True
    looks: bool = False

    def over(self, num_batches: int) -> bool:
        """Whether the next pass is another epoch's: not after a look at up to two batches, of more."""
        return not self.looks and (self.reads > _PEEKED or 0 < num_batches <= self.reads)


class EpochLatch:
    """Counts passes. ``arm`` when Keras asks for the number of batches, ``read`` at each batch.

    Keras asks for the number of batches before every pass, and before it looks at first batches. The read after
    that starts a pass; the epoch moves on unless the reads before it were such a look, announced or recognized:
    at most two, of more.

    Under tf.distribute another thread may go on reading a pass that Keras has dropped. So each pass belongs to its
    ``reader``, and whoever reads without one reads the last pass.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passes: dict[int, _Pass] = {}
        self._looking = False
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """The next pass to start is one of this epoch."""
        with self._lock:
            self._last = _Pass(epoch)
            self._due: int | None = epoch
            self._armed: dict[int | None, bool] = {None: False}

    def looking(self, whether: bool) -> None:
        """The passes that start from now on are looks, however far ahead they are read."""
        with self._lock:
            self._looking = whether

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, or of the last one."""
        return self._last.epoch

    @property
    def reads(self) -> int:
        """Reads of that pass so far."""
        return self._last.reads

    @property
    def in_turn(self) -> bool:
        """Whether that pass has read batches 0, 1, 2, ... so far."""
        return self._last.in_turn

    def arm(self, num_batches: int, reader: int | None = None, *, looks: bool = False) -> int:
        """The reader's next read may start a pass; the epoch that it will belong to."""
        with self._lock:
            self._armed[reader] = looks
            return self._next(num_batches)

    def read(self, num_batches: int, index: int, reader: int | None = None) -> tuple[int, int]:
        """Note a read of batch ``index`` of a pass of ``num_batches``; its epoch, and how many reads came before it."""
        with self._lock:
            if reader in self._armed:
                self._start(num_batches, reader)
            current = self._last if reader is None else self._passes.get(reader)
            if current is None:
                current = self._passes[reader] = _Pass(self._last.epoch)  # type: ignore[index]
            number = current.reads
            if index != number:
                current.in_turn = False
            current.reads = number + 1
            return current.epoch, number

    def _start(self, num_batches: int, reader: int | None) -> None:
        self._last = _Pass(self._next(num_batches), looks=self._armed.pop(reader) or self._looking)
        self._due = None
        self._armed.pop(None, None)
        if reader is not None:
            self._passes.pop(reader, None)  # a new generator may have the number of one that is gone
            self._passes[reader] = self._last
            if len(self._passes) > _KEPT:
                del self._passes[next(iter(self._passes))]

    def _next(self, num_batches: int) -> int:
        return self._last.epoch + self._last.over(num_batches) if self._due is None else self._due


def reader(depth: int = 2) -> int | None:
    """The pass that a function is called for: a number for Keras's generator of it, None outside of one.

    ``depth`` is how many calls lie between the generator and this one, if it calls without any help of others.
    """
    try:
        frame: FrameType | None = sys._getframe(depth)  # the frames between aren't made visible, which takes longer
    except ValueError:
        return None
    for _ in range(_CALLS):
        if frame is None:
            return None
        code = frame.f_code
        if code.co_name in _GENERATORS and code.co_filename.endswith(_FILE):
            return id(frame)
        frame = frame.f_back
    return None


def looks() -> bool:
    """Whether the caller runs while Keras looks at first batches."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name in _LOOKS:
            return True
    return False

"""Which epoch Keras is in, told from what it reads: its own hooks fire early, extra, or not at all."""

from __future__ import annotations

import threading
from typing import NamedTuple

_PEEKED = 2  # Keras looks at up to two batches to learn shapes before it starts a pass


class Turn(NamedTuple):
    """A read: its epoch, and how many reads of the pass came before it."""

    epoch: int
    number: int


class EpochLatch:
    """Counts passes. ``arm`` when Keras asks for the number of batches, ``read`` at each batch.

    Keras asks for the number of batches before every pass, and before a peek. The read after that starts a
    pass; the epoch moves on unless the reads before it were a peek: at most two, of more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """The next read starts this epoch."""
        with self._lock:
            self._epoch, self._reads, self._armed, self._in_turn = epoch, 0, True, True

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, or of the last one."""
        return self._epoch

    @property
    def reads(self) -> int:
        """Reads of that pass so far."""
        return self._reads

    @property
    def in_turn(self) -> bool:
        """Whether that pass has read batches 0, 1, 2, ... so far."""
        return self._in_turn

    def arm(self, num_batches: int) -> int:
        """The next read may start a pass; the epoch that it will belong to."""
        with self._lock:
            self._armed = True
            return self._epoch + self._passed(num_batches)

    def read(self, num_batches: int, index: int) -> Turn:
        """Note a read of batch ``index`` of a pass of ``num_batches``."""
        with self._lock:
            if self._armed:
                self._epoch += self._passed(num_batches)
                self._reads, self._armed, self._in_turn = 0, False, True
            turn = Turn(self._epoch, self._reads)
            self._in_turn &= index == self._reads
            self._reads += 1
            return turn

    def _passed(self, num_batches: int) -> bool:
        return self._reads > _PEEKED or 0 < num_batches <= self._reads

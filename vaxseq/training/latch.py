"""Which epoch Keras is in, told from what it reads: its own hooks fire early, extra, or not at all."""

from __future__ import annotations

import threading

_PEEKED = 2  # Keras looks at up to two batches to learn shapes before it starts a pass


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
            self._epoch, self._reads, self._armed = epoch, 0, True

    @property
    def epoch(self) -> int:
        """The epoch of the pass under way, or of the last one."""
        return self._epoch

    def arm(self) -> None:
        """The next read may start a pass."""
        with self._lock:
            self._armed = True

    def read(self, num_batches: int) -> int:
        """Note a read; the epoch that it belongs to."""
        with self._lock:
            if self._armed:
                if self._reads > _PEEKED or 0 < num_batches <= self._reads:
                    self._epoch += 1
                self._reads, self._armed = 0, False
            self._reads += 1
            return self._epoch

"""The order of a plan in blocks of batches, kept for as long as there is room: a batch asked for alone is cheap."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future

from vaxseq.plan.plan import Batches, BatchPlan

_BUDGET_BYTES = 64 << 20
_EPOCHS = 2  # an epoch's last batches are asked for beside the next one's first


class OrderCache:
    """``plan.positions`` by blocks of ``block_batches`` batches, the last used ones of two epochs kept. Thread-safe."""

    def __init__(self, plan: BatchPlan, block_batches: int) -> None:
        self.plan, self._block_batches = plan, block_batches
        self._room = max(4, _BUDGET_BYTES // (8 * block_batches * plan.batch_size))
        self._blocks: OrderedDict[tuple[int, int], Future[Batches]] = OrderedDict()
        self._lock = threading.Lock()

    def batches(self, epoch: int, first: int, count: int) -> Batches:
        """Batches first, ..., first + count - 1 of an epoch, which must lie in one block."""
        number = first // self._block_batches
        block = self.block(epoch, number)
        at = first - number * self._block_batches
        low = at * self.plan.batch_size  # only an epoch's last batch is of another size
        high = low + int(block.sizes[at : at + count].sum())
        return Batches(block.positions[low:high], block.sizes[at : at + count], block.counts[at : at + count])

    def block(self, epoch: int, number: int) -> Batches:
        """Block ``number`` of an epoch."""
        key = (epoch, number)
        with self._lock:
            found = self._blocks.get(key)
            if found is not None:
                self._blocks.move_to_end(key)
            else:
                made: Future[Batches] = Future()
                self._blocks[key] = made
                while len(self._blocks) > self._room:
                    self._blocks.popitem(last=False)
                known = list(dict.fromkeys(one for one, _ in reversed(self._blocks)))
                for old in [one for one in self._blocks if one[0] in known[_EPOCHS:]]:
                    del self._blocks[old]
        if found is not None:
            return found.result()  # another thread may still be at it
        first = number * self._block_batches
        try:
            made.set_result(self.plan.positions(epoch, first, min(self._block_batches, self.plan.num_batches - first)))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the block gets it, too
            made.set_exception(error)
        return made.result()

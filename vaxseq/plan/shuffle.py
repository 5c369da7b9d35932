"""Orders of an epoch as pure functions of (n, seed, epoch): no permutation array is held, so n can be 10^11.

*global*: a keyed bijection of [0, n). *block*: blocks of neighbouring items in the order of a bijection, then every
item of a buffer of several blocks by another one, so reading stays nearly sequential.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vaxseq.plan.bijection import Bijection, Positions
from vaxseq.plan.keys import derive

BLOCK_ITEMS = 8192
BUFFER_BLOCKS = 32

_GLOBAL, _BLOCKS, _INSIDE = 1, 2, 3


def order(n: int, seed: int, epoch: int, start: int, stop: int) -> Positions:
    """Items start, ..., stop - 1 of the global order of an epoch, shape (stop - start,), int64.

    A pure function: an item of the order never depends on how, where or when it is asked for.

    >>> order(10**11, seed=0, epoch=3, start=5, stop=7).tolist() == order(10**11, 0, 3, 0, 10)[5:7].tolist()
    True
    """
    return Bijection(n, derive(_GLOBAL, seed, epoch))(start, stop)


def order_at(n: int, seed: int, epoch: int, items: npt.NDArray[Any]) -> Positions:
    """The same for any items of the order, shape (n_items,)."""
    return Bijection(n, derive(_GLOBAL, seed, epoch)).of(items)


def order_of(n: int, seed: int, epoch: int, positions: npt.NDArray[Any]) -> Positions:
    """The other way round: which items of the order stand for these positions, shape (n_positions,).

    >>> order_of(10**11, 0, 3, order(10**11, 0, 3, 5, 7)).tolist()
    [5, 6]
    """
    return Bijection(n, derive(_GLOBAL, seed, epoch)).inverse_of(positions)


@dataclass(frozen=True, slots=True)
class Buffer:
    """What a block shuffle reads at once: order items [start, stop) are these blocks, permuted as one.

    All buffers of an epoch share one permutation, each begun at a place of its own: which rows meet in a buffer is
    what the order of blocks decides, so nothing is lost, and an id costs next to nothing.

    ``blocks`` are ascending block numbers, shape (n_blocks,), each ``block_items`` positions but for the last block
    of all; their positions laid end to end are the buffer's places 0, ..., stop - start - 1.
    """

    number: int
    start: int
    stop: int
    blocks: Positions
    block_items: int
    n: int
    capacity: int
    key: int
    turn: int

    def ranges(self) -> list[tuple[int, int]]:
        """The (start, stop) positions to read, ascending, neighbours joined."""
        breaks = np.flatnonzero(np.diff(self.blocks) != 1) + 1
        firsts = self.blocks[np.r_[0, breaks]] * self.block_items
        lasts = (self.blocks[np.r_[breaks - 1, len(self.blocks) - 1]] + 1) * self.block_items
        return [(int(first), min(int(last), self.n)) for first, last in zip(firsts, lasts, strict=True)]

    def places(self, start: int, stop: int) -> Positions:
        """Where in the ranges laid end to end the order items [start, stop) are, int64; within this buffer."""
        size = self.stop - self.start
        table = _inside(size, self.capacity, self.key)
        first = (start - self.start + self.turn) % size
        count = stop - start
        if first + count <= size:
            return np.asarray(table[first : first + count], np.int64)
        return np.concatenate([table[first:], table[: first + count - size]]).astype(np.int64)

    def positions(self, start: int, stop: int) -> Positions:
        """The positions of order items [start, stop), int64; within this buffer."""
        block, within = np.divmod(self.places(start, stop), self.block_items)
        return np.asarray(self.blocks[block] * self.block_items + within, np.int64)


@lru_cache(maxsize=8)
def _inside(size: int, capacity: int, key: int) -> npt.NDArray[np.uint32]:
    """The permutation of ``size`` places: that of ``capacity`` places without the ones beyond."""
    if size < capacity:
        full = _inside(capacity, capacity, key)
        table = full[full < size]
    else:
        table = Bijection(capacity, key)(0, capacity).astype(np.uint32)
    table.flags.writeable = False
    return table


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """The block order of n items: blocks in random order, all items of a buffer of blocks in random order.

    Buffers are cut evenly, so no short last buffer is left that would hardly be shuffled.
    """

    n: int
    seed: int
    epoch: int
    block_items: int = BLOCK_ITEMS
    buffer_blocks: int = BUFFER_BLOCKS

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.block_items)

    @property
    def n_buffers(self) -> int:
        return -(-self.n_blocks // self.buffer_blocks)

    def _blocks(self) -> Bijection:
        return Bijection(self.n_blocks, derive(_BLOCKS, self.seed, self.epoch))

    def _short(self) -> tuple[int, int]:
        return _short_block(self)

    def buffer_of(self, item: int) -> int:
        """The number of the buffer that holds order item ``item``."""
        short, lacking = self._short()
        after_short = item >= (short + 1) * self.block_items - lacking
        block = (item + lacking * after_short) // self.block_items
        return ((block + 1) * self.n_buffers - 1) // self.n_blocks

    def buffer(self, number: int) -> Buffer:
        """One buffer by its number, in the order of the epoch."""
        return _buffer(self, number)

    def _make(self, number: int) -> Buffer:
        first, last = (self.n_blocks * (number + side) // self.n_buffers for side in (0, 1))
        short, lacking = self._short()
        start, stop = (block * self.block_items - (lacking if block > short else 0) for block in (first, last))
        blocks = np.sort(self._blocks()(first, last))
        capacity = -(-self.n_blocks // self.n_buffers) * self.block_items
        key = derive(_INSIDE, self.seed, self.epoch)
        turn = derive(_INSIDE, self.seed, self.epoch, number) % (stop - start)
        return Buffer(number, start, stop, blocks, self.block_items, self.n, capacity, key, turn)

    def buffers(self, start: int, stop: int) -> list[Buffer]:
        """The buffers that order items [start, stop) touch."""
        if start >= stop:
            return []
        return [self.buffer(number) for number in range(self.buffer_of(start), self.buffer_of(stop - 1) + 1)]

    def __call__(self, start: int, stop: int) -> Positions:
        """Positions of order items start, ..., stop - 1, shape (stop - start,), int64."""
        pieces = [one.positions(max(start, one.start), min(stop, one.stop)) for one in self.buffers(start, stop)]
        return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


@lru_cache(maxsize=16)
def _short_block(blocks: BlockOrder) -> tuple[int, int]:
    """Where in the order of blocks the last, shorter block stands, and how many items it lacks."""
    lacking = blocks.n_blocks * blocks.block_items - blocks.n
    return (blocks._blocks().inverse(blocks.n_blocks - 1), lacking) if lacking else (blocks.n_blocks, 0)


@lru_cache(maxsize=16)  # batches of one buffer ask for it again and again
def _buffer(blocks: BlockOrder, number: int) -> Buffer:
    return blocks._make(number)
